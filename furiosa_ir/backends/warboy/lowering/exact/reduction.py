"""Pooling, reductions and softmax in exact arithmetic."""

from __future__ import annotations

import math

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.lowering.constraints import not_8bit, not_two_dimensional
from furiosa_ir.backends.warboy.lowering.exact.scale import (
    lookup,
    quantize_accumulator,
    quantize_quotient,
    requantize,
)
from furiosa_ir.backends.warboy.lowering.kernels import window_counts
from furiosa_ir.backends.warboy.lowering.registry import EXACT, Emitter, lowers
from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import ints, shape_of
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, MaxPoolOp
from furiosa_ir.dialects.graph.reduction import (
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceOp,
    ReduceSumOp,
    SoftmaxOp,
)


@lowers(AveragePoolOp, EXACT, unless=[not_8bit, not_two_dimensional])
def average_pool(op: AveragePoolOp, emit: Emitter) -> SSAValue:
    """The window's sum of differences over its count, which varies at the border."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    pads = _pads_with_ceil(op)
    acc = emit.emit(
        contraction.ReduceWindowOp,
        [emit.operand(op.x)],
        i32,
        kind="sum",
        layout=op.layout,
        window=op.kernel_shape,
        strides=op.strides,
        pads=pads,
        dilations=op.dilations,
        x_zp=x.zero_point,
    )
    counts = window_counts(op, pads)
    divisor = int(counts.flat[0]) if np.all(counts == counts.flat[0]) else counts
    bits = 9 + math.prod(ints(op.kernel_shape)).bit_length()
    return quantize_quotient(emit, acc, x.scale, divisor, y, bits=bits)


@lowers(MaxPoolOp, EXACT, unless=[not_8bit, not_two_dimensional])
def max_pool(op: MaxPoolOp, emit: Emitter) -> SSAValue:
    """The greatest stored element, requantised if the scales differ."""
    result = emit.emit(
        contraction.ReduceWindowOp,
        [emit.operand(op.x)],
        i8,
        kind="max",
        layout=op.layout,
        window=op.kernel_shape,
        strides=op.strides,
        pads=_pads_with_ceil(op),
        dilations=op.dilations,
        x_zp=0,
    )
    return requantize(emit, result, emit.quantization(op.x), emit.quantization(op.result))


def _pads_with_ceil(op: AveragePoolOp | MaxPoolOp) -> list[int]:
    """The pads with the end padding that ceil_mode's last window needs (or floor mode leaves)."""
    layout = op.layout.data
    pads = list(ints(op.pads))
    spatial = [i for i, d in enumerate(layout) if d not in "NC"]
    n = len(spatial)
    for k, axis in enumerate(spatial):
        span = (ints(op.kernel_shape)[k] - 1) * ints(op.dilations)[k] + 1
        count, extent = shape_of(op.result)[axis], shape_of(op.x)[axis]
        covered = (count - 1) * ints(op.strides)[k] + span
        pads[k + n] = max(pads[k + n], covered - extent - pads[k])
    return pads


def _reduce(op: ReduceOp, emit: Emitter, kind: str, zero_point: int) -> SSAValue:
    return emit.emit(
        contraction.ReduceOp,
        [emit.operand(op.x)],
        i8 if kind == "max" else i32,
        kind=kind,
        axes=op.axes,
        x_zp=zero_point,
    )


def _without_reduced(op: ReduceOp, emit: Emitter, value: SSAValue) -> SSAValue:
    if op.keepdims.value.data:
        return value
    return emit.emit(movement.ReshapeOp, [value], i8, shape=shape_of(op.result))


def _count(op: ReduceOp) -> int:
    return math.prod(shape_of(op.x)[axis] for axis in ints(op.axes))


@lowers(ReduceMeanOp, EXACT, unless=[not_8bit])
def reduce_mean(op: ReduceMeanOp, emit: Emitter) -> SSAValue:
    """The sum of differences over the count."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    acc = _reduce(op, emit, "sum", x.zero_point)
    count = _count(op)
    result = quantize_quotient(emit, acc, x.scale, count, y, bits=9 + count.bit_length())
    return _without_reduced(op, emit, result)


@lowers(ReduceSumOp, EXACT, unless=[not_8bit])
def reduce_sum(op: ReduceSumOp, emit: Emitter) -> SSAValue:
    """The sum of differences, rescaled."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    acc = _reduce(op, emit, "sum", x.zero_point)
    return _without_reduced(op, emit, quantize_accumulator(emit, acc, x.scale, y))


@lowers(ReduceMaxOp, EXACT, unless=[not_8bit])
def reduce_max(op: ReduceMaxOp, emit: Emitter) -> SSAValue:
    """The greatest stored element, requantised if the scales differ."""
    result = _reduce(op, emit, "max", 0)
    result = requantize(emit, result, emit.quantization(op.x), emit.quantization(op.result))
    return _without_reduced(op, emit, result)


@lowers(SoftmaxOp, EXACT, unless=[not_8bit])
def softmax(op: SoftmaxOp, emit: Emitter) -> SSAValue:
    """exp by table in fixed point, summed in i48, one integer division.

    With d = x - max in [-255, 0], two tables hold exp(beta * scale * d) * 2**F, one of them over
    the result's scale: the quotient of an entry and the sum is the stored result. F leaves 47 bits
    for both; the quotient's error is below 2**-30 of a step for up to 2**10 elements.
    """
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    axis = op.axis.value.data % emit.rank(op.x)
    length = shape_of(op.x)[axis]
    operand = emit.operand(op.x)
    greatest = emit.emit(contraction.ReduceOp, [operand], i8, kind="max", axes=[axis], x_zp=0)
    difference = emit.emit(arithmetic.SubOp, [operand, greatest], i32)
    index = emit.rescale(difference, 1, 0, rounding="even", output_zp=127)
    room = max(math.log2(1.0 / y.scale), math.log2(length), 0.0)
    fraction = 46 - math.ceil(room)
    real = np.exp(np.arange(-255, 1) * x.scale * op.beta.value.data)
    entries = [np.rint(real * 2.0**fraction / scale) for scale in (y.scale, 1.0)]
    numerator, term = (lookup(emit, index, t.astype(np.int64), i48) for t in entries)
    total = emit.emit(contraction.ReduceOp, [term], i48, kind="sum", axes=[axis], x_zp=0)
    return emit.emit(
        arithmetic.DivideOp,
        [numerator, total],
        i8,
        output_zp=y.zero_point,
        minimum=-128,
        maximum=127,
    )
