"""``fixed_point`` against Python's unbounded integers and exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.errors import CompilationFailure
from furiosa_ir.numerics.fixed_point import (
    TIE_PRECISION,
    Rounding,
    quantize_multiplier,
    quantize_multipliers,
    rescale,
)
from tests.draws import draws

INT32 = st.integers(-(2**31) + 1, 2**31 - 1)
MULTIPLIER = st.integers(-(2**31) + 1, 2**31 - 1)
SHIFT = st.integers(0, 62)


def round_fraction(value: Fraction, rounding: Rounding) -> int:
    floor = math.floor(value)
    if rounding == "floor":
        return floor
    if rounding == "up":
        return math.floor(value + Fraction(1, 2))
    if rounding == "away":
        magnitude = math.floor(abs(value) + Fraction(1, 2))
        return magnitude if value >= 0 else -magnitude
    if rounding == "near_even":
        numerator = value.numerator % value.denominator
        distance = abs(Fraction(numerator, value.denominator) - Fraction(1, 2))
        if value.denominator > 1 and distance <= max(1, abs(value)) / TIE_PRECISION:
            return floor + floor % 2
        return math.floor(value + Fraction(1, 2))
    return round(value)  # ties to even


def wrap_int32(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def double_rounding(value: int, multiplier: int, shift: int) -> int:
    """``MultiplyByQuantizedMultiplier`` written as its C++ source is."""
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    product = wrap_int32(value << left) * multiplier
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    total = product + nudge
    high = abs(total) // 2**31 * (1 if total >= 0 else -1)
    remainder = high & ((1 << right) - 1)
    threshold = ((1 << right) - 1 >> 1) + (high < 0)
    return (high >> right) + (remainder > threshold)


@pytest.mark.parametrize("rounding", ["even", "up", "away", "floor"])
@given(x=st.lists(INT32, min_size=1, max_size=8), m=MULTIPLIER, s=SHIFT)
@settings(max_examples=draws(200), deadline=None)
def test_single_rounding(rounding: Rounding, x: list[int], m: int, s: int) -> None:
    got = rescale(np.array(x), m, s, rounding=rounding, dtype=np.int64)
    assert got.tolist() == [round_fraction(Fraction(v * m, 2**s), rounding) for v in x]


@given(
    tie=st.integers(-(2**17), 2**17),
    offset=st.integers(-(2**22), 2**22),
    s=st.integers(1, 44),
)
@settings(max_examples=draws(500), deadline=None)
def test_near_even_around_ties(tie: int, offset: int, s: int) -> None:
    """Products a little beside k + 1/2, to and fro across the tolerance."""
    product = (2 * tie + 1) * 2 ** (s - 1) + offset
    got = rescale(np.array([product]), 1, s, rounding="near_even", dtype=np.int64)[0]
    value = Fraction(product, 2**s)
    limit = max(2**s, abs(product)) // TIE_PRECISION
    near = abs(product % 2**s - 2 ** (s - 1)) <= limit
    floor = math.floor(value)
    assert got == (floor + floor % 2 if near else math.floor(value + Fraction(1, 2)))


def test_near_even_restores_real_ties() -> None:
    """Means over 12: the multiplier 1 / 12 is inexact, the sum 6 + 12 k is a tie all the same."""
    multiplier, shift = 2**34 // 12, 34
    sums = np.arange(-600, 601)
    got = rescale(sums, multiplier, shift, rounding="near_even", dtype=np.int64)
    assert got.tolist() == [round(Fraction(int(v), 12)) for v in sums]


@given(x=st.lists(INT32, min_size=1, max_size=8), m=MULTIPLIER, s=SHIFT)
@settings(max_examples=draws(300), deadline=None)
def test_double_rounding(x: list[int], m: int, s: int) -> None:
    got = rescale(np.array(x), m, s, rounding="double", dtype=np.int64)
    assert got.tolist() == [double_rounding(v, m, s) for v in x]


@pytest.mark.parametrize("rounding", ["even", "up", "away", "floor"])
@given(k=st.integers(-31, 31), bits=st.integers(0, 41), s=st.integers(0, 48))
@settings(max_examples=draws(200), deadline=None)
def test_ties_of_wide_values(rounding: Rounding, k: int, bits: int, s: int) -> None:
    """48-bit values."""
    got = rescale(np.array([k << bits]), 3, s, rounding=rounding, dtype=np.int64)[0]
    assert got == round_fraction(Fraction((k << bits) * 3, 2**s), rounding)


@pytest.mark.parametrize("rounding", ["even", "near_even", "up", "away", "floor", "double"])
@given(k=st.integers(-(2**20), 2**20), odd=st.integers(-500, 500), s=st.integers(0, 40))
@settings(max_examples=draws(200), deadline=None)
def test_ties(rounding: Rounding, k: int, odd: int, s: int) -> None:
    """Small multipliers and shifts, where ties are common."""
    m = 2 * odd + 1
    got = rescale(np.array([k], np.int32), m, s, rounding=rounding, dtype=np.int64)[0]
    if rounding == "double":
        assert got == double_rounding(k, m, s)
    else:
        assert got == round_fraction(Fraction(k * m, 2**s), rounding)


@pytest.mark.parametrize("rounding", ["even", "near_even", "up", "away", "floor", "double"])
@given(data=st.data())
@settings(max_examples=draws(50), deadline=None)
def test_arrays_zero_points_and_clamp(rounding: Rounding, data: st.DataObject) -> None:
    """Per-channel factors give what each channel gives alone, clamped and offset."""
    channels = data.draw(st.integers(1, 5))
    multiplier = np.array(data.draw(st.lists(MULTIPLIER, min_size=channels, max_size=channels)))
    shift = np.array(data.draw(st.lists(SHIFT, min_size=channels, max_size=channels)))
    seed = data.draw(st.integers(0, 2**16))
    x = np.random.default_rng(seed).integers(-(2**30), 2**30, (3, 7, channels), dtype=np.int32)
    zero_in, zero_out = data.draw(st.integers(-128, 127)), data.draw(st.integers(-128, 127))
    low, high = sorted(data.draw(st.tuples(st.integers(-128, 127), st.integers(-128, 127))))
    got = rescale(
        x,
        multiplier,
        shift,
        input_zero_point=zero_in,
        output_zero_point=zero_out,
        rounding=rounding,
        minimum=low,
        maximum=high,
    )
    assert got.dtype == np.int8
    assert got.shape == x.shape
    for c in range(channels):
        plain = rescale(
            x[..., c].astype(np.int64) - zero_in,
            int(multiplier[c]),
            int(shift[c]),
            rounding=rounding,
            dtype=np.int64,
        )
        assert np.array_equal(got[..., c], np.clip(plain + zero_out, low, high))


@pytest.mark.parametrize("shape", [(100_003,), (3, 40_001), (2, 3, 9_000, 2), (1, 20, 1024, 3), ()])
def test_blocks_cover_large_arrays(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(-(2**31), 2**31, shape, dtype=np.int64).astype(np.int32)
    expected = (x.astype(np.int64) * 5 + 4) >> 3
    channels = shape[-1] if shape else 1
    by_channel = (
        (np.full(channels, 5), np.full(channels, 3)) if shape else (np.array(5), np.array(3))
    )
    assert np.array_equal(rescale(x, 5, 3, rounding="up", dtype=np.int64), expected)
    assert np.array_equal(rescale(x, *by_channel, rounding="up", dtype=np.int64), expected)


@given(real=st.floats(2.0**-34, 2.0**30))
@settings(max_examples=draws(300), deadline=None)
def test_quantize_multiplier(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 0 <= shift <= 62
    if multiplier == 0:
        assert real < 2.0**-32
    else:
        assert 2**30 <= multiplier < 2**31
        assert abs(Fraction(multiplier, 2**shift) - Fraction(real)) <= Fraction(1, 2 ** (shift + 1))
    assert quantize_multiplier(-real) == (-multiplier, shift)


@given(
    st.lists(
        st.one_of(
            st.floats(-(2.0**30), 2.0**30),
            st.floats(2.0**-34, 2.0**-30),
            st.sampled_from([0.0, 1.0 - 2.0**-40, 2.0**-32, 2.0**-33, math.nextafter(1.0, 0.0)]),
        ),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=draws(300), deadline=None)
def test_many_multipliers_are_those_of_each(reals: list[float]) -> None:
    multipliers, shifts = quantize_multipliers(np.array(reals))
    assert multipliers.dtype == shifts.dtype == np.int64
    expected = [quantize_multiplier(real) for real in reals]
    assert list(zip(multipliers.tolist(), shifts.tolist(), strict=True)) == expected


def test_quantize_multiplier_rounds_up_to_the_next_power() -> None:
    assert quantize_multiplier(1.0 - 2.0**-40) == (1 << 30, 30)
    assert quantize_multiplier(0.0) == (0, 31)


@pytest.mark.parametrize("real", [2.0**32, 2.0**31, -1e300, math.inf, math.nan])
def test_factors_beyond_fixed_point_are_refused(real: float) -> None:
    with pytest.raises(CompilationFailure, match="factors below"):
        quantize_multiplier(real)
    with pytest.raises(CompilationFailure, match="factors below"):
        quantize_multipliers(np.array([1.0, real]))
