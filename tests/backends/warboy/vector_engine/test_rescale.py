"""`rescale` in float64 against 64-bit integers, at ties and near them, at limits and beyond."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.backends.warboy.vector_engine.float_rescale import Rescale
from furiosa_ir.backends.warboy.vector_engine.integer_rescale import IntegerRescale
from furiosa_ir.numerics import fixed_point

ROUNDINGS = list(fixed_point.ROUNDINGS)


@st.composite
def factors(draw):
    multiplier = draw(
        st.one_of(
            st.integers(1 << 30, (1 << 31) - 1),
            st.integers(-5, 5),
            st.sampled_from([1 << 30, 0x55555555, 0x55555556, 715827883, 1431655765]),
        )
    )
    return multiplier, draw(st.integers(0, 50))


@given(
    st.sampled_from(ROUNDINGS),
    st.lists(factors(), min_size=1, max_size=3),
    st.integers(-128, 127),
    st.sampled_from([0, 0, 7, -128]),
    st.integers(-128, 0),
    st.integers(0, 127),
    st.sampled_from([200, 1 << 16, 1 << 24, 1 << 31]),
    st.sampled_from([1, 4]),
    st.integers(0, 2**32 - 1),
)
def test_rescale(rounding, pairs, zp, input_zp, low, high, bound, element, seed):
    multiplier, shift = np.array(pairs, np.int64).T
    limits = (-bound, bound - 1)
    if element == 4:
        low, high = -(2**31), 2**31 - 1
    instruction = Instruction("rescale", (0, 1, 2), (input_zp, zp, low, high), rounding, element)
    try:
        rescale = Rescale(instruction, multiplier, shift, limits)
    except ValueError:
        try:
            rescale = IntegerRescale(instruction, multiplier, shift, limits)
        except ValueError:
            return  # `instructions.execute` it is
    rng = np.random.default_rng(seed)
    line = len(pairs)
    x = rng.integers(*limits, (400, line), endpoint=True)
    x[:40] = rng.integers(max(-bound, -300), min(bound, 300), (40, line))
    x[40], x[41] = limits
    with np.errstate(all="ignore"):
        # Ties, and the integers beside them.
        ties = (rng.integers(-130, 130, (100, line)) + 0.5) * 2.0**shift / np.maximum(multiplier, 1)
        ties = np.clip(np.rint(ties) + rng.integers(-1, 2, ties.shape), *limits)
    x[42:142] = ties.astype(np.int64)
    x = x.astype(np.int32)
    expected = fixed_point.rescale(
        x,
        np.broadcast_to(multiplier, x.shape),
        np.broadcast_to(shift, x.shape),
        input_zero_point=input_zp,
        output_zero_point=zp,
        rounding=rounding,
        minimum=low,
        maximum=high,
        dtype=np.int8 if element == 1 else np.int32,
    )
    out = np.empty(x.shape, np.int8 if element == 1 else np.float64)
    rescale(x, out, np.empty(x.shape), np.empty(x.shape))
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_usual_factors_run_in_float64(rounding):
    """A 31-bit multiplier and any accumulator: the input's clamp makes the product small."""
    instruction = Instruction("rescale", (0, 1, 2), (0, 3, -128, 127), rounding, 1)
    multiplier = np.array([1400000001, 2147483647, 1 << 30])
    rescale = Rescale(instruction, multiplier, np.array([39, 42, 36]), (-(1 << 31), (1 << 31) - 1))
    assert not rescale.saturates


@pytest.mark.parametrize("rounding", ["even", "near_even", "up", "away", "double"])
@pytest.mark.parametrize("shift", [46, 50, 58])
def test_products_beyond_53_bits(rounding, shift):
    """Integers beside ties of a product that float64 cannot hold."""
    rng = np.random.default_rng(shift)
    multiplier = rng.integers(1 << 30, 1 << 31, 8) | 1
    limits = (-(1 << 30), 1 << 30)
    low, high = (-128, 127) if shift < 55 else (-(2**31), 2**31 - 1)
    instruction = Instruction(
        "rescale", (0, 1, 2), (0, 0, low, high), rounding, 1 if low == -128 else 4
    )
    try:
        rescale = Rescale(instruction, multiplier, np.full(8, shift), limits)
        assert not rescale.exact
    except ValueError:
        rescale = IntegerRescale(instruction, multiplier, np.full(8, shift), limits)
    ties = (rng.integers(-100, 100, (500, 8)) + 0.5) * (2.0**shift / multiplier)
    x = np.clip(np.rint(ties).astype(np.int64) + rng.integers(-1, 2, ties.shape), *limits)
    x = x.astype(np.int32)
    dtype = np.int8 if low == -128 else np.int32
    expected = fixed_point.rescale(
        x,
        np.broadcast_to(multiplier, x.shape),
        np.full(x.shape, shift),
        rounding=rounding,
        minimum=low,
        maximum=high,
        dtype=dtype,
    )
    out = np.empty(x.shape, np.int8 if low == -128 else np.float64)
    rescale(x, out, np.empty(x.shape), np.empty(x.shape))
    np.testing.assert_array_equal(out, expected)
