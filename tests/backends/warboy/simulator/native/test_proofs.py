"""What the kernels do otherwise than in 64 bits has been shown to be the same, or is not done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.enf.records import Dot, Vector
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS
from furiosa_ir.numerics import fixed_point
from tests.backends.warboy.simulator.native.test_commands import (
    REACH,
    ROUNDINGS,
    SEEDS,
    values_of,
    wide_input,
)
from tests.backends.warboy.simulator.program_builder import ProgramBuilder, simulate

LAYOUT = {"slices": (2, 1), "order": "HWC"}
NEAREST = ["even", "near_even", "up", "away"]
WIDE = (-(1 << 47), (1 << 47) - 1)


def run(data: np.ndarray, program, factors, made: int) -> None:
    """A program on [1, 2, n, 1], by all kernels; `factors`: (multiplier, shift) in pairs."""
    element = data.dtype.itemsize
    shape = (1, 2, data.size // 2, 1)
    b = ProgramBuilder(slices=8)
    x = wide_input(b, shape, LAYOUT, element)
    parameters = tuple(
        b.parameter(np.full((1, 1, 1, 1), value, dtype))
        for pair in factors
        for value, dtype in zip(pair, (np.int32, np.int8), strict=True)
    )
    result = b.tile(shape, element=made, **LAYOUT)
    b.output(b.kernel(Vector((x,), parameters, tuple(program), result, 0)), dtype=f"int{8 * made}")
    simulate(b, data.reshape(-1).view(np.int8))


def spread(element: int, most: int = 1 << 46) -> np.ndarray:
    """Numbers of all sizes."""
    rng = np.random.default_rng(element)
    low, high = LIMITS[element] if element < 8 else (-most, most)
    sizes = 2.0 ** rng.uniform(0, np.log2(high), 200) * rng.choice([-1, 1], 200)
    return np.concatenate([sizes, [low, low + 1, high, 0]]).astype(DTYPES[element])


@pytest.mark.parametrize("rounding", fixed_point.ROUNDINGS)
@pytest.mark.parametrize("given", [4, 8])
@pytest.mark.parametrize("made", [1, 4])
@pytest.mark.parametrize(
    ("multiplier", "shift"), [(1, 18), (-1, 18), (3, 20), (1 << 20, 38), (5, 30)]
)
def test_ties(rounding, given, made, multiplier, shift) -> None:
    """Every other number is a tie, or next to one; a band of numbers is far from any."""
    tie = 1 << shift - int(multiplier & -multiplier).bit_length()
    odd = 2 * np.arange(-150, 150) + 1
    data = np.concatenate([odd * tie + offset for offset in (-1, 0, 1)] + [odd * 7])
    data = data[np.abs(data) < 1 << 31].astype(DTYPES[given])
    data = data[: data.size // 2 * 2]
    program = [Instruction("rescale", (0, 1, 2), (0, 3, *LIMITS[made]), rounding, made)]
    if given == 8:
        clamp = Instruction("clamp", (0,), (-(1 << 31), 1 << 31), element=8)
        program = [clamp, Instruction("rescale", (3, 1, 2), program[0].immediates, rounding, made)]
    run(data, program, [(multiplier, shift)], made)


@pytest.mark.parametrize("made", [1, 4])
@pytest.mark.parametrize("rounding", NEAREST)
@pytest.mark.parametrize(("multiplier", "shift"), [(5, 40), ((1 << 30) + 1, 60), (1, 20)])
@pytest.mark.parametrize("most", [1 << 46, (1 << 51) - 1, 1 << 55])
def test_products_that_wrap_or_have_more_bits_than_a_float64(
    rounding, multiplier, shift, most, made
) -> None:
    clamp = Instruction("clamp", (0,), (-most, most), element=8)
    rescale = Instruction("rescale", (3, 1, 2), (0, 0, *LIMITS[made]), rounding, made)
    data = spread(8, most)
    # What near_even gives is not defined where product plus half leaves 64 bits.
    if rounding == "near_even":
        data = np.clip(data, -((1 << 62) // multiplier), (1 << 62) // multiplier)
    run(data, [clamp, rescale], [(multiplier, shift)], made)


@pytest.mark.parametrize("rounding", NEAREST)
@pytest.mark.parametrize("given", [4, 8])
def test_what_is_nearly_a_tie(rounding, given) -> None:
    """Within a billionth, which near_even takes for a tie, and just outside."""
    rng = np.random.default_rng(given)
    for _ in range(30):
        k = int(rng.integers(0, 4))
        x = int(rng.integers(520 * (k + 1), 4000))
        multiplier = round((k + 0.5) * 2**40 / x) + int(rng.integers(-2, 3))
        # Alone among others that are no tie.
        data = np.array([x, 1, -x, 2], DTYPES[given])
        clamp = Instruction("clamp", (0,), (-(1 << 20), 1 << 20), element=given)
        program = [clamp, Instruction("rescale", (3, 1, 2), (0, 0, -300, 300), rounding, 4)]
        run(data, program, [(multiplier, 40)], 4)


@pytest.mark.parametrize("rounding", NEAREST)
@pytest.mark.parametrize("limits", [(1 << 45, WIDE[1]), (WIDE[0], -(1 << 45)), (5, 5), WIDE])
@pytest.mark.parametrize("second", [(1, 14), (3, 16), (1 << 30, 60)])
def test_limits_beyond_all_products(rounding, limits, second) -> None:
    """The second rescale is of limits of the first, which no product reaches."""
    program = [
        Instruction("rescale", (0, 1, 2), (0, 0, *limits), rounding, 8),
        Instruction("rescale", (5, 3, 4), (0, 0, *LIMITS[4]), rounding, 4),
    ]
    run(spread(1), program, [(77, 0), second], 4)


@pytest.mark.parametrize("given", [1, 4])
@pytest.mark.parametrize("made", [1, 4, 8])
@pytest.mark.parametrize("rounding", fixed_point.ROUNDINGS)
@pytest.mark.parametrize("shift", [0, 31, 40])
@pytest.mark.parametrize("zp", [0, (1 << 31) - 1, -(1 << 31)])
def test_every_width(given, made, rounding, shift, zp) -> None:
    zp = zp if given == 1 else 0
    limits = LIMITS[made] if made < 8 else WIDE
    program = [Instruction("rescale", (0, 1, 2), (zp, -3, *limits), rounding, made)]
    factor = (1 << 30) + 12345, shift
    run(spread(given), program, [factor], made)
    clamp = Instruction("clamp", (0,), (-100, 100), element=given)
    small = Instruction("rescale", (3, 1, 2), (zp, -3, -100, 100), rounding, made)
    run(spread(given), [clamp, small], [factor], made)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([0, 0, 5, -128]), st.integers(1, 2)),
        min_size=2, max_size=4,
    ),
    st.sampled_from([4, 5, 16, 20]),
    st.sampled_from([4, 20, 36, 64]),
    SEEDS,
)  # fmt: skip
@example([(1, 0, 1), (2, 0, 1), (4, 0, 1)], 4, 20, 0)
@example([(2, 5, 2), (4, 5, 2), (4, 0, 2)], 5, 36, 0)
def test_convolutions_of_the_same_weights(convolutions, inner, outputs, seed) -> None:
    """Packed once for all that read them: whatever their groups, zero points and kernels are."""
    rng = np.random.default_rng(seed)
    b = ProgramBuilder(slices=8)
    weight = rng.integers(-128, 128, (outputs, 1, 2, inner), np.int8)
    held, arrays = b.constant(weight), []
    for group, zero_point, kernel in convolutions:
        channels = inner * group * (2 if kernel == 1 else 1)
        x_shape = (1, 3, 4, channels)
        x = b.input(x_shape, f"x{len(arrays)}", **LAYOUT)
        arrays.append(rng.integers(-128, 128, x_shape, np.int8))
        shape = (outputs, 1, 2, inner) if kernel == 2 else (outputs, 1, 1, 2 * inner)
        command = Dot(
            x=x, weight=held, weight_shape=shape, bias=None, strides=(1, 1), dilations=(1, 1),
            input_dilation=(1, 1), pads=(0, 0, 0, 0), group=group, x_zp=3, weight_zp=zero_point,
            batched=False, operands=(), parameters=(), program=(), result=x, layer=0,
        )  # fmt: skip
        made = b.tile(accumulator_shape(command), element=4, **LAYOUT)
        command = replace(command, result=made)
        b.output(b.kernel(command), dtype="int32")
    simulate(b, *arrays)


FACTORS = st.tuples(st.integers(1, 31), st.integers(-2, 28), st.booleans())
"""Of a rescale: bits of its multiplier, places further to the right than those, whether it is odd
and may be negative."""


@given(
    st.sampled_from([4, 8]),
    st.sampled_from([1, 4]),
    ROUNDINGS,
    st.lists(FACTORS, min_size=1, max_size=3),
    st.sampled_from([100, 3000, 1 << 30]),
    SEEDS,
)
def test_products_beside_ties(given, made, rounding, factors, most, seed):
    """In float64 what is far from a tie is rounded; ties, and what lies next to them, are not."""
    rng = np.random.default_rng(seed)
    shape = (1, 4, 40, len(factors))
    multiplier = np.array([
        rng.choice([-1, 1]) * (rng.integers(1 << bits - 1, 1 << bits) | 1) if odd else 1 << bits - 1
        for bits, _, odd in factors
    ])  # fmt: skip
    shift = np.clip([bits + places for bits, places, _ in factors], 0, 62)
    results = rng.integers(-most, most, shape) + 0.5
    x = np.rint(np.ldexp(results / multiplier, shift)) + rng.integers(-1, 2, shape)
    # Products have 64 bits.
    reach = min((1 << (31 if given == 4 else 46)) - 1, (1 << 62) // int(np.abs(multiplier).max()))
    x = np.where(rng.integers(0, 40, shape) > 0, rng.integers(-100, 100, shape), x)
    zp = int(rng.integers(-128, 128))
    b = ProgramBuilder(slices=8)
    tile = wide_input(b, shape, {"slices": (4, 1), "order": "HWC"}, given)
    parameters = (
        b.parameter(multiplier.astype(np.int32).reshape(1, 1, 1, -1)),
        b.parameter(shift.astype(np.int8).reshape(1, 1, 1, -1)),
    )
    program = [Instruction("rescale", (0, 1, 2), (0, zp, *LIMITS[made]), rounding, made)]
    if given == 8:
        # What is known to be within a limit is taken for real numbers.
        clamp = Instruction("clamp", (0,), (-reach, reach), element=8)
        program = [clamp, replace(program[0], operands=(3, 1, 2))]
    result = b.tile(shape, element=made, slices=(4, 1), order="HWC")
    b.output(
        b.kernel(Vector((tile,), parameters, tuple(program), result, 0)), dtype=f"int{8 * made}"
    )
    simulate(b, x.clip(-reach, reach).astype(DTYPES[given]).reshape(-1).view(np.int8))


@given(
    st.sampled_from([1, 4]),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(*LIMITS[4]),
    st.integers(4, 20),
    st.integers(-2, 3),
    ROUNDINGS,
    SEEDS,
)
def test_products_that_are_not_rounded(given, multiplier, zp, bits, places, rounding, seed):
    """Whether a limit can be reached or not; then with results about as wide as 32 bits."""
    rng = np.random.default_rng(seed)
    shape, layout = (1, 2, 3, 11), {"slices": (2, 1), "order": "HWC"}
    b = ProgramBuilder(slices=8)
    tile = wide_input(b, shape, layout, given)
    input_zp = int(rng.integers(-128, 128)) if given == 1 else 0
    reach = min((REACH[given] + abs(input_zp)) * abs(multiplier) + abs(zp), 1 << 47)
    second = (1 << min(bits, 61 - reach.bit_length())) | 1  # products have 64 bits
    right = min(max((reach * second).bit_length() - 31 + places, 0), 62)
    parameters = tuple(
        b.parameter(np.full((1, 1, 1, 1), value, dtype))
        for value, dtype in (
            (multiplier, np.int32), (0, np.int8), (second, np.int32), (right, np.int8)
        )
    )  # fmt: skip
    immediates = (input_zp, zp, -(1 << 47), (1 << 47) - 1)
    whole = Instruction("rescale", (0, 1, 2), immediates, rounding, 8)
    if seed % 3 == 0:  # of a constant
        whole = replace(whole, operands=(1, 1, 2), immediates=(0, *immediates[1:]))
        program, made = (whole, Instruction("add", (0, 5), element=8)), 8
    elif seed % 3 == 1:
        program, made = (whole,), 8
    else:
        narrow = Instruction("rescale", (5, 3, 4), (0, 3, *LIMITS[1]), rounding, 1)
        program, made = (whole, narrow), 1
    result = b.tile(shape, element=made, **layout)
    b.output(b.kernel(Vector((tile,), parameters, program, result, 0)), dtype=f"int{8 * made}")
    simulate(b, values_of(rng, shape, given))
