"""Convolutions and matrix products in i32, sums and greatest elements.

TOSA's windows lie over NHWC data, and have to cover their padded operand exactly: pads at the end
are what they need, and what no window reaches is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.backends.mlir.tosa import dialect as tosa
from furiosa_ir.backends.mlir.tosa.lowering.emission import PROPAGATE, Emitter, Inexact, i64s
from furiosa_ir.backends.mlir.tosa.lowering.registry import lowers
from furiosa_ir.dialects.ftensor.contraction import ConvOp, MatMulOp, ReduceOp, ReduceWindowOp
from furiosa_ir.ir.shaped_operation import Shape, ints, shape_of
from furiosa_ir.numerics.array import Array

_ACCUMULATOR: Attribute = i32
_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


@lowers(ConvOp)
def lower_conv(op: ConvOp, emit: Emitter) -> SSAValue:
    """Sum over a window and a group's channels of (x - x_zp) * (weight - weight_zp), plus bias."""
    weight, zero_point = emit.array(op.weight), op.x_zp.value.data
    if weight is None:
        raise Inexact("a weight that is computed")
    is_behind = op.layout.data == "NHWC"
    x = emit.operand(op.x)
    x = x if is_behind else emit.transpose(x, _TO_NHWC)
    x = _spread(emit, x, ints(op.input_dilation), zero_point)
    shape = shape_of(op.result)
    shape = shape if is_behind else tuple(shape[i] for i in _TO_NHWC)
    windows = weight.shape[1:3], ints(op.strides), ints(op.dilations)
    x, pads = _fitted(emit, x, windows, shape[1:3], ints(op.pads))
    if op.bias is None:
        bias = emit.constant(np.zeros(shape[3:], np.int32))
    else:
        bias = emit.operand(op.bias)
    made = _sums(op, emit, x, weight, bias, shape, pads)
    return made if is_behind else emit.transpose(made, _TO_NCHW)


def _spread(emit: Emitter, x: SSAValue, steps: Sequence[int], number: int) -> SSAValue:
    """X [N, H, W, C] with steps - 1 elements of a number between neighbours along H and W."""
    if tuple(steps) == (1, 1):
        return x
    n, h, w, c = shape_of(x)
    (dh, dw), none = steps, (0,) * 6
    x = emit.reshape(x, (n, h, 1, w, 1, c))
    x = emit.padded(x, none, (0, 0, dh - 1, 0, dw - 1, 0), number)
    x = emit.reshape(x, (n, h * dh, w * dw, c))
    return emit.sliced(x, (0,) * 4, (n, (h - 1) * dh + 1, (w - 1) * dw + 1, c))


def _fitted(
    emit: Emitter,
    x: SSAValue,
    windows: tuple[Sequence[int], Sequence[int], Sequence[int]],
    outputs: Sequence[int],
    pads: Sequence[int],
) -> tuple[SSAValue, list[int]]:
    """X cut to what windows reach, and the padding that they need: top, bottom, left, right."""
    shape = list(shape_of(x))
    starts, kept, needed = [0] * 4, [*shape], [0] * 4
    for i, (kernel, stride, dilation) in enumerate(zip(*windows, strict=True)):
        covers = (outputs[i] - 1) * stride + (kernel - 1) * dilation + 1
        begin = max(pads[i], 0)
        starts[i + 1] = max(-pads[i], 0)
        kept[i + 1] = max(min(shape[i + 1] - starts[i + 1], covers - begin), 1)
        needed[2 * i] = begin
        needed[2 * i + 1] = covers - begin - kept[i + 1]
    if min(needed) < 0:
        raise Inexact("windows that lie in the padding alone")
    return emit.sliced(x, starts, kept), needed


def _sums(
    op: ConvOp,
    emit: Emitter,
    x: SSAValue,
    weight: Array,
    bias: SSAValue,
    shape: Shape,
    pads: Sequence[int],
) -> SSAValue:
    groups, outputs, inner = op.group.value.data, weight.shape[0], weight.shape[3]
    zero_points = [emit.one(p.value.data, i8) for p in (op.x_zp, op.weight_zp)]
    properties = {
        "pad": i64s(pads),
        "stride": i64s(ints(op.strides)),
        "dilation": i64s(ints(op.dilations)),
        "acc_type": _ACCUMULATOR,
    }
    if inner == 1 and groups > 1:
        taps = weight[..., 0].reshape(groups, outputs // groups, *weight.shape[1:3])
        held = emit.constant(taps.transpose(2, 3, 0, 1))
        operands = [x, held, bias, *zero_points]
        return emit.made(tosa.DepthwiseConv2DOp, operands, shape, i32, **properties)
    each, parts = outputs // groups, list[SSAValue]()
    extents = shape_of(x)[:3]
    for g in range(groups):
        given = emit.sliced(x, (0, 0, 0, g * inner), (*extents, inner))
        held = emit.constant(weight[g * each : (g + 1) * each])
        added = emit.sliced(bias, (g * each,), (each,))
        operands = [given, held, added, *zero_points]
        whole = (*shape[:3], each)
        parts.append(emit.made(tosa.Conv2DOp, operands, whole, i32, **properties))
    if groups == 1:
        return parts[0]
    return emit.made(tosa.ConcatOp, parts, shape, i32, axis=IntegerAttr(3, i32))


@lowers(MatMulOp)
def lower_matmul(op: MatMulOp, emit: Emitter) -> SSAValue:
    """Sum over k of (a[..., m, k] - a_zp) * (b[..., k, n] - b_zp), plus bias."""
    result, held = shape_of(op.result), emit.array(op.b)
    is_turned = bool(op.transpose_b.value.data)
    a, leading = emit.operand(op.a), result[:-2]
    m, n = result[-2:]
    k = shape_of(a)[-1]
    if held is not None and held.ndim == 2:
        # One factor for all: rows of all matrices are those of one.
        batch, m = 1, prod(shape_of(a)[:-1])
        a = emit.reshape(a, (1, m, k))
        b = emit.constant((held.T if is_turned else held).reshape(1, k, n))
    else:
        batch, b = prod(leading), emit.operand(op.b)
        if is_turned:
            rank = len(shape_of(b))
            b = emit.transpose(b, [*range(rank - 2), rank - 1, rank - 2])
        a = emit.reshape(emit.tiled(a, (*leading, m, k)), (batch, m, k))
        b = emit.reshape(emit.tiled(b, (*leading, k, n)), (batch, k, n))
    operands = [a, b, emit.one(op.a_zp.value.data, i8), emit.one(op.b_zp.value.data, i8)]
    made = emit.made(tosa.MatMulOp, operands, (batch, m, n), i32)
    if op.bias is not None:
        made = emit.add(made, emit.operand(op.bias))
    return emit.reshape(made, result)


@lowers(ReduceWindowOp)
def lower_reduce_window(op: ReduceWindowOp, emit: Emitter) -> SSAValue:
    """The greatest element of each window; their sum is a depthwise convolution with ones."""
    is_behind, is_max = op.layout.data == "NHWC", op.kind.data == "max"
    zero_point = -128 if is_max else op.x_zp.value.data
    x = emit.operand(op.x)
    x = x if is_behind else emit.transpose(x, _TO_NHWC)
    shape = shape_of(op.result)
    shape = shape if is_behind else tuple(shape[i] for i in _TO_NHWC)
    kernel, strides, dilations = ints(op.window), ints(op.strides), ints(op.dilations)
    x, pads = _fitted(emit, x, (kernel, strides, dilations), shape[1:3], ints(op.pads))
    if is_max:
        made = _greatest(op, emit, x, shape, pads)
    else:
        channels = shape[3]
        operands = [
            x,
            emit.constant(np.ones((*kernel, channels, 1), np.int8)),
            emit.constant(np.zeros(channels, np.int32)),
            emit.one(zero_point, i8),
            emit.one(0, i8),
        ]
        made = emit.made(
            tosa.DepthwiseConv2DOp,
            operands,
            shape,
            i32,
            pad=i64s(pads),
            stride=i64s(strides),
            dilation=i64s(dilations),
            acc_type=_ACCUMULATOR,
        )
    return made if is_behind else emit.transpose(made, _TO_NCHW)


def _greatest(
    op: ReduceWindowOp, emit: Emitter, x: SSAValue, shape: Shape, pads: Sequence[int]
) -> SSAValue:
    if ints(op.dilations) != (1, 1):
        raise Inexact("a dilated window's greatest element")
    # TOSA wants less padding than a window has elements.
    top, bottom, left, right = pads
    x = emit.padded(x, (0, top, left, 0), (0, bottom, right, 0), -128)
    return emit.made(
        tosa.MaxPool2DOp,
        [x],
        shape,
        i8,
        kernel=i64s(ints(op.window)),
        stride=i64s(ints(op.strides)),
        pad=i64s([0] * 4),
        nan_mode=PROPAGATE,
    )


@lowers(ReduceOp)
def lower_reduce(op: ReduceOp, emit: Emitter) -> SSAValue:
    """The greatest element, or the sum of (x - x_zp), over axes whose extents become 1."""
    value, shape = emit.operand(op.x), list(shape_of(op.x))
    is_max, element = op.kind.data == "max", emit.element(op.result)
    if not is_max:
        value = emit.plus(emit.cast(value, i32), -op.x_zp.value.data)
    for axis in ints(op.axes):
        shape[axis], at = 1, IntegerAttr(axis, i32)
        if is_max:
            value = emit.made(
                tosa.ReduceMaxOp, [value], tuple(shape), element, axis=at, nan_mode=PROPAGATE
            )
        else:
            value = emit.made(tosa.ReduceSumOp, [value], tuple(shape), i32, axis=at)
    return value
