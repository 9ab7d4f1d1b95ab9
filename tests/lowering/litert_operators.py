"""Cases: element by element, windows, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType
from xdsl.dialects.builtin import i1, i32, i64

from furiosa_ir.dialects.graph import TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import (
    AddOp,
    ClipOp,
    DivOp,
    LeakyReluOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PReluOp,
    ReluOp,
    SigmoidOp,
    SquaredDifferenceOp,
    SubOp,
    TanhOp,
    WhereOp,
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
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, MaxPoolOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.dialects.graph.reduction import (
    ArgMaxOp,
    ArgMinOp,
    LogSoftmaxOp,
    LpNormalizationOp,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceSumOp,
    SoftmaxOp,
)
from furiosa_ir.dialects.graph.window import same_pads
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.shaped_operation import shape_of
from tests.lowering.network import ACTIVATIONS, Network, case, int8_case

# Element by element.


def _shapes(net: Network, *others: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Those of two operands; the second may be one of `others`, too."""
    n, h, w, c = shape = net.shape(4, 4)
    kinds = [(shape, other) for other in (shape, (c,), (1, 1, 1, c), *others)]
    return net.choose(*kinds, ((1, h, 1, c), (n, h, w, c)))


def _binary(net: Network, op: type[GraphOp], builtin: str, options: object) -> None:
    shape_a, shape_b = _shapes(net)
    a = net.input(net.bytes(*shape_a), net.quantized())
    if net.one_in(3):
        b = net.constant(net.bytes(*shape_b), net.quantized())
    else:
        b = net.input(net.bytes(*shape_b), net.quantized())
    y = net.graph(op, [a, b], net.quantized())
    fields: dict[str, Any] = {}
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


@int8_case
def squared_difference(net: Network) -> None:
    _binary(net, SquaredDifferenceOp, "SQUARED_DIFFERENCE", schema.SquaredDifferenceOptionsT())


@case
def div(net: Network) -> None:
    """Divisors of both signs, a constant one, one a channel; LiteRT refuses to divide by 0."""
    shape_a, shape_b = _shapes(net, (1,))
    a = net.input(net.bytes(*shape_a), net.quantized())
    b_type = net.quantized(zero_point=net.choose(None, -128, 127, 0))
    data = net.bytes(*shape_b)
    zero_point = b_type.data.zero_point - (0 if net.is_int8 else 128)
    data = np.where(data == zero_point, np.int8(zero_point ^ 1), data)
    b = net.choose(net.constant, net.input)(data, b_type)
    # From quotients far below a step of the result to all that saturate.
    a_scale, b_scale = (v.graph.type.element_type.data.scale for v in (a, b))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    y = net.graph(DivOp, [a, b], net.quantized(a_scale / b_scale * net.scale(0.005, 10)))
    activation = net.choose(*ACTIVATIONS)
    y = net.activation(y, activation)
    net.tflite(
        "DIV", [a, b], y, schema.DivOptionsT(), fusedActivationFunction=ACTIVATIONS[activation]
    )


@case
def prelu(net: Network) -> None:
    """One slope a channel, as converters write it, constant or computed."""
    element, shape = net.quantized(), net.shape(4, 4)
    a = net.input(net.bytes(*shape), element)
    slope = net.input if net.one_in(3) else net.constant
    b = slope(net.bytes(1, 1, shape[3]), net.quantized(net.scale(0.002, 0.02)))
    y = net.graph(PReluOp, [a, b], element if net.one_in(3) else net.quantized())
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
    keeps = y_scale is None and net.one_in(5)
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
    alpha = net.real(-0.5, 1.2)
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
    approximate = net.boolean()
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
    kernel = net.integers(2, 1, 4)
    strides = net.choose([1, 1], [2, 2], [1, 2])
    same = net.boolean()
    shape = (net.integer(1, 2), *[net.integer(k, k + 6) for k in kernel], net.integer(1, 4))
    # Small integers make ties common.
    data = net.bytes(*shape) // np.int8(net.choose(1, 40))
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
    keepdims = net.integer(0, 1)
    x_type = net.quantized()
    shape = (net.integer(1, 2), *net.integers(2, 1, 8), net.integer(1, 39))
    x = net.input(net.bytes(*shape), x_type)
    y_type = x_type if keeps_type or net.one_in(3) else net.quantized()
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


def _arg_extreme(net: Network, op: type[GraphOp], builtin: str, options: object) -> None:
    """Few different elements make ties common; the last axis has kernels of its own."""
    shape = (net.integer(1, 2), *net.integers(2, 1, 8), net.integer(1, 59))
    x = net.input(net.bytes(*shape) // np.int8(net.choose(1, 50)), net.quantized())
    axis, wide = net.integer(-4, 3), net.boolean()
    properties = {"axis": axis % 4, "keepdims": 0, "select_last_index": 0}
    y = net.graph(op, [x], i64 if wide else i32, **properties)
    kind = schema.TensorType.INT64 if wide else schema.TensorType.INT32
    net.tflite(builtin, [x, np.array(axis, np.int32)], y, options, outputType=kind)


@case
def arg_max(net: Network) -> None:
    _arg_extreme(net, ArgMaxOp, "ARG_MAX", schema.ArgMaxOptionsT())


@case
def arg_min(net: Network) -> None:
    _arg_extreme(net, ArgMinOp, "ARG_MIN", schema.ArgMinOptionsT())


@case
def select_v2(net: Network) -> None:
    """Bytes of either operand; the condition may be computed."""
    n, h, w, c = net.shape(4, 4)
    shapes = [net.choose((n, h, w, c), (w, c), (n, 1, w, 1), (1,)) for _ in range(2)]
    element = net.quantized()
    truth = net.array(shapes[0], 0, 1) > 0
    condition = net.choose(net.plain_constant, net.input)(truth, i1)
    a = net.input(net.bytes(n, h, w, c), element)
    b = net.input(net.bytes(*shapes[1]), element)
    y = net.graph(WhereOp, [condition, a, b], element)
    net.tflite("SELECT_V2", [condition, a, b], y, schema.SelectV2OptionsT(), version=1)


def _logits(net: Network, least: int) -> Array:
    """Rows of `least` elements or more, spread evenly or normally."""
    shape = (net.integer(1, 3), net.integer(least, net.choose(16, 499)))
    if net.boolean():
        return np.clip(net.normal(shape, net.scale(1, 40)), -128, 127).astype(np.int8)
    return net.bytes(*shape)


@case
def softmax(net: Network) -> None:
    data, beta = _logits(net, 2), net.choose(1.0, 0.5, 1.75)
    x = net.input(data, net.quantized(net.scale(0.003, 0.6)))
    y = net.graph(SoftmaxOp, [x], net.quantized(1 / 256, -128), axis=1, beta=beta)
    net.tflite("SOFTMAX", [x], y, schema.SoftmaxOptionsT(), beta=beta)


@case
def log_softmax(net: Network) -> None:
    x = net.input(_logits(net, 1), net.quantized(net.scale(0.001, 2)))
    y = net.graph(LogSoftmaxOp, [x], net.quantized(1 / 16, 127), axis=1, beta=1.0)
    net.tflite("LOG_SOFTMAX", [x], y, schema.LogSoftmaxOptionsT())


@case
def l2_normalization(net: Network) -> None:
    """From a row of one element to sums of squares of 30 bits; rows near 0, too."""
    shape = (net.integer(1, 3), net.choose(1, 2, net.integer(3, 99), 9000))
    element = net.quantized()
    if net.choose(True, False):
        zero_point = element.data.zero_point - (0 if net.is_int8 else 128)
        near = zero_point + net.array(shape, -2, 2, np.int32)
        data = np.clip(near, -128, 127).astype(np.int8)
    else:
        data = net.bytes(*shape)
    x = net.input(data, element)
    y = net.graph(LpNormalizationOp, [x], net.quantized(1 / 128, 0), axis=1, p=2)
    net.tflite("L2_NORMALIZATION", [x], y, schema.L2NormOptionsT())
