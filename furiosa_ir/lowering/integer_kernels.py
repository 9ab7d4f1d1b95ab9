"""Integer kernels that both numerics share: they differ in how the accumulator is rescaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp
from furiosa_ir.dialects.graph.pooling import AveragePoolOp
from furiosa_ir.dialects.graph.reduction import ReduceOp
from furiosa_ir.dialects.graph.resize import ResizeOp, linear_weights
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.numerics.array import Array

Rescale = Callable[[SSAValue, int], SSAValue]
"""From an accumulator (i32) and its channel axis to the i8 result."""


def emit_conv(op: ConvOp, emit: Emitter, rescale: Rescale) -> SSAValue:
    """The convolution of x [N, spatial, C in any order] as `ftensor.conv`; 1-D as one row.

    Args:
        op: a 1-D, 2-D or 3-D convolution with constant weight.
        emit: where to.
        rescale: makes the i8 result of the accumulator.
    """
    layout, kernel = op.layout.data, op.kernel_layout.data
    if "D" in layout:
        return _emit_conv_3d(op, emit, rescale)
    x = emit.operand(op.x)
    weight = emit.elements(op.weight)
    strides, dilations, pads = ints(op.strides), ints(op.dilations), ints(op.pads)
    one_dimensional = "H" not in layout
    if one_dimensional:
        x, layout = as_rows(x, layout, emit)
        weight, kernel = np.expand_dims(weight, kernel.index("W")), kernel.replace("W", "HW")
        strides, dilations, pads = (1, *strides), (1, *dilations), (0, pads[0], 0, pads[1])
    acc = _conv(
        emit,
        x,
        weight.transpose([kernel.index(d) for d in "OHWI"]),
        None if op.bias is None else emit.elements(op.bias),
        layout=layout,
        strides=strides,
        pads=pads,
        dilations=dilations,
        input_dilation=(1, 1),
        group=op.group.value.data,
        x_zp=emit.quantization(op.x).zero_point,
        weight_zp=emit.quantization(op.weight).zero_point,
    )
    result = rescale(acc, layout.index("C"))
    return as_shape(emit, result, shape_of(op.result)) if one_dimensional else result


def _emit_conv_3d(op: ConvOp, emit: Emitter, rescale: Rescale) -> SSAValue:
    """A 3-D convolution (NCDHW, OIDHW)."""
    return _deep_conv(
        op,
        emit,
        rescale,
        emit.elements(op.weight),
        strides=ints(op.strides),
        pads=ints(op.pads),
        input_dilation=(1, 1, 1),
    )


def _deep_conv(
    op: ConvOp | ConvTransposeOp,
    emit: Emitter,
    rescale: Rescale,
    weight: Array,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    input_dilation: Sequence[int],
) -> SSAValue:
    """A convolution of three dimensions as one of two for each output depth.

    The slices under the kernel's depth stand behind one another as channels:
    [N, C, D, H, W] -> [N * Do, C * Kd, H, W], and the weight [O, I, Kd, Kh, Kw] alike. Slices in
    the padding, or between those that `input_dilation` parts, are one of zeros behind the others.
    """
    outputs, inner, deep, high, wide = weight.shape
    dilations = ints(op.dilations)
    x, x_zp = emit.operand(op.x), emit.quantization(op.x).zero_point
    batch, channels, depth, *plane = shape_of(x)
    steps = shape_of(op.result)[2]
    positions = [
        i * strides[0] + k * dilations[0] - pads[0] for i in range(steps) for k in range(deep)
    ]
    inside = [p % input_dilation[0] == 0 and 0 <= p // input_dilation[0] < depth for p in positions]
    slices = [
        p // input_dilation[0] if there else depth
        for p, there in zip(positions, inside, strict=True)
    ]
    if not all(inside):
        around = [0] * 7 + [1, 0, 0]
        x = emit.emit(movement.PadOp, [x], pads=around, value=x_zp)
    if slices != list(range(depth)):
        x = emit.emit(movement.GatherOp, [x], axis=2, indices=slices)
    x = as_shape(emit, x, (batch, channels, steps, deep, *plane))
    x = emit.emit(movement.TransposeOp, [x], perm=[0, 2, 1, 3, 4, 5])
    x = as_shape(emit, x, (batch * steps, channels * deep, *plane))
    acc = _conv(
        emit,
        x,
        weight.transpose(0, 3, 4, 1, 2).reshape(outputs, high, wide, inner * deep),
        None if op.bias is None else emit.elements(op.bias),
        layout="NCHW",
        strides=strides[1:],
        pads=(*pads[1:3], *pads[4:]),
        dilations=dilations[1:],
        input_dilation=input_dilation[1:],
        group=op.group.value.data,
        x_zp=x_zp,
        weight_zp=emit.quantization(op.weight).zero_point,
    )
    result = rescale(acc, 1)
    _, outputs, *plane = shape_of(result)
    result = as_shape(emit, result, (batch, steps, outputs, *plane))
    return emit.emit(movement.TransposeOp, [result], element_of(result), perm=[0, 2, 1, 3, 4])


def emit_conv_transpose(op: ConvTransposeOp, emit: Emitter, rescale: Rescale) -> SSAValue:
    """The transposed convolution as one over x spread by the strides.

    The kernel is mirrored; padding becomes (kernel - 1) * dilation - pad, at the end plus
    output_padding.
    """
    layout, kernel = op.layout.data, op.kernel_layout.data
    x = emit.operand(op.x)
    spatial = [d for d in layout if d not in "NC"]
    n, pads = len(spatial), ints(op.pads)
    strides, dilations = ints(op.strides), ints(op.dilations)
    # [I, O / group, ...] -> [O, I / group, ...], mirrored.
    split = emit.elements(op.weight).transpose([kernel.index(d) for d in ("I", "O", *spatial)])
    group = op.group.value.data
    i, o, *extents = split.shape
    mirrored = np.flip(split, tuple(range(2, 2 + n))).reshape(group, i // group, o, *extents)
    weight = mirrored.swapaxes(1, 2).reshape(group * o, i // group, *extents)
    spans = [(k - 1) * d for k, d in zip(extents, dilations, strict=True)]
    begins = [spans[i] - pads[i] for i in range(n)]
    ends = [spans[i] - pads[i + n] + ints(op.output_padding)[i] for i in range(n)]
    if n == 3:
        return _deep_conv(
            op,
            emit,
            rescale,
            weight,
            strides=(1, 1, 1),
            pads=(*begins, *ends),
            input_dilation=strides,
        )
    if n == 1:
        x, layout = as_rows(x, layout, emit)
        weight = np.expand_dims(weight, 2)
        strides, dilations, begins, ends = (1, *strides), (1, *dilations), [0, *begins], [0, *ends]
    acc = _conv(
        emit,
        x,
        weight.transpose(0, 2, 3, 1),
        None if op.bias is None else emit.elements(op.bias),
        layout=layout,
        strides=(1, 1),
        pads=(*begins, *ends),
        dilations=dilations,
        input_dilation=strides,
        group=group,
        x_zp=emit.quantization(op.x).zero_point,
        weight_zp=emit.quantization(op.weight).zero_point,
    )
    result = rescale(acc, layout.index("C"))
    return as_shape(emit, result, shape_of(op.result)) if n == 1 else result


def _conv(
    emit: Emitter,
    x: SSAValue,
    weight: Array,
    bias: Array | None,
    *,
    layout: str,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    input_dilation: Sequence[int],
    weight_zp: int,
    **properties: object,
) -> SSAValue:
    extents = [shape_of(x)[layout.index(d)] for d in "HW"]
    if any(
        _before_x(n, weight.shape[1 + i], strides[i], pads[i], pads[i + 2], dilations[i])
        for i, n in enumerate(extents)
        if input_dilation[i] == 1
    ):
        # The NPU's windows reach x. These add nothing wherever they lie.
        weight, pads = np.full_like(weight, weight_zp), (0, 0, pads[0] + pads[2], pads[1] + pads[3])
    properties.update(layout=layout, strides=strides, pads=pads, dilations=dilations)
    properties.update(input_dilation=input_dilation, weight_zp=weight_zp)
    return emit.emit(
        contraction.ConvOp,
        [
            x,
            emit.constant(weight, i8),  # a view: the mapped file is not copied
            None if bias is None else emit.constant(bias, i32),
        ],
        i32,
        **properties,
    )


def _before_x(extent: int, kernel: int, stride: int, begin: int, end: int, dilation: int) -> bool:
    """Whether all windows along a dimension lie in the padding before x."""
    span = (kernel - 1) * dilation + 1
    last = (begin + extent + end - span) // stride * stride
    return last + span <= begin


def as_rows(x: SSAValue, layout: str, emit: Emitter) -> tuple[SSAValue, str]:
    """A value without H as one of a single row, and its layout."""
    shape = list(shape_of(x))
    shape.insert(layout.index("W"), 1)
    return emit.emit(movement.ReshapeOp, [x], shape=shape), layout.replace("W", "HW")


def as_shape(emit: Emitter, x: SSAValue, shape: tuple[int, ...]) -> SSAValue:
    """x reshaped."""
    return emit.emit(movement.ReshapeOp, [x], element_of(x), shape=shape)


def window_counts(op: AveragePoolOp, pads: Sequence[int]) -> Array:
    """How many elements each window averages over: i64, of shape [Ho, Wo, 1] or [Ho, Wo].

    Shaped to broadcast to the result's layout. Elements inside x count; those in `op.pads` only
    with count_include_pad; those that ceil_mode added to `pads` never.
    """
    layout = op.layout.data
    spatial = [i for i, d in enumerate(layout) if d not in "NC"]
    declared, n = ints(op.pads), len(spatial)
    counts = np.ones([1] * n, np.int64)
    for k, axis in enumerate(spatial):
        extent = shape_of(op.x)[axis]
        low, high = 0, extent
        if op.count_include_pad.value.data:
            low, high = -declared[k], extent + declared[k + n]
        starts = np.arange(shape_of(op.result)[axis]) * ints(op.strides)[k] - pads[k]
        taps, dilation = ints(op.kernel_shape)[k], ints(op.dilations)[k]
        # Of the taps at start + t * dilation, those before `high` less those before `low`.
        before = [np.clip(-((starts - end) // dilation), 0, taps) for end in (high, low)]
        inside = before[0] - before[1]
        counts = counts * inside.reshape([-1 if i == k else 1 for i in range(n)])
    return counts[..., None] if layout.endswith("C") else counts


def least(op: ReduceOp, emit: Emitter) -> SSAValue:
    """The least stored element over the axes (extents of 1 stay): -1 - max(-1 - x)."""
    mirror = emit.constant(np.arange(127, -129, -1), i8)
    mirrored = emit.emit(arithmetic.LookupOp, [emit.operand(op.x), mirror])
    result = emit.emit(contraction.ReduceOp, [mirrored], kind="max", axes=op.axes, x_zp=0)
    return emit.emit(arithmetic.LookupOp, [result, mirror])


def emit_interpolation(op: ResizeOp, emit: Emitter) -> tuple[SSAValue, int]:
    """Linear resizing with integer weights: (sum of weighted differences, what the weights add to).

    The coordinates of `graph.resize` are fractions p / q with one q an axis, so the weights q - p
    and p are integers and nothing is rounded before the division by the product of the q.

    Returns:
        An i48 value (zero point removed), and the divisor.
    """
    zero_point = emit.quantization(op.x).zero_point
    x = emit.rescale(
        emit.operand(op.x),
        1,
        0,
        rounding="even",
        input_zp=zero_point,
        minimum=-255,
        maximum=255,
        element=i32,
    )
    unit = 1
    for k, axis in enumerate(i for i, d in enumerate(op.layout.data) if d not in "NC"):
        weights = linear_weights(op, k)
        unit *= weights.denominator
        x = emit.emit(
            movement.InterpolateOp,
            [x],
            i48,
            axis=axis,
            lower=weights.lower,
            upper=weights.upper,
            lower_weight=weights.lower_weight,
            upper_weight=weights.upper_weight,
        )
    return x, unit
