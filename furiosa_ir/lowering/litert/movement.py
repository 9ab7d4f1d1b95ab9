"""Operators that move elements as LiteRT's reference kernels do: mostly the stored integers."""

from __future__ import annotations

from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import arithmetic, movement
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import WhereOp
from furiosa_ir.dialects.graph.movement import ConcatOp, PadOp
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, SpaceToBatchOp
from furiosa_ir.ir.shaped_operation import ints
from furiosa_ir.lowering.constraints import long_gather, not_8bit
from furiosa_ir.lowering.litert import factors, function_tables
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers
from furiosa_ir.lowering.shared.selection import emit_where, not_8bit_choices
from furiosa_ir.lowering.shared.stored_movement import (
    GATHERED,
    MOVEMENTS,
    emit_concat,
    emit_movement,
    emit_pad,
    emit_steps,
)


def move(op: GraphOp, emit: Emitter) -> list[SSAValue]:
    """RESHAPE, TRANSPOSE, ...: bytes move, whatever the quantisations say."""
    return emit_movement(op, emit)


for _operation in MOVEMENTS:
    _listed = [long_gather] if _operation in GATHERED else []
    lowers(_operation, LITERT, unless=[not_8bit, *_listed])(move)


@lowers(ConcatOp, LITERT, unless=[not_8bit])
def concat(op: ConcatOp, emit: Emitter) -> SSAValue:
    """CONCATENATION: operands of another quantisation go through a table first.

    Only uint8 has them (``ConcatenationWithScaling``, in float32); LiteRT refuses them in int8.
    """
    y = emit.quantization(op.result)
    operands: list[SSAValue] = []
    for value in op.inputs:
        x, operand = emit.quantization(value), emit.operand(value)
        if (x.scale, x.zero_point) != (y.scale, y.zero_point):
            table = function_tables.requantize_float(
                function_tables.Quantization(x.scale, x.zero_point),
                function_tables.Quantization(y.scale, y.zero_point),
            )
            operand = emit.emit(arithmetic.LookupOp, [operand, emit.constant(table, i8)])
        operands.append(operand)
    return emit_concat(op, emit, operands)


@lowers(WhereOp, LITERT, unless=[not_8bit_choices])
def where(op: WhereOp, emit: Emitter) -> SSAValue:
    """SELECT_V2: bytes are chosen, whatever the quantisations say."""
    return emit_where(op, emit, emit.operand(op.a), emit.operand(op.b))


@lowers(PadOp, LITERT, unless=[not_8bit, long_gather])
def pad(op: PadOp, emit: Emitter) -> SSAValue:
    """PAD fills with the zero point, PADV2 with a stored integer; MIRROR_PAD moves bytes."""
    y = emit.quantization(op.result)
    fill = factors.quantize(op.value.value.data, y.scale, y.zero_point)
    fill = min(max(fill, -128), 127)
    return emit_pad(op, emit, emit.operand(op.x), fill)


@lowers(SpaceToBatchOp, LITERT, unless=[not_8bit])
def space_to_batch(op: SpaceToBatchOp, emit: Emitter) -> SSAValue:
    """SPACE_TO_BATCH_ND fills with the zero point."""
    x = emit.operand(op.x)
    if any(ints(op.pads)):
        fill = emit.quantization(op.result).zero_point
        x = emit.emit(movement.PadOp, [x], pads=op.all_pads(), value=fill)
    return emit_steps(op.steps(), emit, x)


@lowers(BatchToSpaceOp, LITERT, unless=[not_8bit])
def batch_to_space(op: BatchToSpaceOp, emit: Emitter) -> SSAValue:
    """BATCH_TO_SPACE_ND."""
    x = emit_steps(op.steps(), emit, emit.operand(op.x))
    if not any(ints(op.crops)):
        return x
    starts, ends = op.bounds()
    return emit.emit(movement.SliceOp, [x], starts=starts, ends=ends, steps=[1] * len(starts))
