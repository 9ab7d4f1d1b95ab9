"""Words of `rescale`: which of the kernels' ways fits its factors and what they multiply.

In float64 (`source/rescale_nearest.h`), in 32 bits but for products (`rescale_256.h`), as a product
that is not rounded, or in 64 bits (`rescale.h`), which is always right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furiosa_ir.backends.warboy.simulator.native.instruction_words import Coded, Context, Register
from furiosa_ir.backends.warboy.simulator.native.words import NoWords
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import LIMITS
from furiosa_ir.numerics import fixed_point
from furiosa_ir.numerics.array import Array, Reals

_ROUNDINGS = {"floor": 0, "up": 0, "away": 1, "even": 2, "near_even": 3, "double": 4}
_DOUBLE_LEFT = 5
_UP = 6
_NEAREST, _WHOLE = 8, 16
"""Beside a rounding (`source/rescale.h`)."""
_REAL_REACH = 1 << 51
"""Of integers that are made float64 by their bits."""
_TIE_BITS = 18
"""What is further than 2**-18 from a tie is not looked at (`TIE_BAND` of rescale_nearest.h)."""
_RARE_BITS = 16
"""Products of so many bits behind the point are near a tie so rarely that it does not matter."""
RESCALE_BY = 12
"""The kernels' number of a rescale whose factor is computed."""


def code_rescale(i: Instruction, c: Context) -> Coded:
    """The words of a `rescale`.

    Raises:
        NoWords: the factor is refused when it is used.
    """
    if c.operands[1].constant is None or c.operands[2].constant is None:
        mode = _UP if i.mode == "up" else _ROUNDINGS[i.mode]
        input_zp, output_zp, minimum, maximum = i.immediates
        limits = minimum - output_zp, maximum - output_zp
        return Coded(mode, (0, 0, input_zp, output_zp, *limits), (0, 1, 2), RESCALE_BY)
    multiplier, shift = c.constant(1), c.constant(2)
    if shift.min() < 0 or shift.max() > fixed_point.MAX_SHIFT:
        raise NoWords("the factor is refused")
    if multiplier.min() < LIMITS[4][0] or multiplier.max() > LIMITS[4][1]:
        raise NoWords("the factor is refused")
    input_zp, output_zp, minimum, maximum = i.immediates
    low, high = minimum - output_zp, maximum - output_zp
    multiplier, shift = c.lined(multiplier), c.lined(shift)
    mode, extra = _ROUNDINGS[i.mode], np.zeros_like(shift)
    right = shift
    if i.mode == "double":
        extra, right = np.maximum(31 - shift, 0), np.maximum(shift - 31, 0)
        mode = _DOUBLE_LEFT if extra.any() else mode
    half = np.left_shift(np.int64(1), right) >> 1
    if i.mode == "floor":
        half = np.zeros_like(half)
    if i.mode == "near_even":
        extra = fixed_point.tie_slack(shift, max(abs(low), abs(high)) + 1)
    address = c.words.constants.address
    faster = 0  # what another way than that of rescale.h reads
    operand = c.operands[0]
    if _is_whole(i, operand, multiplier, shift):
        mode = _WHOLE
    elif i.element < 8 and _is_nearest(i, operand, multiplier, shift, extra):
        mode |= _NEAREST
        faster = address(_real(multiplier, shift), np.float64)
    elif _is_narrow(i, operand, multiplier, right, half):
        # AVX2 shifts 64 bits to the right without their sign, which is added in front.
        less = np.right_shift(np.uint64(1 << 63), right.astype(np.uint64)).astype(np.uint32)
        faster = address(np.stack([right.astype(np.int32), less.view(np.int32)]), np.int32)
    return Coded(
        mode,
        (
            address(multiplier, np.int32), address(right, np.int64), address(half, np.int64),
            address(extra, np.int64), input_zp, output_zp, low, high, faster,
        ),
        (0,),
    )  # fmt: skip


def _is_narrow(
    i: Instruction, operand: Register, multiplier: Array, right: Array, half: Array
) -> bool:
    """Whether all of a rescale but its products fits 32 bits.

    Args:
        i: the instruction.
        operand: what is rescaled.
        multiplier: int64, of each element.
        right: int64, by how much each is shifted to the right, last.
        half: int64, what is added in front of that.
    """
    reach = _distance_reach(i, operand)
    if operand.element == 8 or reach is None or not _limits_fit(i):
        return False
    _, output_zp, minimum, maximum = i.immediates
    if i.mode == "double":
        # The first rounding leaves no more than x, to which a half is added.
        reach = max(reach + 1 + int(half.max()), output_zp - minimum, maximum - output_zp)
        return reach < 1 << 31
    if reach > 1 << 31:
        return False
    return int((reach * np.abs(multiplier) + half >> right).max()) < (1 << 31) - 1


def _limits_fit(i: Instruction) -> bool:
    """Whether 32 bits hold results within the limits, which are cut to what those hold."""
    _, output_zp, minimum, maximum = i.immediates
    return minimum - output_zp < 1 << 31 and maximum - output_zp >= -(1 << 31)


def _real(multiplier: Array, shift: Array) -> Reals:
    """Factors: exact, as a multiplier has no more than 32 bits."""
    return np.ldexp(multiplier.astype(np.float64), -shift)


def _distance_reach(i: Instruction, operand: Register) -> int | None:
    """The greatest magnitude of x less its zero point, as kernels take it; None: they do not.

    Constants have 64 bits there, whatever their type.
    """
    zero_point = i.immediates[0]
    if operand.constant is not None:
        return None
    if operand.element > 1:
        return None if zero_point else operand.magnitude
    return operand.magnitude + abs(zero_point) if abs(zero_point) < 1 << 24 else None


def _is_whole(i: Instruction, operand: Register, multiplier: Array, shift: Array) -> bool:
    """Whether a rescale is a product of 64 bits: not rounded, and within its limits.

    Args:
        i: the instruction.
        operand: what is rescaled.
        multiplier, shift: int64, of each element.
    """
    reach = _distance_reach(i, operand)
    if i.element != 8 or operand.element == 8 or i.mode == "double" or reach is None:
        return False
    _, output_zp, minimum, maximum = i.immediates
    greatest = reach * int(np.abs(multiplier).max())
    limit = min(output_zp - minimum, maximum - output_zp)
    return not shift.any() and greatest <= limit


def _is_nearest(
    i: Instruction, operand: Register, multiplier: Array, shift: Array, slack: Array
) -> bool:
    """Whether float64 rounds nearly all elements of a rescale, to 32 bits.

    Args:
        i: the instruction.
        operand: what is rescaled.
        multiplier, shift: int64, of each element.
        slack: int64, how far from a tie a product may be taken for one.
    """
    reach = _distance_reach(i, operand)
    if i.mode in ("double", "floor") or reach is None or reach > _REAL_REACH:
        return False
    if not _limits_fit(i) or reach * float(np.abs(_real(multiplier, shift)).max()) >= (1 << 31) - 2:
        return False
    if reach * int(np.abs(multiplier).max()) > 1 << 62:
        return False  # with a half added it may wrap
    # Of products that are multiples of 2**-places: with few, many are ties.
    _, exponent = np.frexp((multiplier & -multiplier).clip(1).astype(np.float64))
    places = shift - (exponent - 1)
    rare = (multiplier == 0) | (shift == 0) | (places >= _RARE_BITS)
    return bool((rare & (slack <= (np.int64(1) << shift) >> (_TIE_BITS + 1))).all())


def product_reach(i: Instruction, operands: Sequence[Register]) -> int | None:
    """The greatest magnitude of a rescale's result where its limits alone say little of it.

    Args:
        i: a rescale.
        operands: of it.

    Returns:
        of one to 64 bits by one constant factor; None of others.
    """
    x, multiplier, shift = operands
    if i.element < 8 or multiplier.constant is None or shift.constant is None:
        return None
    if multiplier.constant.size > 1 or shift.constant.size > 1 or i.mode == "double":
        return None
    input_zp, output_zp, minimum, maximum = i.immediates
    products = (x.magnitude + abs(input_zp)) * abs(int(multiplier.constant.item()))
    reach = (products >> int(shift.constant.item())) + 1 + abs(output_zp)
    # Limits may lie on one side of all products.
    return max(abs(min(max(end, minimum), maximum)) for end in (-reach, reach))
