"""Operators that find or choose stored elements: the same in both numerics."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import IntegerType, Signedness, i8, i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import constant_of
from furiosa_ir.dialects.graph.elementwise import WhereOp
from furiosa_ir.dialects.graph.reduction import ArgExtremeOp, ArgMaxOp, ArgMinOp
from furiosa_ir.ir.shaped_operation import element_of, normal_axis, shape_of
from furiosa_ir.lowering.constraints import not_8bit_values
from furiosa_ir.lowering.registry import EXACT, LITERT, Emitter, lowers
from furiosa_ir.numerics.array import Array

INDEX_BITS = 22
"""What an index may take: with the 8 bits of the element, and a sign, it fits an i32."""

_BYTES = (i8, IntegerType(8, Signedness.UNSIGNED))


def not_8bit_operand(op: ArgExtremeOp) -> hints.Hint | None:
    """The operand is neither 8-bit quantised per tensor nor of plain 8-bit integers."""
    return None if element_of(op.x) in _BYTES else not_8bit_values(op, [op.x])


def many_indices(op: ArgExtremeOp) -> hints.Hint | None:
    """More elements along the axis than an i32 tells apart."""
    extent = _extent(op)
    if extent > 1 << INDEX_BITS:
        return hints.form(op.name, f"over {extent} elements")
    return None


def _extent(op: ArgExtremeOp) -> int:
    shape = shape_of(op.x)
    return shape[normal_axis(op, op.axis.value.data, len(shape))]


@lowers(ArgMaxOp, EXACT, LITERT, unless=[not_8bit_operand, many_indices])
@lowers(ArgMinOp, EXACT, LITERT, unless=[not_8bit_operand, many_indices])
def arg_extreme(op: ArgExtremeOp, emit: Emitter) -> SSAValue:
    """max(x * 2**k + rank) mod 2**k, the rank of the index that wins a tie being the greatest.

    k bits hold the extent of the axis. Stored elements are compared (ArgMin: their negatives), for
    dequantising is monotone. The rank is the index, or what it lacks to 2**k - 1.
    """
    axis = normal_axis(op, op.axis.value.data, emit.rank(op.x))
    extent = _extent(op)
    size = 1 << (extent - 1).bit_length()
    last = bool(op.select_last_index.value.data)
    index = np.arange(extent, dtype=np.int32)
    rank = emit.along(index if last else size - 1 - index, axis, emit.rank(op.x))
    sign = -1 if isinstance(op, ArgMinOp) else 1
    element = _rescaled(emit, emit.operand(op.x), sign * size)
    key = emit.emit(arithmetic.AddOp, [element, emit.constant(rank, i32)], i32)
    key = emit.emit(contraction.ReduceOp, [key], i32, kind="max", axes=[axis], x_zp=0)
    # Rounding down takes the element out of the key.
    winner = _rescaled(emit, key, 1, size.bit_length() - 1)
    if last:
        operands = [key, _rescaled(emit, winner, size)]
    else:
        operands = [_rescaled(emit, winner, size, plus=size - 1), key]
    # i48 is how the NPU holds 64-bit integers: no one need widen them.
    wide = i32 if element_of(op.result) == i32 else i48
    result = emit.emit(arithmetic.SubOp, operands, wide)
    if op.keepdims.value.data:
        return result
    return emit.emit(movement.ReshapeOp, [result], wide, shape=shape_of(op.result))


def _rescaled(
    emit: Emitter, x: SSAValue, multiplier: int, shift: int = 0, plus: int = 0
) -> SSAValue:
    """x * multiplier * 2**-shift + plus in i32, rounded down."""
    return emit.rescale(
        x,
        multiplier,
        shift,
        rounding="floor",
        output_zp=plus,
        minimum=-(1 << 31),
        maximum=(1 << 31) - 1,
        element=i32,
    )


def not_8bit_choices(op: WhereOp) -> hints.Hint | None:
    """What is chosen from, or the result, is not 8-bit quantised per tensor."""
    return not_8bit_values(op, [op.a, op.b, op.result])


def emit_where(op: WhereOp, emit: Emitter, a: SSAValue, b: SSAValue) -> SSAValue:
    """max(min(a, mask), min(b, -1 - mask)); the mask is 127 where the condition holds, else -128.

    A condition that the network computes comes as bytes, 1 or 0.
    """
    condition = constant_of(op.condition)
    chosen: list[SSAValue] = []
    for value, wanted in ((a, True), (b, False)):
        if condition is None:
            there = (np.arange(-128, 128) != 0) == wanted
            table = emit.constant(_mask(there), i8)
            mask = emit.emit(arithmetic.LookupOp, [emit.operand(op.condition), table])
        else:
            mask = emit.constant(_mask(condition == wanted), i8)
        chosen.append(emit.emit(arithmetic.MinimumOp, [value, mask]))
    return emit.emit(arithmetic.MaximumOp, chosen)


def _mask(there: Array) -> Array:
    return np.where(there, 127, -128).astype(np.int8)
