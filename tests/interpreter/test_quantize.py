"""`quantize` beside fractions: ties, what is near them, saturation, and any order in memory."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import quantize

BLUR = Fraction(1, 10**9)
STORAGE = st.sampled_from(["i8", "u8", "i16", "i32"])
OFFSETS = st.sampled_from([0.0, 0.3, 0.5, 0.5 + 1e-10, 0.5 - 1e-10, 0.5 + 1e-8, 0.5 - 1e-8])
SPECIAL = st.sampled_from([float("inf"), float("-inf"), float("nan"), 1e300, -1e300, 0.0])


def by_fractions(real: float, scale: float, zero_point: int, low: int, high: int) -> int:
    """One number; infinities saturate, and what is no number is zero."""
    if np.isnan(real):
        return zero_point
    if np.isinf(real):
        return high if real > 0 else low
    value = Fraction(real) / Fraction(scale)
    tie = value.__floor__() + Fraction(1, 2)
    if abs(value - tie) < BLUR * max(Fraction(1), abs(value)):
        value = tie
    return min(max(round(value) + zero_point, low), high)


@given(STORAGE, st.sampled_from([0.5, 0.02, 1e-20, 3.7e15]), st.integers(0, 5), st.data())
def test_beside_fractions(storage: str, scale: float, zero_point: int, data: st.DataObject) -> None:
    steps = st.integers(-(2**17), 2**17) if storage == "i16" else st.integers(-300, 300)
    numbers = st.one_of(st.tuples(steps, OFFSETS).map(lambda p: sum(p) * scale), SPECIAL)
    reals = data.draw(st.lists(numbers, min_size=1, max_size=20))
    q = Quantization(storage, (scale,), (zero_point,))
    want = [by_fractions(x, scale, zero_point, *q.storage_range) for x in reals]
    np.testing.assert_array_equal(quantize(np.array(reals), q), want)


@given(st.permutations(range(4)), st.sampled_from([1, 2, -1]), st.booleans())
def test_any_order_in_memory(order: list[int], step: int, spread: bool) -> None:
    """Large arrays are quantised in pieces."""
    x = np.random.default_rng(0).normal(size=(3, 40, 16, 20)).transpose(order)[:, ::step]
    if spread:
        x = np.broadcast_to(x[:1], x.shape)
    q = Quantization("i8", (0.02,), (3,))
    want = np.clip(np.rint(x / q.scale) + 3, -128, 127)
    np.testing.assert_array_equal(quantize(x, q), want)
