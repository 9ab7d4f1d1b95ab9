"""`ftensor.rescale`: products in float64 where a factor is exact, else in integers of 64 bits.

What each rounding means `numerics.fixed_point.rescale` says; here is the same, element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from xdsl.dialects.builtin import IntegerType, i8, i32, i64
from xdsl.ir import SSAValue

from furiosa_ir.backends.mlir.lowering.elements import Elements
from furiosa_ir.backends.mlir.lowering.emission import Emitter, element
from furiosa_ir.backends.mlir.lowering.registry import lowers
from furiosa_ir.backends.mlir.ranges import type_range
from furiosa_ir.dialects.ftensor.arithmetic import AddOp, RescaleOp
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import TIE_PRECISION, Rounding, may_tie
from furiosa_ir.numerics.float_factors import FloatFactors, float_factor_of, float_factors

_HIGH_BITS = 31
"""What LiteRT's first rounding drops of a product."""

_FURTHEST = 9_223_372_036
"""Further than this nothing lies from a tie that is taken for it, since products stay below 2**63;
and this times `TIE_PRECISION` does, too."""


@dataclass(frozen=True)
class _Factor:
    """What is known of a rescale's factors when it is lowered.

    Attributes:
        shift: the least and the greatest; 0 and 62 if they are data.
        narrow: whether LiteRT's first rounding leaves what fits 32 bits, to the end.
        fits: whether what is multiplied is a number of 32 bits.
    """

    shift: tuple[int, int]
    narrow: bool = False
    fits: bool = True

    @property
    def may_be_whole(self) -> bool:
        """Whether a shift may be 0, which leaves nothing to round."""
        return self.shift[0] == 0


def _half(b: Elements, shift: SSAValue) -> SSAValue:
    """2**(shift - 1), or 0 for a shift of 0."""
    one = b.like(1, shift)
    return b.shifted_right(b.shifted_left(one, shift), one)


def _floor(b: Elements, value: SSAValue, shift: SSAValue, _factor: _Factor) -> SSAValue:
    return b.shifted_right(value, shift)


def _up(b: Elements, value: SSAValue, shift: SSAValue, _factor: _Factor) -> SSAValue:
    return b.shifted_right(b.add(value, _half(b, shift)), shift)


def _if_rounded(b: Elements, value: SSAValue, shift: SSAValue, factor: _Factor) -> SSAValue:
    """A value where there is something to round, else 0."""
    zero = b.like(0, shift)
    if not factor.may_be_whole:
        return value
    return b.select(b.compare(shift, "eq", zero), zero, value)


def _away(b: Elements, value: SSAValue, shift: SSAValue, factor: _Factor) -> SSAValue:
    negative = b.shifted_right(value, b.like(cast("IntegerType", value.type).width.data - 1, value))
    less = _if_rounded(b, negative, shift, factor)
    return b.shifted_right(b.add(b.add(value, less), _half(b, shift)), shift)


def _even(b: Elements, value: SSAValue, shift: SSAValue, factor: _Factor) -> SSAValue:
    one = b.constant(1, i64)
    odd = b.both(b.shifted_right(value, shift), one)
    less = _if_rounded(b, b.sub(odd, one), shift, factor)
    return b.shifted_right(b.add(b.add(value, less), _half(b, shift)), shift)


def _near_even(b: Elements, value: SSAValue, shift: SSAValue, factor: _Factor) -> SSAValue:
    """To nearest; where a value is within a billionth of a tie, as a tie: to the even one.

    distance <= max(2**shift, |value|) // 10**9, as a product instead of a quotient.
    """
    one, zero = b.constant(1, i64), b.constant(0, i64)
    half, whole = _half(b, shift), b.shifted_left(one, shift)
    floor = b.shifted_right(value, shift)
    rest = b.sub(b.both(value, b.sub(whole, one)), half)
    distance = b.minimum(b.maximum(rest, b.sub(zero, rest)), b.constant(_FURTHEST, i64))
    magnitude = b.maximum(whole, b.maximum(value, b.sub(zero, value)))
    is_tie = b.compare(b.mul(distance, b.constant(TIE_PRECISION, i64)), "sle", magnitude)
    if factor.may_be_whole:
        rounded = b.compare(shift, "sgt", zero)
        is_tie = b.both(is_tie, rounded)
    nearest = b.shifted_right(b.add(value, half), shift)
    return b.select(is_tie, b.add(floor, b.both(floor, one)), nearest)


_SINGLE: Mapping[str, Callable[[Elements, SSAValue, SSAValue, _Factor], SSAValue]] = {
    "floor": _floor,
    "up": _up,
    "away": _away,
    "even": _even,
    "near_even": _near_even,
}
"""Of those that round a product once."""


def _double(
    b: Elements, x: SSAValue, multiplier: SSAValue, shift: SSAValue, factor: _Factor
) -> SSAValue:
    """LiteRT's ``MultiplyByQuantizedMultiplier``: to the upper 32 bits, then the right shift."""
    zero, bits = b.constant(0, i64), b.constant(_HIGH_BITS, i64)
    low, high = factor.shift
    if low < _HIGH_BITS:  # its left shift wraps
        left = b.maximum(b.sub(bits, shift), zero)
        shifted = b.cast(b.cast(b.shifted_left(x, left), i32), i64)
        is_shifted = None if factor.fits else b.compare(left, "sgt", zero)
        x = shifted if is_shifted is None else b.select(is_shifted, shifted, x)
    nudged = b.add(b.mul(x, multiplier), b.constant(1 << 30, i64))
    value = b.shifted_right(nudged, bits)
    if high <= _HIGH_BITS:
        return value
    right = b.sub(shift, bits)
    if low < _HIGH_BITS:
        right = b.maximum(right, zero)
    if factor.narrow:
        value, right = b.cast(value, i32), b.cast(right, i32)
    span = max(low - _HIGH_BITS, 0), high - _HIGH_BITS
    return _away(b, value, right, _Factor(span))


@lowers(RescaleOp)
def lower_rescale(op: RescaleOp, emit: Emitter) -> SSAValue:
    """clamp(round((x - input_zp) * multiplier * 2**-shift) + output_zp)."""
    summed = _weighted_sum(op, emit)
    if summed is not None:
        return summed
    input_zp, output_zp = op.input_zp.value.data, op.output_zp.value.data
    low, high = op.minimum.value.data - output_zp, op.maximum.value.data - output_zp
    multiplier, shift = emit.array(op.multiplier), emit.array(op.shift)
    reals = _float_factors(op, emit, multiplier, shift)
    if reals is not None:
        return _in_float64(op, emit, reals)
    bounds = (0, 62) if shift is None else _bounds(shift)
    factor = _Factor(bounds, _is_narrow(op, emit, bounds), _reach(op, emit) < 1 << 31)
    rounding = _cheapest(op, multiplier, shift)
    operands: list[SSAValue | Array] = [emit.operand(op.x)]
    # One number for all elements is a constant of the body.
    alone = {
        name: a for name, a in (("m", multiplier), ("s", shift)) if a is not None and a.size == 1
    }
    operands += [
        emit.given(v) for n, v in (("m", op.multiplier), ("s", op.shift)) if n not in alone
    ]

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        rest = list(given[1:])
        m = b.constant(int(alone["m"].item()), i64) if "m" in alone else b.cast(rest.pop(0), i64)
        s = b.constant(int(alone["s"].item()), i64) if "s" in alone else b.cast(rest.pop(0), i64)
        x = b.cast(given[0], i64)
        if input_zp:
            x = b.sub(x, b.constant(input_zp, i64))
        if rounding == "double":
            value = _double(b, x, m, s, factor)
        else:
            value = _SINGLE[rounding](b, b.mul(x, m), s, factor)
        return _moved(b, b.clamp(value, low, high), op)

    return emit.elementwise(operands, shape_of(op.result), element(op.result), body)


def _moved(b: Elements, value: SSAValue, op: RescaleOp) -> SSAValue:
    """A rounded and clamped value by the output's zero point, in the result's width."""
    zero_point = op.output_zp.value.data
    if zero_point:
        value = b.add(value, b.like(zero_point, value))
    return b.cast(value, element(op.result))


def _is_narrow(op: RescaleOp, emit: Emitter, shift: tuple[int, int]) -> bool:
    """Whether all that follows LiteRT's first rounding, which leaves no more than x, is 32 bits."""
    low, high = shift
    if op.rounding.data != "double" or low < _HIGH_BITS or high <= _HIGH_BITS:
        return False
    half = 1 << (high - _HIGH_BITS) >> 1
    output_zp = op.output_zp.value.data
    limits = abs(op.minimum.value.data - output_zp), abs(op.maximum.value.data - output_zp)
    return max(_reach(op, emit) + 1 + half, *limits) < 1 << 31


def _fit_32_bits(op: RescaleOp) -> bool:
    """Whether zero points and limits, with and without a zero point, are numbers of 32 bits."""
    zero_points = op.input_zp.value.data, op.output_zp.value.data
    limits = op.minimum.value.data, op.maximum.value.data
    numbers = (*zero_points, *limits, *(limit - zero_points[1] for limit in limits))
    return all(-(1 << 31) <= number < 1 << 31 for number in numbers)


def _reach(op: RescaleOp, emit: Emitter) -> int:
    """The greatest magnitude of what is multiplied."""
    return max(abs(v - op.input_zp.value.data) for v in emit.ranges.of(op.x))


def _sums(op: RescaleOp, emit: Emitter, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The least and the greatest that is multiplied by each factor, of factors of a shape."""
    ends = emit.ranges.of_channels(op.x)
    if np.broadcast_shapes(ends[0].shape, shape) != shape:
        ends = [np.array(end) for end in emit.ranges.of(op.x)]  # one factor for several channels
    low, high = (np.broadcast_to(end - op.input_zp.value.data, shape).reshape(-1) for end in ends)
    return low, high


def _float_factors(
    op: RescaleOp, emit: Emitter, multiplier: Array | None, shift: Array | None
) -> FloatFactors | None:
    """Factors in float64 that give the same, of the shape of multiplier and shift together."""
    if multiplier is None or shift is None or not multiplier.size or not shift.size:
        return None
    output_zp = op.output_zp.value.data
    # What is multiplied is a difference in 32 bits, as results are.
    if _reach(op, emit) >= 1 << 31 or not _fit_32_bits(op):
        return None
    multiplier, shift = np.broadcast_arrays(multiplier, shift)
    found = float_factors(
        multiplier.reshape(-1),
        shift.reshape(-1),
        rounding=cast("Rounding", op.rounding.data),
        low=op.minimum.value.data - output_zp,
        high=op.maximum.value.data - output_zp,
        sums=_sums(op, emit, multiplier.shape),
    )
    return found and replace(found, factors=found.factors.reshape(multiplier.shape))


def _in_float64(op: RescaleOp, emit: Emitter, found: FloatFactors) -> SSAValue:
    """The product in float64, which has four elements where integers of 64 bits take many steps."""
    input_zp, output_zp = op.input_zp.value.data, op.output_zp.value.data
    low, high = op.minimum.value.data - output_zp, op.maximum.value.data - output_zp
    bits = np.ascontiguousarray(found.factors).view(np.int64)
    operands: list[SSAValue | Array] = [emit.operand(op.x)]
    if bits.size > 1:
        operands.append(bits)

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        x = b.cast(given[0], i32)
        if input_zp:
            x = b.sub(x, b.constant(input_zp, i32))
        factor = given[1] if bits.size > 1 else b.constant(int(bits.item()), i64)
        factor = b.real_of_bits(factor)
        return _moved(b, b.rounded_product(b.real(x), factor, low, high, found.nudge), op)

    return emit.elementwise(operands, shape_of(op.result), element(op.result), body)


@dataclass(frozen=True)
class _Term:
    """A value of 8 bits, less its zero point, times a whole number."""

    x: SSAValue
    zero_point: int
    multiplier: int

    @property
    def products(self) -> Array:
        """All that it may be, int64 [256]."""
        return (np.arange(-128, 128) - self.zero_point) * self.multiplier


def _weighted_sum(op: RescaleOp, emit: Emitter) -> SSAValue | None:
    """The rounded sum of two terms, as ONNX's additions are made: in float64, where it is whole.

    There are 65,536 sums, so each can be looked at. None if it is something else, or no factor
    rounds them all as the operation does.
    """
    multiplier, shift = emit.array(op.multiplier), emit.array(op.shift)
    if multiplier is None or shift is None or multiplier.size != 1 or shift.size != 1:
        return None
    if not isinstance(op.x.owner, AddOp) or op.input_zp.value.data or not _fit_32_bits(op):
        return None
    terms = [_term(v, emit) for v in op.x.owner.operands]
    if None in terms:
        return None
    first, second = cast("list[_Term]", terms)
    sums = np.add.outer(first.products, second.products).reshape(-1)
    least, greatest = type_range(op.x)
    if sums.min() < least or sums.max() > greatest:  # the addition wraps
        return None
    output_zp = op.output_zp.value.data
    low, high = op.minimum.value.data - output_zp, op.maximum.value.data - output_zp
    factor = float_factor_of(
        sums,
        int(multiplier.item()),
        int(shift.item()),
        rounding=cast("Rounding", op.rounding.data),
        low=low,
        high=high,
    )
    if factor is None:
        return None

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        reals = [
            b.real_product(
                b.real(b.sub(b.cast(x, i32), b.constant(term.zero_point, i32))),
                b.real_constant(term.multiplier),
            )
            for x, term in zip(given, (first, second), strict=False)
        ]
        value = b.rounded_product(b.real_sum(*reals), b.real_constant(factor), low, high)
        return _moved(b, value, op)

    operands = [emit.operand(first.x), emit.operand(second.x)]
    return emit.elementwise(operands, shape_of(op.result), element(op.result), body)


def _term(value: SSAValue, emit: Emitter) -> _Term | None:
    """What is a rescale of 8 bits that leaves nothing to round, and drops nothing."""
    op = value.owner
    if not isinstance(op, RescaleOp) or element_of(op.x) != i8 or op.output_zp.value.data:
        return None
    # LiteRT's rounding shifts to the left where others do not shift. A zero point is of 8 bits, so
    # that differences are of 32.
    if op.rounding.data == "double" or not -128 <= op.input_zp.value.data <= 127:
        return None
    multiplier, shift = emit.array(op.multiplier), emit.array(op.shift)
    if multiplier is None or shift is None or multiplier.size != 1 or shift.any():
        return None
    term = _Term(op.x, op.input_zp.value.data, int(multiplier.item()))
    reach = int(np.abs(term.products).max())
    limits = -op.minimum.value.data, op.maximum.value.data
    # Sums of two, and their products, are whole numbers of float64.
    return term if reach <= min(*limits, 1 << 51) else None


def _bounds(shift: Array) -> tuple[int, int]:
    return (int(shift.min()), int(shift.max())) if shift.size else (0, 62)


def _cheapest(op: RescaleOp, multiplier: Array | None, shift: Array | None) -> str:
    """The rounding, or one that gives the same where no product can be a tie."""
    rounding = op.rounding.data
    if rounding != "double" and shift is not None and shift.size and not shift.any():
        return "floor"  # there is nothing to round
    if rounding not in ("even", "away") or multiplier is None or shift is None:
        return rounding
    dtype = np.dtype(f"i{max(element(op.x).width.data // 8, 1)}")
    return rounding if may_tie(dtype, multiplier, shift) else "up"
