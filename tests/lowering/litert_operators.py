"""Cases: element by element, windows, reductions, movement."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType

from furiosa_ir.dialects.graph import TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import (
    AddOp,
    ClipOp,
    LeakyReluOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PReluOp,
    ReluOp,
    SigmoidOp,
    SubOp,
    TanhOp,
)
from furiosa_ir.dialects.graph.functions import (
    AbsOp,
    EluOp,
    ExpOp,
    GeluOp,
    HardSwishOp,
    LogOp,
    NegOp,
    RsqrtOp,
    SqrtOp,
)
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    PadOp,
    ReshapeOp,
    ResizeOp,
    SliceOp,
    TileOp,
    TransposeOp,
)
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, MaxPoolOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.dialects.graph.rearrangement import DepthToSpaceOp, GatherOp, SpaceToDepthOp
from furiosa_ir.dialects.graph.reduction import (
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceSumOp,
    SoftmaxOp,
)
from furiosa_ir.dialects.graph.window import same_pads
from furiosa_ir.ir.shaped_operation import shape_of
from tests.lowering.network import ACTIVATIONS, Network, Value, case, int8_case

# Element by element.

_BROADCASTS = (
    ((2, 3, 4, 5), (2, 3, 4, 5)),
    ((2, 3, 4, 5), (5,)),
    ((2, 3, 4, 5), (1, 1, 1, 5)),
    ((1, 3, 1, 5), (2, 3, 4, 5)),
)


def _binary(net: Network, op: type[GraphOp], builtin: str, options: object) -> None:
    shape_a, shape_b = net.choose(*_BROADCASTS)
    a = net.input(net.bytes(*shape_a), net.quantized())
    if net.rng.random() < 0.3:
        b = net.constant(net.bytes(*shape_b), net.quantized())
    else:
        b = net.input(net.bytes(*shape_b), net.quantized())
    y = net.graph(op, [a, b], net.quantized())
    fields: dict[str, object] = {}
    if hasattr(options, "fusedActivationFunction"):
        activation = net.choose(*ACTIVATIONS)
        y = net.activation(y, activation)
        fields["fusedActivationFunction"] = ACTIVATIONS[activation]
    net.tflite(builtin, [a, b], y, options, **fields)


@case
def add(net: Network) -> None:
    _binary(net, AddOp, "ADD", schema.AddOptionsT())


@case
def sub(net: Network) -> None:
    _binary(net, SubOp, "SUB", schema.SubOptionsT())


@case
def mul(net: Network) -> None:
    _binary(net, MulOp, "MUL", schema.MulOptionsT())


@case
def prelu(net: Network) -> None:
    """One slope a channel, as converters write it, constant or computed."""
    element = net.quantized()
    a = net.input(net.bytes(2, 3, 4, 5), element)
    slope = net.constant if net.rng.random() < 0.7 else net.input
    b = slope(net.bytes(1, 1, 5), net.quantized(net.scale(0.002, 0.02)))
    y = net.graph(PReluOp, [a, b], element if net.rng.random() < 0.3 else net.quantized())
    net.tflite("PRELU", [a, b], y, version=1)


@case
def minimum(net: Network) -> None:
    _binary(net, MinimumOp, "MINIMUM", schema.MaximumMinimumOptionsT())


@case
def maximum(net: Network) -> None:
    _binary(net, MaximumOp, "MAXIMUM", schema.MaximumMinimumOptionsT())


def _unary(
    net: Network,
    op: type[GraphOp],
    builtin: str,
    options: object | None = None,
    fields: dict[str, object] | None = None,
    y_scale: float | None = None,
    y_zero_point: int | None = None,
    non_negative: bool = False,
    **properties: object,
) -> None:
    """All 256 stored integers; now and then the result keeps the operand's quantisation."""
    x_type = net.quantized(net.scale(0.001, 0.5))
    least = x_type.data.zero_point if non_negative else -128
    x = net.input(np.maximum(np.arange(-128, 128), least).astype(np.int8), x_type)
    keeps = y_scale is None and net.rng.random() < 0.2
    y_type = x_type if keeps else net.quantized(y_scale or net.scale(0.001, 0.5), y_zero_point)
    y = net.graph(op, [x], y_type, **properties)
    net.tflite(builtin, [x], y, options, version=1, **(fields or {}))


@case
def relu(net: Network) -> None:
    _unary(net, ReluOp, "RELU")


@case
def relu6(net: Network) -> None:
    _unary(net, ClipOp, "RELU6", minimum=0.0, maximum=6.0)


@case
def relu_n1_to_1(net: Network) -> None:
    _unary(net, ClipOp, "RELU_N1_TO_1", minimum=-1.0, maximum=1.0)


@case
def relu_0_to_1(net: Network) -> None:
    _unary(net, ClipOp, "RELU_0_TO_1", minimum=0.0, maximum=1.0)


@case
def leaky_relu(net: Network) -> None:
    alpha = float(np.float32(net.rng.uniform(-0.5, 1.2)))
    options = schema.LeakyReluOptionsT()
    _unary(net, LeakyReluOp, "LEAKY_RELU", options, {"alpha": alpha}, alpha=alpha)


@case
def logistic(net: Network) -> None:
    _unary(net, SigmoidOp, "LOGISTIC", y_scale=1 / 256, y_zero_point=-128)


@case
def silu(net: Network) -> None:
    """x * sigmoid(x), which becomes one table: with the roundings of both kernels."""
    x = net.input(np.arange(-128, 128).astype(np.int8), net.quantized())
    gate = net.graph(SigmoidOp, [x], net.quantized(1 / 256, -128))
    net.tflite("LOGISTIC", [x], gate)
    y = net.graph(MulOp, [x, gate], net.quantized())
    net.tflite("MUL", [x, gate], y, schema.MulOptionsT())


@case
def tanh(net: Network) -> None:
    _unary(net, TanhOp, "TANH")


@case
def quantize(net: Network) -> None:
    _unary(net, QuantizeOp, "QUANTIZE")


@case
def hard_swish(net: Network) -> None:
    # LiteRT demands that the result's scale is at least a 128th of the operand's.
    _unary(net, HardSwishOp, "HARD_SWISH", y_scale=net.scale(0.01, 0.5))


@case
def gelu(net: Network) -> None:
    net.importable = "GELU" in TFLITE_OPERATORS
    approximate = bool(net.rng.integers(2))
    kind = "tanh" if approximate else "none"
    fields: dict[str, object] = {"approximate": approximate}
    _unary(net, GeluOp, "GELU", schema.GeluOptionsT(), fields, approximate=kind)


def _int8_unary(net: Network, op: type[GraphOp], builtin: str, non_negative: bool = False) -> None:
    """Functions that LiteRT has for int8 only."""
    _unary(net, op, builtin, non_negative=non_negative)


@int8_case
def exp(net: Network) -> None:
    _int8_unary(net, ExpOp, "EXP")


@int8_case
def log(net: Network) -> None:
    _int8_unary(net, LogOp, "LOG")


@int8_case
def sqrt(net: Network) -> None:
    _int8_unary(net, SqrtOp, "SQRT", non_negative=True)


@int8_case
def rsqrt(net: Network) -> None:
    _int8_unary(net, RsqrtOp, "RSQRT", non_negative=True)


@int8_case
def absolute(net: Network) -> None:
    _int8_unary(net, AbsOp, "ABS")


@int8_case
def neg(net: Network) -> None:
    _int8_unary(net, NegOp, "NEG")


@int8_case
def elu(net: Network) -> None:
    net.resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    _int8_unary(net, EluOp, "ELU")


# Windows and reductions.


def _pool(net: Network, op: type[GraphOp], builtin: str, **properties: object) -> None:
    kernel = [int(k) for k in net.rng.integers(1, 5, 2)]
    strides = net.choose([1, 1], [2, 2], [1, 2])
    same = bool(net.rng.integers(2))
    shape = (2, *net.rng.integers(5, 11, 2), 3)
    # Small integers make ties common.
    data = net.bytes(*shape) if net.rng.random() < 0.5 else net.bytes(*shape) // np.int8(40)
    element = net.quantized()
    x = net.input(data, element)
    extents = shape_of(x.graph)[1:3]
    y = net.graph(
        op,
        [x],
        element,
        layout="NHWC",
        kernel_shape=kernel,
        strides=strides,
        pads=same_pads(extents, kernel, strides, [1, 1]) if same else [0] * 4,
        dilations=[1, 1],
        ceil_mode=0,
        **properties,
    )
    activation = net.choose(*ACTIVATIONS)
    y = net.activation(y, activation)
    net.tflite(
        builtin,
        [x],
        y,
        schema.Pool2DOptionsT(),
        padding=0 if same else 1,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        fusedActivationFunction=ACTIVATIONS[activation],
    )


@case
def max_pool_2d(net: Network) -> None:
    _pool(net, MaxPoolOp, "MAX_POOL_2D")


@case
def average_pool_2d(net: Network) -> None:
    _pool(net, AveragePoolOp, "AVERAGE_POOL_2D", count_include_pad=0)


def _reduction(net: Network, op: type[GraphOp], builtin: str, keeps_type: bool = False) -> None:
    axes = net.choose((1, 2), (2, 1), (1,), (3,), (1, 2, 3), (0, 1))
    keepdims = int(net.rng.integers(2))
    x_type = net.quantized()
    x = net.input(net.bytes(2, *net.rng.integers(1, 9, 2), net.rng.integers(1, 40)), x_type)
    y_type = x_type if keeps_type or net.rng.random() < 0.3 else net.quantized()
    y = net.graph(op, [x], y_type, axes=sorted(axes), keepdims=keepdims)
    options = schema.ReducerOptionsT()
    net.tflite(builtin, [x, np.array(axes, np.int32)], y, options, keepDims=bool(keepdims))


@case
def mean(net: Network) -> None:
    _reduction(net, ReduceMeanOp, "MEAN")


@case
def reduce_sum(net: Network) -> None:
    _reduction(net, ReduceSumOp, "SUM")


@case
def reduce_max(net: Network) -> None:
    _reduction(net, ReduceMaxOp, "REDUCE_MAX", keeps_type=True)


@case
def reduce_min(net: Network) -> None:
    _reduction(net, ReduceMinOp, "REDUCE_MIN", keeps_type=True)


@case
def softmax(net: Network) -> None:
    depth = int(net.rng.integers(2, 500))
    data = net.bytes(3, depth)
    if net.rng.random() < 0.5:
        spread = net.scale(1, 40)
        data = np.clip(net.rng.normal(0, spread, (3, depth)), -128, 127).astype(np.int8)
    beta = net.choose(1.0, 0.5, 1.75)
    x = net.input(data, net.quantized(net.scale(0.003, 0.6)))
    y = net.graph(SoftmaxOp, [x], net.quantized(1 / 256, -128), axis=1, beta=beta)
    net.tflite("SOFTMAX", [x], y, schema.SoftmaxOptionsT(), beta=beta)


# Movement.


@case
def concatenation(net: Network) -> None:
    y_type, axis = net.quantized(), int(net.rng.integers(1, 4))
    values: list[Value] = []
    for _ in range(3):
        shape = [2, 3, 4, 5]
        shape[axis] = int(net.rng.integers(1, 6))
        same = net.is_int8 or net.rng.random() < 0.4
        values.append(net.input(net.bytes(*shape), y_type if same else net.quantized()))
    y = net.graph(ConcatOp, [values], y_type, axis=axis)
    net.tflite("CONCATENATION", values, y, schema.ConcatenationOptionsT(), axis=axis)


@case
def pad(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4, 5), element)
    widths = net.rng.integers(0, 3, (4, 2)).astype(np.int32)
    y = net.graph(PadOp, [x], element, pads=widths.T.ravel().tolist(), mode="constant", value=0.0)
    net.tflite("PAD", [x, widths], y)


@case
def padv2(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4, 5), element)
    fill = net.constant(net.bytes(1), element)
    widths = net.rng.integers(0, 3, (4, 2)).astype(np.int32)
    assert fill.data is not None
    q = element.data
    y = net.graph(
        PadOp,
        [x],
        element,
        pads=widths.T.ravel().tolist(),
        mode="constant",
        value=(int(fill.data[0]) - q.zero_point) * q.scale,
    )
    net.tflite("PADV2", [x, widths, fill], y)


@case
def reshape(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4), element)
    y = net.graph(ReshapeOp, [x], element, shape=[4, 6])
    net.tflite("RESHAPE", [x, np.array([4, 6], np.int32)], y, version=1)


@case
def transpose(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4), element)
    y = net.graph(TransposeOp, [x], element, perm=[2, 0, 1])
    net.tflite("TRANSPOSE", [x, np.array([2, 0, 1], np.int32)], y)


def _blocks(net: Network, op: type[GraphOp], builtin: str, options: object, deep: bool) -> None:
    element, size = net.quantized(), net.choose(2, 3)
    shape = (2, 2, 3, 2 * size * size) if deep else (2, 2 * size, 3 * size, 2)
    x = net.input(net.bytes(*shape), element)
    y = net.graph(op, [x], element, blocksize=size, mode="DCR", layout="NHWC")
    net.tflite(builtin, [x], y, options, version=1, blockSize=size)


@case
def depth_to_space(net: Network) -> None:
    _blocks(net, DepthToSpaceOp, "DEPTH_TO_SPACE", schema.DepthToSpaceOptionsT(), deep=True)


@case
def space_to_depth(net: Network) -> None:
    _blocks(net, SpaceToDepthOp, "SPACE_TO_DEPTH", schema.SpaceToDepthOptionsT(), deep=False)


@case
def gather(net: Network) -> None:
    element = net.quantized()
    axis: int = net.choose(0, 1, 3)
    shape = (2, 3, 4, 5)
    x = net.input(net.bytes(*shape), element)
    indices = net.rng.integers(0, shape[axis], 6).astype(np.int32)
    y = net.graph(GatherOp, [x], element, axis=axis, indices=indices.tolist())
    net.tflite("GATHER", [x, indices], y, schema.GatherOptionsT(), axis=axis)


@case
def slice_(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 5, 4), element)
    y = net.graph(SliceOp, [x], element, starts=[1, 2, 0], ends=[2, 5, 3], steps=[1, 1, 1])
    begin, size = np.array([1, 2, 0], np.int32), np.array([1, 3, 3], np.int32)
    net.tflite("SLICE", [x, begin, size], y)


@case
def strided_slice(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 7, 4), element)
    y = net.graph(SliceOp, [x], element, starts=[0, 6, 1], ends=[2, 0, 4], steps=[1, -2, 1])
    bounds = [np.array(b, np.int32) for b in ([0, 6, 1], [2, 0, 4], [1, -2, 1])]
    net.tflite("STRIDED_SLICE", [x, *bounds], y, schema.StridedSliceOptionsT())


@case
def tile(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 1, 4), element)
    y = net.graph(TileOp, [x], element, repeats=[1, 3, 2])
    net.resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    net.tflite("TILE", [x, np.array([1, 3, 2], np.int32)], y, version=3)


@case
def mirror_pad(net: Network) -> None:
    element = net.quantized()
    x = net.input(net.bytes(2, 3, 4, 5), element)
    widths = net.rng.integers(0, 2, (4, 2)).astype(np.int32)
    mode = net.choose("reflect", "symmetric")
    y = net.graph(PadOp, [x], element, pads=widths.T.ravel().tolist(), mode=mode, value=0.0)
    kind = schema.MirrorPadMode.REFLECT if mode == "reflect" else schema.MirrorPadMode.SYMMETRIC
    net.tflite("MIRROR_PAD", [x, widths], y, schema.MirrorPadOptionsT(), mode=kind)


def _resize(net: Network, builtin: str, options: object, mode: str) -> None:
    coordinates = net.choose("asymmetric", "half_pixel", "align_corners")
    extents = [int(n) for n in net.rng.integers(1, 7, 2)]
    if net.rng.random() < 0.5:
        sizes = [n * int(net.choose(2, 3, 4)) for n in extents]
    else:
        sizes = [int(n) for n in net.rng.integers(1, 15, 2)]
    element = net.quantized()
    x = net.input(net.bytes(2, *extents, 3), element)
    y = net.graph(
        ResizeOp,
        [x],
        element,
        layout="NHWC",
        mode=mode,
        coordinates=coordinates,
        nearest_mode="floor",
        sizes=sizes,
        scales=[size / extent for size, extent in zip(sizes, extents, strict=True)],
    )
    net.tflite(
        builtin,
        [x, np.array(sizes, np.int32)],
        y,
        options,
        alignCorners=coordinates == "align_corners",
        halfPixelCenters=coordinates == "half_pixel",
        version=3,
    )


@case
def resize_nearest_neighbor(net: Network) -> None:
    _resize(net, "RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT(), "nearest")


@case
def resize_bilinear(net: Network) -> None:
    _resize(net, "RESIZE_BILINEAR", schema.ResizeBilinearOptionsT(), "linear")
