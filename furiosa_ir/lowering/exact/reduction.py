"""Pooling, reductions and softmax in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, MaxPoolOp, WindowPoolOp
from furiosa_ir.dialects.graph.reduction import (
    CumSumOp,
    ReduceL1Op,
    ReduceL2Op,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceOp,
    ReduceSumOp,
    ReduceSumSquareOp,
    SoftmaxOp,
)
from furiosa_ir.ir.shaped_operation import ints, normal_axis, shape_of
from furiosa_ir.lowering.constraints import (
    many_dimensional,
    many_slices,
    many_windows,
    not_8bit,
)
from furiosa_ir.lowering.exact.scale import (
    lookup,
    quantize_accumulator,
    quantize_quotient,
    requantize,
)
from furiosa_ir.lowering.exact.search import quantize_monotone
from furiosa_ir.lowering.integer_kernels import as_rows, as_shape, least, window_counts
from furiosa_ir.lowering.registry import EXACT, Emitter, lowers
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


@lowers(
    AveragePoolOp,
    EXACT,
    unless=[not_8bit, many_dimensional, many_windows, many_slices],
)
def average_pool(op: AveragePoolOp, emit: Emitter) -> SSAValue:
    """The window's sum of differences over its count, which varies at the border."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    pads = _pads_with_ceil(op)
    acc = _windows(op, emit, "sum", pads, x.zero_point)
    counts = window_counts(op, pads)
    if "D" in op.layout.data:
        counts = counts.reshape(counts.shape[0], -1)
    divisor = int(counts.flat[0]) if np.all(counts == counts.flat[0]) else counts
    bits = 9 + math.prod(ints(op.kernel_shape)).bit_length()
    result = quantize_quotient(emit, acc, x.scale, divisor, y, bits=bits)
    return _as_result(op, emit, result)


@lowers(MaxPoolOp, EXACT, unless=[not_8bit, many_dimensional, many_slices])
def max_pool(op: MaxPoolOp, emit: Emitter) -> SSAValue:
    """The greatest stored element, requantised if the scales differ."""
    result = _windows(op, emit, "max", _pads_with_ceil(op), 0)
    result = requantize(emit, result, emit.quantization(op.x), emit.quantization(op.result))
    return _as_result(op, emit, result)


def _windows(
    op: WindowPoolOp, emit: Emitter, kind: str, pads: Sequence[int], x_zp: int
) -> SSAValue:
    """The reduced windows, in i8 ("max") or i32 ("sum").

    Of one dimension as one row; of three (NCDHW) as [N, C, Do, Ho * Wo].
    """
    x, layout = emit.operand(op.x), op.layout.data
    window, strides, dilations = ints(op.kernel_shape), ints(op.strides), ints(op.dilations)
    if "D" in layout:
        return _deep_windows(op, emit, kind, pads, x_zp)
    if "H" not in layout:
        x, layout = as_rows(x, layout, emit)
        window, strides, dilations = (1, *window), (1, *strides), (1, *dilations)
        pads = (0, pads[0], 0, pads[1])
    return _window(emit, x, kind, layout, (window, strides, pads, dilations), x_zp)


def _window(
    emit: Emitter, x: SSAValue, kind: str, layout: str, form: Sequence[Sequence[int]], x_zp: int
) -> SSAValue:
    window, strides, pads, dilations = form
    return emit.emit(
        contraction.ReduceWindowOp,
        [x],
        i8 if kind == "max" else i32,
        kind=kind,
        layout=layout,
        window=window,
        strides=strides,
        pads=pads,
        dilations=dilations,
        x_zp=x_zp,
    )


def _deep_windows(
    op: WindowPoolOp, emit: Emitter, kind: str, pads: Sequence[int], x_zp: int
) -> SSAValue:
    """Windows of three dimensions: of each plane, then of the planes' results along the depth.

    [N, C, D, H, W] -> [N, C * D, H, W] -> [N, C, D, Ho * Wo] -> [N, C, Do, Ho * Wo].
    """
    batch, channels, depth, *plane = shape_of(op.x)
    deep, steps = ints(op.kernel_shape)[0], shape_of(op.result)[2]
    stride, dilation = ints(op.strides)[0], ints(op.dilations)[0]
    form = [ints(op.kernel_shape)[1:], ints(op.strides)[1:], (*pads[1:3], *pads[4:])]
    x = as_shape(emit, emit.operand(op.x), (batch, channels * depth, *plane))
    x = _window(emit, x, kind, "NCHW", [*form, ints(op.dilations)[1:]], x_zp)
    pixels = math.prod(shape_of(x)[2:])
    x = as_shape(emit, x, (batch, channels, depth, pixels))
    if kind == "max":
        along = [(deep, 1), (stride, 1), (pads[0], 0, pads[3], 0), (dilation, 1)]
        return _window(emit, x, kind, "NCHW", along, 0)
    # Padding adds 0 to the sums.
    around = [0, 0, pads[0], 0, 0, 0, pads[3], 0]
    x = emit.emit(movement.PadOp, [x], i32, pads=around, value=0)
    planes = [i * stride + k * dilation for i in range(steps) for k in range(deep)]
    x = emit.emit(movement.GatherOp, [x], i32, axis=2, indices=planes)
    x = as_shape(emit, x, (batch, channels * steps, deep, pixels))
    x = emit.emit(contraction.ReduceOp, [x], i32, kind="sum", axes=[2], x_zp=0)
    return as_shape(emit, x, (batch, channels, steps, pixels))


def _as_result(op: WindowPoolOp, emit: Emitter, value: SSAValue) -> SSAValue:
    shape = shape_of(op.result)
    return value if shape_of(value) == shape else as_shape(emit, value, shape)


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


@lowers(ReduceMinOp, EXACT, unless=[not_8bit])
def reduce_min(op: ReduceMinOp, emit: Emitter) -> SSAValue:
    """The least stored element, requantised if the scales differ."""
    result = least(op, emit)
    result = requantize(emit, result, emit.quantization(op.x), emit.quantization(op.result))
    return _without_reduced(op, emit, result)


def _summed(op: ReduceOp, emit: Emitter, function: Callable[[Array], Array]) -> SSAValue:
    """The sum of an integer function of x - x_zp, in i48."""
    x = emit.quantization(op.x)
    terms = lookup(emit, emit.operand(op.x), function(np.arange(-128, 128) - x.zero_point), i48)
    return emit.emit(contraction.ReduceOp, [terms], i48, kind="sum", axes=op.axes, x_zp=0)


@lowers(ReduceL1Op, EXACT, unless=[not_8bit])
def reduce_l1(op: ReduceL1Op, emit: Emitter) -> SSAValue:
    """The sum of |differences|, rescaled."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    total = _summed(op, emit, np.abs)
    return _without_reduced(op, emit, quantize_accumulator(emit, total, x.scale, y))


@lowers(ReduceSumSquareOp, EXACT, unless=[not_8bit])
def reduce_sum_square(op: ReduceSumSquareOp, emit: Emitter) -> SSAValue:
    """The sum of squared differences, rescaled."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    total = _summed(op, emit, np.square)
    return _without_reduced(op, emit, quantize_accumulator(emit, total, x.scale * x.scale, y))


@lowers(ReduceL2Op, EXACT, unless=[not_8bit])
def reduce_l2(op: ReduceL2Op, emit: Emitter) -> SSAValue:
    """The stored result whose threshold the sum of squared differences reaches."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    total, limit = _summed(op, emit, np.square), 255**2 * _count(op)
    result = quantize_monotone(emit, total, lambda s: np.sqrt(s) * x.scale, y, limit)
    return _without_reduced(op, emit, result)


MOST_SUMS = 4096
"""A triangle of ones with such sides takes 16 MiB."""


def many_sums(op: CumSumOp) -> hints.Hint | None:
    """Along so many elements that the triangle would take more memory than it is worth."""
    extent = shape_of(op.x)[op.axis.value.data]
    return hints.form(op.name, f"of {extent} elements") if extent > MOST_SUMS else None


@lowers(CumSumOp, EXACT, unless=[not_8bit, many_sums])
def cum_sum(op: CumSumOp, emit: Emitter) -> SSAValue:
    """The product with a triangle of ones, rescaled."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    rank = emit.rank(op.x)
    axis = normal_axis(op, op.axis.value.data, rank)
    extent = shape_of(op.x)[axis]
    terms = np.triu(np.ones((extent, extent), np.int8), op.exclusive.value.data)
    if op.reverse.value.data:
        terms = terms.T
    order = [*(i for i in range(rank) if i != axis), axis]
    moved = emit.emit(movement.TransposeOp, [emit.operand(op.x)], perm=order)
    shape = shape_of(moved)
    rows = as_shape(emit, moved, (math.prod(shape[:-1]), shape[-1]))
    acc = emit.emit(
        contraction.MatMulOp,
        [rows, emit.constant(terms, i8), None],
        i32,
        a_zp=x.zero_point,
        b_zp=0,
        transpose_b=0,
    )
    result = as_shape(emit, quantize_accumulator(emit, acc, x.scale, y), shape)
    return emit.emit(movement.TransposeOp, [result], perm=np.argsort(order).tolist())


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
    fraction = 46 - int(elementary.ceil_log2(max(1.0 / y.scale, length)))
    real = elementary.exp(np.arange(-255, 1) * x.scale * op.beta.value.data)
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
