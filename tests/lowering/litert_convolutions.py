"""Cases: convolutions and matrix products."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, SpaceToBatchOp
from furiosa_ir.dialects.graph.window import same_pads
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import LITERT
from tests.lowering.network import ACTIVATIONS, Network, Value, case, int8_case


def _weight(net: Network, data: np.ndarray, axis: int) -> Value:
    """Per-channel and symmetric, or per-tensor (in uint8 with a zero point)."""
    if net.is_int8 and not net.one_in(3):
        scales = [net.scale(0.001, 0.05) for _ in range(data.shape[axis])]
        return net.constant(data, net.quantized(scales, 0, axis))
    zero_point = 0 if net.is_int8 else None
    return net.constant(data, net.quantized(net.scale(0.001, 0.05), zero_point))


def _bias(
    net: Network, x: Value, weight: Value, out: int, *, optional: bool = True
) -> Value | None:
    """Now and then there is none, where LiteRT allows that."""
    if optional and net.one_in(5):
        return None
    reach = 100 if net.ties else 3000
    return net.bias(net.array((out,), -reach, reach, np.int32), x, weight)


def _result(net: Network, x: Value, weight: Value, low: float, high: float) -> UniformType:
    """A result's type; with ties one some bits above the products of the scales."""
    if not net.ties:
        return net.quantized(net.scale(low, high))
    x_type, w_type = quantization_of(x.graph), quantization_of(weight.graph)
    assert x_type is not None
    assert w_type is not None
    return net.quantized(x_type.scale * max(w_type.scales) * 2.0 ** net.integer(2, 4))


def _convolution(net: Network, depthwise: bool) -> None:
    channels = net.integer(1, 13 if depthwise else 5)
    multiplier = net.integer(1, 3)
    groups = 1 if depthwise else net.choose(1, 1, channels)
    out = channels * multiplier if depthwise else groups * net.integer(1, 4)
    kernel = net.integers(2, 1, 3)
    strides = net.choose([1, 1], [2, 2], [2, 1])
    dilations = net.choose([1, 1], [2, 3]) if strides == [1, 1] else [1, 1]
    same = net.boolean()
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    extents = [net.integer(span, span + 6) for span in spans]
    x = net.input(net.bytes(net.integer(1, 2), *extents, channels), net.quantized())
    shape = (1, *kernel, out) if depthwise else (out, *kernel, channels // groups)
    weight = _weight(net, net.bytes(*shape), 3 if depthwise else 0)
    # LiteRT's default DEPTHWISE_CONV_2D crashes without a bias.
    bias = _bias(net, x, weight, out, optional=depthwise and net.numerics == LITERT)
    y = net.graph(
        ConvOp,
        [x, weight, bias],
        _result(net, x, weight, 0.01, 2),
        layout="NHWC",
        kernel_layout="IHWO" if depthwise else "OHWI",
        strides=strides,
        pads=same_pads(extents, kernel, strides, dilations) if same else [0] * 4,
        dilations=dilations,
        group=channels if depthwise else groups,
    )
    activation = net.choose(*ACTIVATIONS)
    y = net.activation(y, activation)
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    if depthwise:
        options.depthMultiplier = multiplier
    net.tflite(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [x, weight, *([bias] if bias else [])],
        y,
        options,
        version=3,
        padding=0 if same else 1,
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=dilations[0],
        dilationWFactor=dilations[1],
        fusedActivationFunction=ACTIVATIONS[activation],
    )


@case
def conv_2d(net: Network) -> None:
    _convolution(net, depthwise=False)


@case
def depthwise_conv_2d(net: Network) -> None:
    _convolution(net, depthwise=True)


def _between_batches(net: Network, depthwise: bool) -> None:
    """SPACE_TO_BATCH_ND - convolution - BATCH_TO_SPACE_ND, TensorFlow's dilated convolution."""
    channels, kernel = net.integer(1, 8), net.integers(2, 1, 3)
    out = channels if depthwise else net.integer(1, 8)
    blocks, extents, begins = net.integers(2, 1, 3), net.integers(2, 1, 11), net.integers(2, 0, 2)
    # Room for the kernel, up to whole blocks.
    ends = [
        b * (k + 1) - (p + n) % b
        for b, k, p, n in zip(blocks, kernel, begins, extents, strict=True)
    ]
    crops = [net.integers(2, 0, 1) for _ in range(2)]
    x_type = net.quantized()
    x = net.input(net.bytes(net.integer(1, 2), *extents, channels), x_type)
    split = net.graph(SpaceToBatchOp, [x], x_type, blocks=blocks, pads=[*begins, *ends])
    size = np.array(blocks, np.int32)
    pads = np.array([begins, ends], np.int32).T.copy()
    net.tflite("SPACE_TO_BATCH_ND", [x, size, pads], split, schema.SpaceToBatchNDOptionsT())
    weight = _weight(
        net,
        net.bytes(*((1, *kernel, out) if depthwise else (out, *kernel, channels))),
        3 if depthwise else 0,
    )
    bias = _bias(net, split, weight, out, optional=False)
    y_type = _result(net, x, weight, 0.01, 2)
    y = net.graph(
        ConvOp,
        [split, weight, bias],
        y_type,
        layout="NHWC",
        kernel_layout="IHWO" if depthwise else "OHWI",
        strides=[1, 1],
        pads=[0] * 4,
        dilations=[1, 1],
        group=channels if depthwise else 1,
    )
    activation = net.choose(*ACTIVATIONS)
    y = net.activation(y, activation)
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    if depthwise:
        options.depthMultiplier = 1
    net.tflite(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [split, weight, bias],
        y,
        options,
        version=3,
        padding=1,
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=ACTIVATIONS[activation],
    )
    whole = net.graph(BatchToSpaceOp, [y], y_type, blocks=blocks, crops=[*crops[0], *crops[1]])
    cut = np.array(crops, np.int32).T.copy()
    net.tflite("BATCH_TO_SPACE_ND", [y, size, cut], whole, schema.BatchToSpaceNDOptionsT())


@case
def conv_2d_between_batches(net: Network) -> None:
    _between_batches(net, depthwise=False)


@case
def depthwise_conv_2d_between_batches(net: Network) -> None:
    _between_batches(net, depthwise=True)


@case
def transpose_conv(net: Network) -> None:
    # LiteRT's default kernel takes 16 elements at a time, and those left over in another way.
    channels, out = net.integer(1, 5), 16 if net.boolean() else net.integer(1, 19)
    kernel, strides, batch = net.integers(2, 1, 3), net.integers(2, 1, 3), net.integer(1, 2)
    same = net.boolean()
    x = net.input(net.bytes(batch, *net.integers(2, 1, 5), channels), net.quantized())
    weight = _weight(net, net.bytes(out, *kernel, channels), 0)
    bias = _bias(net, x, weight, out)
    pads, output_padding, sizes = [0, 0, 0, 0], [0, 0], [0, 0]
    for i, extent in enumerate(shape_of(x.graph)[1:3]):
        full = (extent - 1) * strides[i] + kernel[i]
        sizes[i] = extent * strides[i] if same else full
        total = max(full - sizes[i], 0)
        pads[i], pads[i + 2] = total // 2, total - total // 2
        output_padding[i] = max(sizes[i] - full, 0)
    y = net.graph(
        ConvTransposeOp,
        [x, weight, bias],
        _result(net, x, weight, 0.01, 2),
        layout="NHWC",
        kernel_layout="OHWI",
        strides=strides,
        pads=pads,
        output_padding=output_padding,
        dilations=[1, 1],
        group=1,
    )
    activation = net.choose(*ACTIVATIONS)
    y = net.activation(y, activation)
    net.tflite(
        "TRANSPOSE_CONV",
        [np.array([batch, *sizes, out], np.int32), weight, x, *([bias] if bias else [])],
        y,
        schema.TransposeConvOptionsT(),
        version=3,
        padding=0 if same else 1,
        strideH=strides[0],
        strideW=strides[1],
        fusedActivationFunction=ACTIVATIONS[activation],
    )


@case
def fully_connected(net: Network) -> None:
    depth, out = net.integers(2, 1, 39)
    x = net.input(net.bytes(net.choose(1, 4), depth), net.quantized())
    weight = _weight(net, net.bytes(out, depth), 0)
    bias = _bias(net, x, weight, out)
    y = net.graph(
        GemmOp,
        [x, weight, bias],
        _result(net, x, weight, 0.01, 2),
        alpha=1.0,
        beta=1.0,
        trans_a=0,
        trans_b=1,
    )
    activation = net.choose(*ACTIVATIONS)
    y = net.activation(y, activation)
    net.tflite(
        "FULLY_CONNECTED",
        [x, weight, bias],
        y,
        schema.FullyConnectedOptionsT(),
        version=4,
        fusedActivationFunction=ACTIVATIONS[activation],
    )


@case
def fully_connected_ties(net: Network) -> None:
    """A factor that is a power of two: many accumulators lie exactly between two results."""
    x = net.input(net.bytes(8, 16), net.quantized(0.5))
    weight = net.constant(net.bytes(24, 16), net.quantized(0.25, 0))
    bias = net.bias(net.array((24,), -99, 99, np.int32), x, weight)
    y = net.graph(
        GemmOp, [x, weight, bias], net.quantized(64.0), alpha=1.0, beta=1.0, trans_a=0, trans_b=1
    )
    net.tflite("FULLY_CONNECTED", [x, weight, bias], y, schema.FullyConnectedOptionsT(), version=4)


def _fully_connected_boundaries(net: Network, per_channel: bool) -> None:
    """Accumulators (biases) next to where the result changes, in a wide range of factors."""
    x = net.input(net.bytes(2, 3), net.quantized())
    y_element = net.quantized(1.0)
    x_scale, scale = x.graph.type.element_type.data.scale, net.scale(2**-22, 2**5)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    real = x_scale * scale
    nearest = np.round((np.arange(-256, 256) + 0.5) / real).astype(np.int64)
    bias = (nearest[:, None] + [-1, 0, 1]).ravel()
    bias = bias[np.abs(bias) < 1 << 30].astype(np.int32)
    zero_point = 0 if per_channel else net.integer(-128, 127)
    zeros = np.full((len(bias), 3), zero_point, np.int8)
    scales = [scale] * len(bias) if per_channel else scale
    weight = net.constant(zeros, net.quantized(scales, zero_point))
    bias = net.bias(bias, x, weight)
    y = net.graph(GemmOp, [x, weight, bias], y_element, alpha=1.0, beta=1.0, trans_a=0, trans_b=1)
    net.tflite("FULLY_CONNECTED", [x, weight, bias], y, schema.FullyConnectedOptionsT(), version=4)


@case
def fully_connected_boundaries(net: Network) -> None:
    _fully_connected_boundaries(net, per_channel=False)


@int8_case
def fully_connected_boundaries_per_channel(net: Network) -> None:
    _fully_connected_boundaries(net, per_channel=True)


@int8_case
def batch_matmul(net: Network) -> None:
    batch, m, k, n = net.integer(1, 2), net.integer(1, 5), net.integer(1, 9), net.integer(1, 9)
    a = net.input(net.bytes(batch, m, k), net.quantized())
    shape = net.choose((batch, k, n), (1, k, n), (k, n))
    b = net.input(net.bytes(*shape), net.quantized(net.scale(0.0005, 0.01)))
    y = net.graph(MatMulOp, [a, b], net.quantized(net.scale(0.01, 0.5)))
    net.tflite("BATCH_MATMUL", [a, b], y, schema.BatchMatMulOptionsT())
