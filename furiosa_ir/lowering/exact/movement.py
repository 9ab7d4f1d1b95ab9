"""Data movement in exact arithmetic: where scales differ, the moved elements are requantised."""

from __future__ import annotations

from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import WhereOp
from furiosa_ir.dialects.graph.movement import ConcatOp, PadOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.quant import arithmetic as quant
from furiosa_ir.lowering.constraints import (
    long_gather,
    many_dimensional,
    not_8bit,
)
from furiosa_ir.lowering.exact.scale import (
    quantize_quotient,
    requantize,
)
from furiosa_ir.lowering.integer_kernels import emit_interpolation
from furiosa_ir.lowering.registry import EXACT, Emitter, lowers
from furiosa_ir.lowering.shared.selection import emit_where, not_8bit_choices
from furiosa_ir.lowering.shared.stored_movement import (
    GATHERED,
    MOVEMENTS,
    emit_concat,
    emit_movement,
    emit_nearest,
    emit_pad,
)


def move(op: GraphOp, emit: Emitter) -> list[SSAValue]:
    """The movement, then requantisation where a result has its own scale."""
    source = emit.quantization(op.operands[0])
    return [
        requantize(emit, moved, source, emit.quantization(result))
        for moved, result in zip(emit_movement(op, emit), op.results, strict=True)
    ]


for _operation in MOVEMENTS:
    _listed = [long_gather] if _operation in GATHERED else []
    lowers(_operation, EXACT, unless=[not_8bit, *_listed])(move)


@lowers(ConcatOp, EXACT, unless=[not_8bit])
def concat(op: ConcatOp, emit: Emitter) -> SSAValue:
    """Each operand under the result's scale, one behind the other."""
    y = emit.quantization(op.result)
    return emit_concat(
        op, emit, [requantize(emit, emit.operand(v), emit.quantization(v), y) for v in op.inputs]
    )


@lowers(WhereOp, EXACT, unless=[not_8bit_choices])
def where(op: WhereOp, emit: Emitter) -> SSAValue:
    """The choice between the operands under the result's scale."""
    y = emit.quantization(op.result)
    a, b = (requantize(emit, emit.operand(v), emit.quantization(v), y) for v in (op.a, op.b))
    return emit_where(op, emit, a, b)


@lowers(PadOp, EXACT, unless=[not_8bit, long_gather])
def pad(op: PadOp, emit: Emitter) -> SSAValue:
    """Padding with the stored form of the value, then requantisation."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    moved = requantize(emit, emit.operand(op.x), x, y)
    return emit_pad(op, emit, moved, int(quant.quantize(op.value.value.data, y)))


@lowers(ResizeOp, EXACT, unless=[not_8bit, many_dimensional, long_gather])
def resize(op: ResizeOp, emit: Emitter) -> SSAValue:
    """Nearest: a gather along each axis. Linear: integer weights, one division at the end."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    if op.mode.data == "nearest":
        return requantize(emit, emit_nearest(op, emit), x, y)
    centred, unit = emit_interpolation(op, emit)
    bits = 9 + int(unit).bit_length()
    return quantize_quotient(emit, centred, x.scale, unit, y, bits=bits)
