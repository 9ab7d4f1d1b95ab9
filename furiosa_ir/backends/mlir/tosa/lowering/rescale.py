"""`ftensor.rescale`: `tosa.rescale` or `tosa.mul` where one of them is the same, else nothing.

TOSA multiplies in 64 bits and rounds once with ties up (`SINGLE_ROUND`, and `tosa.mul`), or twice
as LiteRT does (`DOUBLE_ROUND`, an extension). `tosa.rescale` takes factors that are constants and
not negative, shifts from 2 on, and inputs below 2**(shift - 1); what is beyond is clamped first
where its result is at the limits anyway. `tosa.mul` takes any factor, and one shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, i1, i8, i32
from xdsl.dialects.tosa import RoundingMode, RoundingModeAttr
from xdsl.ir import SSAValue

from furiosa_ir.backends.mlir.ranges import Range
from furiosa_ir.backends.mlir.tosa import dialect as tosa
from furiosa_ir.backends.mlir.tosa.lowering.emission import PROPAGATE, Emitter, Inexact
from furiosa_ir.backends.mlir.tosa.lowering.registry import lowers
from furiosa_ir.dialects.ftensor.arithmetic import RescaleOp
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import may_tie

_I32: Range = -(1 << 31), (1 << 31) - 1
_HIGH_BITS = 31
"""What LiteRT's first rounding drops of a product."""

_LEAST_SHIFT, _MOST_SHIFT = 2, 62
"""Of `tosa.rescale`."""


@dataclass(frozen=True)
class _Scaling:
    """A rescale of i32 values, without zero points.

    Attributes:
        multiplier, shift: factors, as constants.
        limits: what the result is clamped to.
        range: of the values.
    """

    multiplier: Array
    shift: Array
    limits: Range
    range: Range

    def at(self, x: int) -> tuple[int, int]:
        """The least and the greatest result of a value, rounded with ties up, not clamped."""
        pairs = {(int(m), int(s)) for m, s in np.broadcast(self.multiplier, self.shift)}
        found = [(x * m + ((1 << s) >> 1)) >> s for m, s in pairs]
        return min(found), max(found)


@lowers(RescaleOp)
def lower_rescale(op: RescaleOp, emit: Emitter) -> SSAValue:
    """clamp(round((x - input_zp) * multiplier * 2**-shift) + output_zp)."""
    input_zp, output_zp = op.input_zp.value.data, op.output_zp.value.data
    low, high = op.minimum.value.data, op.maximum.value.data
    a, b = (v - input_zp for v in emit.range(op.x))
    multiplier, shift = emit.array(op.multiplier), emit.array(op.shift)
    if multiplier is None or shift is None:
        value = _by_data(op, emit, _centred(op, emit))
        return _finished(op, emit, value)
    limits = low - output_zp, high - output_zp
    scaling = _Scaling(multiplier, _where_zero(multiplier, shift, _MOST_SHIFT), limits, (a, b))
    rounding = _plainest(op, scaling)
    if rounding in ("up", "double"):
        wide = scaling if rounding == "double" else _widened(scaling)
        made = _as_rescale(op, emit, wide, rounding)
        if made is not None:
            return made
    others = np.broadcast_arrays(shift, multiplier != 0)
    alike = _where_zero(multiplier, shift, int(others[0].max(initial=0, where=others[1])))
    scaling = replace(scaling, shift=alike)
    return _finished(op, emit, _single(emit, _centred(op, emit), scaling, rounding))


def _where_zero(multiplier: Array, shift: Array, other: int) -> Array:
    """Shifts, another one where it does not matter: what is multiplied by 0 is 0."""
    return np.where(multiplier == 0, other, shift)


def _centred(op: RescaleOp, emit: Emitter) -> SSAValue:
    """X less its zero point, in i32."""
    a, b = (v - op.input_zp.value.data for v in emit.range(op.x))
    if a < _I32[0] or b > _I32[1]:
        raise Inexact("a difference of more than 32 bits")
    return emit.plus(emit.cast(emit.operand(op.x), i32), -op.input_zp.value.data)


def _finished(op: RescaleOp, emit: Emitter, value: SSAValue) -> SSAValue:
    """An i32 result as the operation's: with its zero point, clamped.

    Clamped first, as a sum that an i32 does not hold is not defined.
    """
    zero_point = op.output_zp.value.data
    low, high = op.minimum.value.data - zero_point, op.maximum.value.data - zero_point
    value = emit.plus(emit.clamp(value, low, high), zero_point)
    return emit.cast(value, emit.element(op.result))


def _plainest(op: RescaleOp, scaling: _Scaling) -> str:
    """The rounding, or one that gives the same for these factors and values."""
    rounding, least = op.rounding.data, int(scaling.shift.min(initial=62))
    # A factor that is a whole number leaves nothing to round.
    wholes = scaling.multiplier.astype(np.int64) % (np.int64(1) << scaling.shift.astype(np.int64))
    if rounding != "double" and not wholes.any():
        return "up"
    if rounding in ("even", "away") and not may_tie(
        np.dtype(np.int32), scaling.multiplier, scaling.shift
    ):
        return "up"
    if rounding == "away" and scaling.range[0] >= 0 and (scaling.multiplier >= 0).all():
        return "up"
    if rounding == "double":
        if max(-scaling.range[0], scaling.range[1] + 1) > 1 << least < 1 << _HIGH_BITS:
            raise Inexact("LiteRT's left shift may wrap around")
        # To the right of its upper bits nothing is left to be rounded twice.
        return "up" if int(scaling.shift.max(initial=0)) <= _HIGH_BITS else rounding
    if rounding in ("even", "near_even"):
        raise Inexact("ties that are rounded to even")
    return rounding


def _widened(scaling: _Scaling) -> _Scaling:
    """The same factors by the greatest multipliers: inputs may be as large as shifts allow.

    x * (m * 2**k) rounded once at s + k is x * m rounded once at s.
    """
    multiplier, shift = np.broadcast_arrays(scaling.multiplier.astype(np.int64), scaling.shift)
    # The bits of a multiplier: 31 are the most.
    bits = np.frexp(np.abs(multiplier).astype(np.float64))[1]
    more = np.clip(np.minimum(_HIGH_BITS - bits, _MOST_SHIFT - shift), 0, _HIGH_BITS - 1)
    return replace(scaling, multiplier=multiplier << more, shift=shift + more)


def _as_rescale(op: RescaleOp, emit: Emitter, scaling: _Scaling, rounding: str) -> SSAValue | None:
    """One `tosa.rescale`; None where that would be something else."""
    x, element = emit.operand(op.x), emit.element(op.result)
    least = int(scaling.shift.min(initial=62))
    if (scaling.multiplier < 0).any() or least < _LEAST_SHIFT or not shape_of(op.x):
        return None
    is_wide = emit.element(op.x) == i32
    ends = _clamped_to(scaling)
    if ends is None or (ends and (not is_wide or op.input_zp.value.data)):
        return None
    for kind, end in zip((tosa.MaximumOp, tosa.MinimumOp), ends, strict=False):
        bound = emit.constant(end.astype(np.int32))
        x = emit.paired(kind, x, bound, nan_mode=PROPAGATE)
    input_zp, output_zp = op.input_zp.value.data, op.output_zp.value.data
    if is_wide and input_zp:
        x, input_zp = _centred(op, emit), 0
    axis = _channel(scaling, shape_of(op.x))
    later = 0
    if element == i32 or not -128 <= output_zp <= 127:
        if element != i32:
            return None
        output_zp, later = 0, output_zp
    rank = len(shape_of(op.x))
    turned = axis is not None and axis != rank - 1
    order = [i for i in range(rank) if i != axis] + ([] if axis is None else [axis])
    x = emit.transpose(x, order) if turned else x
    kind = np.int8 if element_of(x) == i8 else np.int32
    factors = [v.reshape(-1) for v in np.broadcast_arrays(scaling.multiplier, scaling.shift)]
    made = emit.made(
        tosa.RescaleOp,
        [
            x,
            emit.constant(factors[0].astype(np.int32)),
            emit.constant(factors[1].astype(np.int8)),
            emit.constant(np.array([input_zp], kind)),
            emit.one(output_zp, element),
        ],
        shape_of(x),
        element,
        scale32=IntegerAttr(1, i1),
        rounding_mode=RoundingModeAttr(
            RoundingMode.DOUBLE_ROUND if rounding == "double" else RoundingMode.SINGLE_ROUND
        ),
        per_channel=IntegerAttr(int(axis is not None), i1),
        input_unsigned=IntegerAttr(0, i1),
        output_unsigned=IntegerAttr(0, i1),
    )
    if turned:
        made = emit.transpose(made, [order.index(i) for i in range(rank)])
    if later:
        return _finished(op, emit, made)
    return emit.clamp(made, op.minimum.value.data, op.maximum.value.data)


def _clamped_to(scaling: _Scaling) -> tuple[Array, ...] | None:
    """What inputs are clamped to, least and greatest by factor, for `tosa.rescale` to take them.

    Returns:
        Nothing if it takes them as they are; None if a result would be another one.
    """
    multiplier, shift = np.broadcast_arrays(scaling.multiplier.astype(np.int64), scaling.shift)
    (a, b), (low, high) = scaling.range, scaling.limits
    reach = np.left_shift(np.int64(1), np.minimum(shift.astype(np.int64) - 1, _HIGH_BITS + 1))
    is_beyond = (a < -reach) | (b >= reach)
    if not is_beyond.any():
        return ()
    # At the limits anyway? Neither product leaves 64 bits, as each reach is below 2**32.
    half = np.left_shift(np.int64(1), np.minimum(shift, _HIGH_BITS + 1).astype(np.int64)) >> 1
    least, most = ((end * multiplier + half) >> shift for end in (-reach, reach - 1))
    if (is_beyond & ((least > low) | (most < high))).any():
        return None
    return np.where(is_beyond, -reach, _I32[0]), np.where(is_beyond, reach - 1, _I32[1])


def _channel(scaling: _Scaling, shape: tuple[int, ...]) -> int | None:
    """The axis that factors differ along; None if there is one for all."""
    along = np.broadcast_shapes(scaling.multiplier.shape, scaling.shift.shape)
    axes = [i + len(shape) - len(along) for i, n in enumerate(along) if n > 1]
    if len(axes) > 1:
        raise Inexact("factors that differ along two axes")
    return axes[0] if axes else None


def _single(emit: Emitter, x: SSAValue, scaling: _Scaling, rounding: str) -> SSAValue:
    """A rescale of i32 values by one constant shift, of multiplications and shifts."""
    if scaling.shift.size != 1 and len(np.unique(scaling.shift)) != 1:
        raise Inexact(
            "shifts that differ, for inputs or by factors that tosa.rescale does not take"
        )
    shift = int(scaling.shift.reshape(-1)[0])
    if rounding == "double":
        raise Inexact("two roundings by a factor that is negative")
    if rounding == "floor":
        return _floor(emit, x, scaling, shift)
    if rounding == "away":
        if (scaling.multiplier < 0).any():
            raise Inexact("ties that are rounded away from zero, of a factor that is negative")
        if scaling.range[0] <= _I32[0]:
            raise Inexact("ties that are rounded away from zero, of any number of 32 bits")
        reach = max(-scaling.range[0], scaling.range[1])
        limits = max(-scaling.limits[0], scaling.limits[1])
        of_size = _Scaling(scaling.multiplier, scaling.shift, (0, limits), (0, reach))
        size = emit.made(tosa.AbsOp, [x], shape_of(x), i32)
        size = _product(emit, size, of_size, shift)
        return emit.select(emit.greater(emit.like(0, x), x), emit.negated(size), size)
    return _product(emit, x, scaling, shift)


def _product(emit: Emitter, x: SSAValue, scaling: _Scaling, shift: int) -> SSAValue:
    """round(x * multiplier * 2**-shift) with ties up, at its limits where it leaves i32."""
    low, high = scaling.limits
    multiplier = emit.constant(scaling.multiplier.astype(np.int32))
    multiplier = emit.ranked(multiplier, len(shape_of(x)))
    ends = [v for end in scaling.range for v in scaling.at(end)]
    if min(ends) >= _I32[0] and max(ends) <= _I32[1]:
        return emit.mul(x, multiplier, shift)
    if scaling.multiplier.size != 1 or scaling.multiplier.min() <= 0:
        raise Inexact("products of more than 32 bits")
    if low < _I32[0] or high > _I32[1]:
        raise Inexact("a zero point of products of more than 32 bits")
    m, half = int(scaling.multiplier.reshape(-1)[0]), (1 << shift) >> 1
    # The last inputs whose results an i32 holds: x * m + half < 2**(31 + shift).
    most = (((_I32[1] + 1) << shift) - 1 - half) // m
    least = -((-(_I32[0] << shift) + half) // m)
    made = emit.mul(emit.clamp(x, least, most), multiplier, shift)
    if scaling.at(most)[0] < high:
        made = emit.select(emit.greater(x, emit.like(most, x)), emit.like(high, x), made)
    if scaling.at(least)[0] > low:
        made = emit.select(emit.greater(emit.like(least, x), x), emit.like(low, x), made)
    return made


def _floor(emit: Emitter, x: SSAValue, scaling: _Scaling, shift: int) -> SSAValue:
    """floor(x * multiplier * 2**-shift)."""
    ends = [int(m) * end for m in scaling.multiplier.reshape(-1) for end in scaling.range]
    if min(ends) < _I32[0] or max(ends) > _I32[1]:
        raise Inexact("products of more than 32 bits that are rounded down")
    if (scaling.multiplier != 1).any():
        multiplier = emit.constant(scaling.multiplier.astype(np.int32))
        x = emit.mul(x, emit.ranked(multiplier, len(shape_of(x))))
    return emit.shifted_right(x, emit.like(min(shift, 31), x), is_rounded=False)


def _by_data(op: RescaleOp, emit: Emitter, x: SSAValue) -> SSAValue:
    """A rescale whose factors are computed, as LiteRT's softmax has them.

    A product has to fit i32 once it is shifted, as in LiteRT, whose behaviour is undefined else.
    """
    rounding, shift = op.rounding.data, emit.array(op.shift)
    multiplier = emit.cast(emit.operand(op.multiplier), i32)
    if rounding == "up" and shift is not None and shift.size == 1:
        return emit.mul(x, multiplier, int(shift.reshape(-1)[0]))
    low, high = emit.range(op.shift)
    if rounding != "double" or low < _HIGH_BITS or high > _HIGH_BITS + 31:
        raise Inexact(f"a computed factor, rounded '{rounding}'")
    value = emit.mul(x, multiplier, _HIGH_BITS)
    right = emit.plus(emit.cast(emit.operand(op.shift), i32), -_HIGH_BITS)
    size = emit.made(tosa.AbsOp, [value], shape_of(value), i32)
    size = emit.shifted_right(size, right, is_rounded=True)
    return emit.select(emit.greater(emit.like(0, value), value), emit.negated(size), size)
