"""Element-by-element operators in exact arithmetic.

Every function of one 8-bit element is a table, so a new unary operator needs no lowering: its
class's `evaluate` is enough.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.lowering.constraints import not_8bit
from furiosa_ir.backends.warboy.lowering.exact.scale import (
    apply_table,
    exact_multipliers,
    lookup,
    quantize_accumulator,
    quantize_real,
    requantize,
    wide_multiple,
    widen,
)
from furiosa_ir.backends.warboy.lowering.registry import EXACT, LITERT, Emitter, lowers
from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.ftensor.base import TensorOp, i48
from furiosa_ir.dialects.graph import OPERATIONS
from furiosa_ir.dialects.graph.elementwise import (
    AddOp,
    BinaryOp,
    ClipOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    ReluOp,
    SubOp,
    TableOp,
    UnaryOp,
)
from furiosa_ir.dialects.graph.quantization import QuantizeOp


def unary(op: UnaryOp, emit: Emitter) -> SSAValue:
    """Q(f(dequantised x)), looked up."""
    source, target = emit.quantization(op.x), emit.quantization(op.result)
    return apply_table(emit, emit.operand(op.x), source, target, lambda x: op.evaluate(x)[0])


for _operation in OPERATIONS:
    if issubclass(_operation, UnaryOp) and _operation is not TableOp:
        lowers(_operation, EXACT, unless=[not_8bit])(unary)


def _bounded(op: ReluOp | ClipOp, emit: Emitter, low: float | None, high: float | None) -> SSAValue:
    """A clamp where both sides are quantised alike (it then joins the rescale), else a table."""
    source, target = emit.quantization(op.x), emit.quantization(op.result)
    if (source.scale, source.zero_point) != (target.scale, target.zero_point):
        return unary(op, emit)
    bounds = (
        -128 if low is None else int(quantize_real(low, target)),
        127 if high is None else int(quantize_real(high, target)),
    )
    operand = emit.operand(op.x)
    if bounds == (-128, 127):
        return operand
    return emit.emit(arithmetic.ClampOp, [operand], i8, minimum=bounds[0], maximum=bounds[1])


@lowers(ReluOp, EXACT, unless=[not_8bit])
def relu(op: ReluOp, emit: Emitter) -> SSAValue:
    """Q(max(x, 0)) = max(Q(x), Q(0)): quantising is monotone."""
    return _bounded(op, emit, 0.0, None)


@lowers(ClipOp, EXACT, unless=[not_8bit])
def clip(op: ClipOp, emit: Emitter) -> SSAValue:
    """Q(clip(x)) = clamp(Q(x), Q(minimum), Q(maximum)): quantising is monotone."""
    low, high = (None if b is None else b.value.data for b in (op.minimum, op.maximum))
    return _bounded(op, emit, low, high)


@lowers(TableOp, EXACT, LITERT, unless=[not_8bit])
def table(op: TableOp, emit: Emitter) -> SSAValue:
    """The table as it is; stored uint8 in and out become int8 (entry order stays: 0..255)."""
    entries = op.table.array
    if entries.dtype == np.uint8:
        entries = (entries ^ np.uint8(0x80)).view(np.int8)
    return lookup(emit, emit.operand(op.x), entries)


@lowers(QuantizeOp, EXACT, unless=[not_8bit])
def quantize(op: QuantizeOp, emit: Emitter) -> SSAValue:
    """Requantisation: a table."""
    return requantize(
        emit, emit.operand(op.x), emit.quantization(op.x), emit.quantization(op.result)
    )


def _sum(op: AddOp | SubOp, emit: Emitter, sign: int) -> SSAValue:
    """(a - a_zp) * Ma + (b - b_zp) * Mb in i48, one rounding: both scales over the result's."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    factors = np.array([a.scale, sign * b.scale]) / y.scale
    # One shift for both: the larger factor gets all 31 bits.
    _, shifts = exact_multipliers(factors)
    shift = int(shifts.min())
    wide = [
        wide_multiple(emit, emit.operand(v), round(float(np.ldexp(f, shift))), q.zero_point)
        for v, q, f in ((op.a, a, factors[0]), (op.b, b, factors[1]))
    ]
    total = emit.emit(arithmetic.AddOp, wide, i48)
    return emit.rescale(total, 1, shift, rounding="near_even", output_zp=y.zero_point)


@lowers(AddOp, EXACT, unless=[not_8bit])
def add(op: AddOp, emit: Emitter) -> SSAValue:
    """A weighted sum, rounded once."""
    return _sum(op, emit, 1)


@lowers(SubOp, EXACT, unless=[not_8bit])
def sub(op: SubOp, emit: Emitter) -> SSAValue:
    """A weighted difference, rounded once."""
    return _sum(op, emit, -1)


@lowers(MulOp, EXACT, unless=[not_8bit])
def mul(op: MulOp, emit: Emitter) -> SSAValue:
    """The product of the differences, rescaled by a_scale * b_scale / result_scale."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    product = emit.emit(
        arithmetic.MulOp,
        [
            widen(emit, emit.operand(op.a), a.zero_point),
            widen(emit, emit.operand(op.b), b.zero_point),
        ],
        i32,
    )
    return quantize_accumulator(emit, product, a.scale * b.scale, y)


def _extremum(op: BinaryOp, emit: Emitter, kind: type[TensorOp]) -> SSAValue:
    """Both operands under the result's scale, then compared: quantising is monotone."""
    y = emit.quantization(op.result)
    operands = [requantize(emit, emit.operand(v), emit.quantization(v), y) for v in (op.a, op.b)]
    return emit.emit(kind, operands, i8)


@lowers(MinimumOp, EXACT, unless=[not_8bit])
def minimum(op: MinimumOp, emit: Emitter) -> SSAValue:
    """Q(min(a, b)) = min(Q(a), Q(b))."""
    return _extremum(op, emit, arithmetic.MinimumOp)


@lowers(MaximumOp, EXACT, unless=[not_8bit])
def maximum(op: MaximumOp, emit: Emitter) -> SSAValue:
    """Q(max(a, b)) = max(Q(a), Q(b))."""
    return _extremum(op, emit, arithmetic.MaximumOp)
