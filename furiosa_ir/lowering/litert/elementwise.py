"""Binary operators with broadcasting as LiteRT's reference kernels compute them."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.graph.elementwise import (
    AddOp,
    BinaryOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PReluOp,
    SquaredDifferenceOp,
    SubOp,
)
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import factors, function_tables
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers
from furiosa_ir.numerics.fixed_point import rescale

INT32 = np.iinfo(np.int32)
ONE_SHIFT = 31
"""Of factors from 1/2 to 1; those of greater ones are less."""


@lowers(AddOp, LITERT, unless=[not_8bit])
def add(op: AddOp, emit: Emitter) -> SSAValue:
    """ADD: both operands on a common scale with 20 more bits, then one rescale."""
    return _sum(op, arithmetic.AddOp, emit)


def finer_result(op: SubOp) -> hints.Hint | None:
    """A result of finer steps than its operands with 20 bits more have: LiteRT's shift is negative.

    ADD of such scales ends LiteRT's process, and is refused at import.
    """
    a, b, y = (Emitter.quantization(v) for v in (op.a, op.b, op.result))
    if factors.add(a.scale, b.scale, y.scale).output.shift < ONE_SHIFT:
        return hints.form(op.name, "with scales that are millions apart")
    return None


@lowers(SubOp, LITERT, unless=[not_8bit, finer_result])
def sub(op: SubOp, emit: Emitter) -> SSAValue:
    """SUB: as ADD."""
    return _sum(op, arithmetic.SubOp, emit)


def _sum(
    op: AddOp | SubOp, operation: type[arithmetic.AddOp | arithmetic.SubOp], emit: Emitter
) -> SSAValue:
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    scales = factors.add(a.scale, b.scale, y.scale)
    total = emit.emit(operation, _on_common_scale(op, scales, factors.ADD_LEFT_SHIFT, emit), i32)
    return emit.rescale(total, *scales.output, rounding="double", output_zp=y.zero_point)


def _on_common_scale(
    op: BinaryOp, scales: factors.AddFactors, left_shift: int, emit: Emitter
) -> list[SSAValue]:
    """Both operands with so many bits more: the two rescales are one table, i8 -> i32."""
    return [
        emit.emit(
            arithmetic.LookupOp,
            [
                emit.operand(v),
                emit.table(
                    function_tables.add_operand(
                        emit.quantization(v).zero_point, factor, left_shift
                    ),
                    i32,
                ),
            ],
            i32,
        )
        for v, factor in ((op.a, scales.input1), (op.b, scales.input2))
    ]


@lowers(SquaredDifferenceOp, LITERT, unless=[not_8bit])
def squared_difference(op: SquaredDifferenceOp, emit: Emitter) -> SSAValue:
    """SQUARED_DIFFERENCE (int8 only in LiteRT): as SUB with 7 bits more, squared."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    scales = factors.squared_difference(a.scale, b.scale, y.scale)
    operands = _on_common_scale(op, scales, factors.SQUARED_DIFFERENCE_LEFT_SHIFT, emit)
    difference = emit.emit(arithmetic.SubOp, operands, i32)
    square = emit.emit(arithmetic.MulOp, [difference, difference], i32)
    return emit.rescale(square, *scales.output, rounding="double", output_zp=y.zero_point)


@lowers(MulOp, LITERT, unless=[not_8bit])
def mul(op: MulOp, emit: Emitter) -> SSAValue:
    """MUL: the product of the differences from the zero points, rescaled."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    operands = [less_zero_point(op.a, emit), less_zero_point(op.b, emit)]
    product = emit.emit(arithmetic.MulOp, operands, i32)
    factor = factors.product(a.scale, b.scale, y.scale)
    return emit.rescale(product, *factor, rounding="double", output_zp=y.zero_point)


@lowers(PReluOp, LITERT, unless=[not_8bit])
def prelu(op: PReluOp, emit: Emitter) -> SSAValue:
    """PRELU: one factor where a >= 0, another of the product with the slope elsewhere."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    steps = np.arange(-128, 128) - a.zero_point
    identity = factors.ratio_float(a.scale, y.scale)
    above = rescale(np.maximum(steps, 0), *identity, rounding="double", dtype=np.int32)
    positive, negative = (
        emit.emit(arithmetic.LookupOp, [emit.operand(op.a), emit.constant(table, i32)], i32)
        for table in (above, np.minimum(steps, 0))
    )
    product = emit.emit(arithmetic.MulOp, [negative, less_zero_point(op.b, emit)], i32)
    below = emit.rescale(
        product,
        *factors.product(a.scale, b.scale, y.scale),
        rounding="double",
        minimum=int(INT32.min),
        maximum=int(INT32.max),
        element=i32,
    )
    total = emit.emit(arithmetic.AddOp, [positive, below], i32)
    return emit.rescale(total, 1, 0, rounding="floor", output_zp=y.zero_point)


@lowers(MinimumOp, LITERT, unless=[not_8bit])
def minimum(op: MinimumOp, emit: Emitter) -> SSAValue:
    """MINIMUM compares the stored integers, whatever their scales."""
    return emit.emit(arithmetic.MinimumOp, [emit.operand(op.a), emit.operand(op.b)])


@lowers(MaximumOp, LITERT, unless=[not_8bit])
def maximum(op: MaximumOp, emit: Emitter) -> SSAValue:
    """MAXIMUM compares the stored integers, whatever their scales."""
    return emit.emit(arithmetic.MaximumOp, [emit.operand(op.a), emit.operand(op.b)])


def less_zero_point(value: SSAValue, emit: Emitter) -> SSAValue:
    """A graph value less its zero point, in i32."""
    return emit.rescale(
        emit.operand(value),
        1,
        0,
        rounding="floor",
        input_zp=emit.quantization(value).zero_point,
        minimum=int(INT32.min),
        maximum=int(INT32.max),
        element=i32,
    )
