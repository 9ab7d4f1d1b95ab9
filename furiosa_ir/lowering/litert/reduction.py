"""Reductions over whole dimensions as LiteRT's reference kernels compute them."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.graph.reduction import (
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceOp,
    ReduceSumOp,
)
from furiosa_ir.ir.shaped_operation import ints, normal_axis, shape_of
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.integer_kernels import least
from furiosa_ir.lowering.litert import factors
from furiosa_ir.lowering.litert.convolution import is_uint8
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers


@lowers(ReduceMeanOp, LITERT, unless=[not_8bit])
def mean(op: ReduceMeanOp, emit: Emitter) -> SSAValue:
    """MEAN: the division by the number of elements is part of the factor."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    count = prod(shape_of(op.x)) // prod(shape_of(op.result))
    return _scaled_sum(op, factors.mean(x.scale, y.scale, count), emit)


@lowers(ReduceSumOp, LITERT, unless=[not_8bit])
def sum_(op: ReduceSumOp, emit: Emitter) -> SSAValue:
    """SUM. The kernel takes int8's bytes for uint8 ones, but leaves the zero points as they are.

    So an int8 element below 0 counts 256 more, and the result is clamped to 0 ... 255, of which
    the byte is kept.
    """
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    factor = factors.ratio(x.scale, y.scale)
    if is_uint8(op.x):
        return _scaled_sum(op, factor, emit)
    seen = emit.constant((np.arange(-128, 128) & 255) - x.zero_point, i32)
    elements = emit.emit(arithmetic.LookupOp, [emit.operand(op.x), seen], i32)
    total = emit.emit(contraction.ReduceOp, [elements], i32, kind="sum", axes=_axes(op), x_zp=0)
    # 128 less, so that it fits; the top bit then makes up for it.
    shifted = emit.rescale(total, *factor, rounding="double", output_zp=y.zero_point - 128)
    flipped = emit.constant(np.roll(np.arange(-128, 128), 128), i8)
    return _reshaped(op, emit.emit(arithmetic.LookupOp, [shifted, flipped]), emit)


@lowers(ReduceMaxOp, LITERT, unless=[not_8bit])
def reduce_max(op: ReduceMaxOp, emit: Emitter) -> SSAValue:
    """REDUCE_MAX compares the stored integers; LiteRT demands equal quantisation."""
    return _reshaped(op, _reduced(op, "max", emit), emit)


@lowers(ReduceMinOp, LITERT, unless=[not_8bit])
def reduce_min(op: ReduceMinOp, emit: Emitter) -> SSAValue:
    """REDUCE_MIN compares the stored integers; LiteRT demands equal quantisation."""
    return _reshaped(op, least(op, emit), emit)


def _scaled_sum(op: ReduceOp, factor: factors.Factor, emit: Emitter) -> SSAValue:
    y = emit.quantization(op.result)
    total = _reduced(op, "sum", emit)
    scaled = emit.rescale(total, *factor, rounding="double", output_zp=y.zero_point)
    return _reshaped(op, scaled, emit)


def _reduced(op: ReduceOp, kind: str, emit: Emitter) -> SSAValue:
    return emit.emit(
        contraction.ReduceOp,
        [emit.operand(op.x)],
        i8 if kind == "max" else i32,
        kind=kind,
        axes=_axes(op),
        x_zp=emit.quantization(op.x).zero_point,
    )


def _axes(op: ReduceOp) -> list[int]:
    rank = len(shape_of(op.x))
    return sorted({normal_axis(op, a, rank) for a in ints(op.axes)})


def _reshaped(op: ReduceOp, reduced: SSAValue, emit: Emitter) -> SSAValue:
    if op.keepdims.value.data:
        return reduced
    return emit.emit(movement.ReshapeOp, [reduced], shape=shape_of(op.result))
