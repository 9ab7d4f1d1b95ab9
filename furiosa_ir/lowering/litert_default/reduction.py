"""Reductions as LiteRT's default kernels compute them on x86."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.dialects.graph.reduction import (
    LogSoftmaxOp,
    ReduceMeanOp,
    ReduceSumOp,
    SoftmaxOp,
)
from furiosa_ir.ir.shaped_operation import ints, normal_axis, shape_of
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import factors
from furiosa_ir.lowering.litert import reduction as reference
from furiosa_ir.lowering.litert.convolution import is_uint8
from furiosa_ir.lowering.litert_default.rounding import first_channels, rescale_up
from furiosa_ir.lowering.registry import (
    LITERT_DEFAULT,
    Emitter,
    leaves_to_host,
    lowers,
)

VECTOR_CHANNELS = 16
"""``optimized_integer_ops::MeanImpl``: so many channels at once, the rest one by one."""

SPATIAL = [1, 2]

leaves_to_host(ReduceSumOp, LITERT_DEFAULT, "in LiteRT's default kernel, which sums in float32,")
leaves_to_host(SoftmaxOp, LITERT_DEFAULT, "in LiteRT's default kernel, which divides in float32,")
leaves_to_host(LogSoftmaxOp, LITERT_DEFAULT, "in LiteRT's default kernel, which sums in float32,")


@lowers(ReduceMeanOp, LITERT_DEFAULT, unless=[not_8bit])
def mean(op: ReduceMeanOp, emit: Emitter) -> SSAValue:
    """MEAN over height and width, 4-D with kept dimensions, has a kernel of its own.

    It (``optimized_integer_ops::Mean``, ``optimized_ops::Mean`` of uint8) sums stored integers and
    subtracts the rounded mean of the zero point. All others are the reference kernel.
    """
    rank = len(shape_of(op.x))
    axes = sorted({normal_axis(op, a, rank) for a in ints(op.axes)})
    if rank != 4 or not op.keepdims.value.data or axes != SPATIAL:
        return reference.mean(op, emit)
    uint8 = is_uint8(op.x)
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    # uint8's sum of stored integers is never negative, so that it has no ties to tell apart.
    stored = 128 if uint8 else 0
    total = emit.emit(
        contraction.ReduceOp, [emit.operand(op.x)], i32, kind="sum", axes=axes, x_zp=-stored
    )
    x_scale, y_scale = np.float32(x.scale), np.float32(y.scale)
    count = np.float32(prod(shape_of(op.x)[axis] for axis in axes))
    factor = factors.factor(float(x_scale / (count * y_scale)))
    zero = np.float32(x.zero_point + stored) * x_scale / y_scale
    offset = int(zero + np.float32(0.5) if zero > 0 else zero - np.float32(0.5))
    output_zp = y.zero_point - offset
    up = rescale_up(total, *factor, emit, output_zp=output_zp)
    channels = shape_of(op.x)[3]
    whole = channels - channels % VECTOR_CHANNELS
    if uint8 or whole == channels:
        return up
    away = emit.rescale(total, *factor, rounding="double", output_zp=output_zp)
    return first_channels(up, away, whole, emit)
