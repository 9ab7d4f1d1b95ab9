"""One-operator QDQ networks: operator -> what builds it, as exporters write it.

A builder adds the operator between the DequantizeLinear of its inputs and the QuantizeLinear of its
outputs. To test a new operator, add a line to `ON_THE_NPU` (or, with its hint, `ON_THE_HOST`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from tests.passes.qdq import QDQ

Builder = Callable[[QDQ], None]

IMAGE = (1, 8, 6, 5)
VOLUME = (2, 2, 3, 4, 5)


def one(
    op: str, shape: Any = IMAGE, scale: float = 0.05, opset: int = 17, **attributes: Any
) -> Builder:
    """op(x)."""

    def build(net: QDQ) -> None:
        net.opset = opset
        x = net.input("x", shape, 0.04, 3)
        net.output(net.add(op, [x], **attributes), scale, 5)

    return build


def with_constants(
    op: str,
    *constants: Any,
    shape: Any = IMAGE,
    scale: float = 0.05,
    opset: int = 17,
    **attributes: Any,
) -> Builder:
    """op(x, constants...), as initialisers."""

    def build(net: QDQ) -> None:
        net.opset = opset
        x = net.input("x", shape, 0.04, 3)
        names = [x, *(net.constant(c) for c in constants)]
        net.output(net.add(op, names, **attributes), scale, 7)

    return build


def many(
    op: str, *shapes: Any, scale: float = 0.07, alike: bool = False, **attributes: Any
) -> Builder:
    """op(x0, x1, ...), all computed."""

    def build(net: QDQ) -> None:
        names = [
            net.input(f"x{i}", s, 0.05 if alike else 0.03 + 0.01 * i, 2 * i)
            for i, s in enumerate(shapes)
        ]
        net.output(net.add(op, names, **attributes), scale, 5)

    return build


def weighted(
    op: str,
    x: Any,
    weight: tuple[int, ...],
    bias: int = 0,
    axis: int | None = 0,
    scale: float = 0.3,
    **attributes: Any,
) -> Builder:
    """op(x, weight, bias) with int8 weights; `axis` None: one scale for all of them."""

    def build(net: QDQ) -> None:
        rng = np.random.default_rng(1)
        count = 1 if axis is None else weight[axis]
        scales = rng.uniform(0.004, 0.02, count).astype(np.float32)
        names = [net.input("x", x, 0.04, 3)]
        array = rng.integers(-127, 128, weight).astype(np.int8)
        names.append(net.weight(array, scales[0] if axis is None else scales, axis or 0))
        if bias:
            stored = rng.integers(-3000, 3000, bias).astype(np.int32)
            names.append(net.weight(stored, scales * np.float32(0.04), 0, "b"))
        net.output(net.add(op, names, **attributes), scale, 4)

    return build


def quantized_constant(op: str, shape: Any, constant: Any, scale: float = 0.05) -> Builder:
    """op(x, c) with an int8 constant."""

    def build(net: QDQ) -> None:
        x = net.input("x", shape, 0.04, 3)
        c = net.weight(np.asarray(constant, np.int8), np.float32(0.02))
        net.output(net.add(op, [x, c]), scale, 7)

    return build


def split(extents: list[int], axis: int) -> Builder:
    """Split into parts of these extents, each with its own scale."""

    def build(net: QDQ) -> None:
        x = net.input("x", IMAGE, 0.04, 3)
        net.constants["extents"] = np.array(extents, np.int64)
        parts = [f"part{i}" for i in range(len(extents))]
        net.nodes.append(_node("Split", [x, "extents"], parts, axis=axis))
        for i, part in enumerate(parts):
            net.output(part, 0.04 + 0.01 * i, 3)

    return build


def chain(*operators: tuple[str, dict[str, Any]]) -> Builder:
    """One operator after the other, each quantised."""

    def build(net: QDQ) -> None:
        value = net.input("x", IMAGE, 0.04, 3)
        for op, attributes in operators[:-1]:
            value = net.requantized(net.add(op, [value], **attributes), 0.05, 1)
        op, attributes = operators[-1]
        net.output(net.add(op, [value], **attributes), 0.05, 1)

    return build


def gated(op: str) -> Builder:
    """x * op(x), both rounded: SiLU and kin as exporters write them."""

    def build(net: QDQ) -> None:
        x = net.input("x", IMAGE, 0.04, 3)
        gate = net.requantized(net.add(op, [x]), 1 / 256, 0)
        net.output(net.add("Mul", [x, gate]), 0.03, 1)

    return build


def batch_normalization(net: QDQ) -> None:
    """With float statistics, as onnxruntime's quantiser leaves them."""
    rng = np.random.default_rng(0)
    x = net.input("x", IMAGE, 0.04, 3)
    drawn = [rng.normal(0, 1, 8), rng.normal(0, 1, 8), rng.normal(0, 1, 8), rng.uniform(0.2, 2, 8)]
    names = [net.constant(a.astype(np.float32)) for a in drawn]
    net.output(net.add("BatchNormalization", [x, *names], epsilon=1e-3), 0.05, 1)


def quantized_batch_normalization(net: QDQ) -> None:
    """With 8-bit parameters."""
    rng = np.random.default_rng(0)
    names = [net.input("x", IMAGE, 0.04, 3)]
    for i in range(4):
        stored = rng.integers(1 if i == 3 else -127, 128, 8).astype(np.int8)
        names.append(net.weight(stored, np.float32(0.01), name=f"p{i}"))
    net.output(net.add("BatchNormalization", names), 0.05, 1)


def quantized_layer_normalization(net: QDQ) -> None:
    """As onnxruntime's quantiser writes it: 8-bit scale, i32 bias."""
    rng = np.random.default_rng(0)
    x = net.input("x", (2, 7, 64), 0.04, 3)
    scale = net.weight(rng.integers(-127, 128, 64).astype(np.int8), np.float32(0.01))
    bias = rng.integers(-3000, 3000, 64).astype(np.int32)
    names = [x, scale, net.weight(bias, np.float32(0.0004), name="b")]
    net.output(net.add("LayerNormalization", names), 0.03, 1)


def per_channel_constant(op: str) -> Builder:
    """op(x, c), each channel of c with its own scale."""

    def build(net: QDQ) -> None:
        x = net.input("x", IMAGE, 0.04, 3)
        stored = np.arange(-60, 60, 15, dtype=np.int8).reshape(1, 8, 1, 1)
        scales = np.linspace(0.01, 0.03, 8, dtype=np.float32)
        net.output(net.add(op, [x, net.weight(stored, scales, axis=1)]), 0.05, 7)

    return build


def padded(op: str, value: float, **attributes: Any) -> Builder:
    """op(Pad(x)) without rounding in between."""

    def build(net: QDQ) -> None:
        x = net.input("x", IMAGE, 0.04, 3)
        pads = net.constant(np.array([0, 0, 1, 2, 0, 0, 1, 0], np.int64))
        y = net.add("Pad", [x, pads, net.constant(np.float32(value))])
        net.output(net.add(op, [y], kernel_shape=[3, 3], strides=[2, 2], **attributes), 0.04, 3)

    return build


def requantized(net: QDQ) -> None:
    """Quantised again and again."""
    value = net.input("x", IMAGE, 0.04, 3)
    for scale in (0.05, 0.03, 0.07):
        value = net.requantized(value, scale, 1)
    net.output(net.add("Transpose", [value], perm=[0, 2, 3, 1]), 0.06, 2)


def normalized_input(net: QDQ) -> None:
    """(x - mean) / deviation, in float between one DequantizeLinear and one QuantizeLinear."""
    x = net.input("x", IMAGE, 0.04, 3)
    centred = net.add("Sub", [x, net.constant(_CHANNELS)])
    net.output(net.add("Div", [centred, net.constant(_CHANNELS + np.float32(2))]), 0.05, 1)


def index(op: str, **attributes: Any) -> Builder:
    """The index of an element, a 64-bit integer."""

    def build(net: QDQ) -> None:
        x = net.input("x", IMAGE, 0.04, 3)
        net.outputs[net.add(op, [x], **attributes)] = (None, TensorProto.INT64)

    return build


def where(*shape: int) -> Builder:
    """Either of two computed values, or (with a scalar) of one and a constant."""

    def build(net: QDQ) -> None:
        condition = net.constant(np.random.default_rng(1).integers(2, size=IMAGE[1:]) > 0)
        x = net.input("x", IMAGE, 0.04, 3)
        other = net.input("z", shape, 0.07, 1) if shape else net.constant(np.float32(-9))
        net.output(net.add("Where", [condition, x, other]), 0.05, 2)

    return build


def with_top_k(net: QDQ) -> None:
    """The two greatest, sorted."""
    x = net.input("x", IMAGE, 0.04, 3)
    net.nodes.append(_node("TopK", [x, net.constant(np.array([2], _INT))], ["v", "i"], axis=1))
    net.output("v", 0.05)


def convolution_block(net: QDQ) -> None:
    """Pad, convolution, clip: one kernel."""
    rng = np.random.default_rng(2)
    x = net.input("x", IMAGE, 0.04, 0)
    padded = net.add("Pad", [x, net.constant(np.array([0, 0, 1, 1, 0, 0, 1, 2]))])
    weight = net.weight(rng.integers(-127, 128, (6, 8, 3, 3)).astype(np.int8), np.float32(0.01))
    y = net.add("Conv", [net.requantized(padded, 0.04, 0), weight])
    bounds = [net.constant(np.float32(v)) for v in (0, 6)]
    net.output(net.add("Clip", [y, *bounds]), 6 / 255, 0)


def _node(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(op, inputs, outputs, **attributes)


_INT = np.int64
_CHANNELS = np.linspace(-1.5, 2.0, 8, dtype=np.float32).reshape(8, 1, 1)

ON_THE_NPU: dict[str, Builder] = {
    "Abs": one("Abs"),
    "Add": many("Add", IMAGE, IMAGE),
    "Add_broadcast": many("Add", IMAGE, (8, 1, 1)),
    "Add_channels": with_constants("Add", _CHANNELS),
    "Add_quantized_channels": quantized_constant("Add", IMAGE, [[[v]] for v in range(8)]),
    "ArgMax": index("ArgMax", axis=1),
    "ArgMax_last": index("ArgMax", axis=-1, keepdims=0, select_last_index=1),
    "ArgMin": index("ArgMin", axis=2),
    "AveragePool_3d": one("AveragePool", VOLUME, kernel_shape=[2, 3, 2], pads=[1, 0, 0, 0, 1, 1]),
    "AveragePool": one("AveragePool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "AveragePool_1d": one("AveragePool", (1, 4, 9), kernel_shape=[3], strides=[2]),
    "BatchNormalization": batch_normalization,
    "BatchNormalization_quantized": quantized_batch_normalization,
    "Clip": with_constants("Clip", np.float32(-0.5), np.float32(1.5)),
    "Concat_C": many("Concat", IMAGE, (1, 3, 6, 5), (1, 1, 6, 5), axis=1),
    "Concat_H": many("Concat", IMAGE, (1, 8, 2, 5), axis=2),
    "Concat_one_scale": many("Concat", IMAGE, IMAGE, axis=1, alike=True),
    "Conv": weighted("Conv", IMAGE, (4, 8, 3, 3), 4, pads=[1, 1, 1, 1], strides=[2, 1]),
    "Conv_per_tensor": weighted("Conv", IMAGE, (4, 8, 1, 1), axis=None),
    "Conv_depthwise": weighted("Conv", IMAGE, (8, 1, 3, 3), 8, group=8, dilations=[2, 1]),
    "Conv_group": weighted("Conv", IMAGE, (6, 4, 3, 2), group=2),
    "Conv_1d": weighted("Conv", (2, 4, 11), (5, 4, 3), 5, pads=[2, 1]),
    "Conv_3d": weighted("Conv", (1, 3, 5, 6, 5), (4, 3, 2, 3, 3), 4, pads=[1, 0, 1, 0, 1, 1]),
    "Conv_3d_flat": weighted("Conv", (1, 3, 4, 6, 5), (4, 3, 1, 3, 3), strides=[2, 1, 1]),
    "ConvTranspose": weighted("ConvTranspose", IMAGE, (8, 3, 2, 2), 3, axis=None, strides=[2, 2]),
    "ConvTranspose_3d": weighted(
        "ConvTranspose", VOLUME, (2, 3, 2, 2, 3), 3, axis=None, strides=[2, 1, 2]
    ),
    "CumSum": with_constants("CumSum", np.array(2), scale=0.2),
    "CumSum_reverse": with_constants("CumSum", np.array(1), scale=0.3, exclusive=1, reverse=1),
    "ConvTranspose_group": weighted(
        "ConvTranspose", IMAGE, (8, 3, 3, 3), axis=None, group=2, strides=[2, 1], pads=[1, 1, 0, 1]
    ),
    "DepthToSpace_CRD": one("DepthToSpace", blocksize=2, mode="CRD"),
    "DepthToSpace_DCR": one("DepthToSpace", blocksize=2, mode="DCR"),
    "Div": many("Div", IMAGE, (5,), scale=0.2),
    "Div_constant": with_constants("Div", np.float32(3)),
    "Div_channels": with_constants("Div", _CHANNELS + np.float32(0.3)),
    "Elu": one("Elu", alpha=0.7),
    "Erf": one("Erf", scale=0.01),
    "Exp": one("Exp", scale=0.3),
    "Expand": with_constants("Expand", np.array([2, 3, 4], _INT), shape=(3, 1)),
    "Flatten": one("Flatten"),
    "Gather": with_constants("Gather", np.array([3, 0, -1, 3], _INT), axis=1),
    "Gather_scalar": with_constants("Gather", np.array(2, _INT), axis=1),
    "Gelu": one("Gelu", opset=20),
    "Gemm": weighted("Gemm", (3, 12), (5, 12), 5, transB=1),
    "GlobalAveragePool": one("GlobalAveragePool"),
    "GlobalMaxPool": one("GlobalMaxPool"),
    "HardSigmoid": one("HardSigmoid", scale=0.005),
    "HardSwish": one("HardSwish"),
    "InstanceNormalization": with_constants(
        "InstanceNormalization", _CHANNELS.reshape(8), _CHANNELS.reshape(8) / 4
    ),
    "LayerNormalization": with_constants(
        "LayerNormalization", _CHANNELS.reshape(8), _CHANNELS.reshape(8) / 4, shape=(2, 5, 8)
    ),
    "LayerNormalization_no_bias": with_constants(
        "LayerNormalization", np.ones(96, np.float32), shape=(1, 4, 96)
    ),
    "LayerNormalization_quantized": quantized_layer_normalization,
    "LeakyRelu": one("LeakyRelu", alpha=0.1),
    "Log": one("Log"),
    "LogSoftmax": one("LogSoftmax", (3, 10), scale=0.06),
    "LogSoftmax_image": one("LogSoftmax", axis=1),
    "LpNormalization": one("LpNormalization", (2, 16), scale=0.008, axis=-1, p=2),
    "LpNormalization_image": one("LpNormalization", scale=0.008, axis=1, p=2),
    "LpNormalization_1": one("LpNormalization", (2, 16), scale=0.004, axis=-1, p=1),
    "MatMul": many("MatMul", (2, 3, 4, 6), (2, 3, 6, 5), scale=0.2),
    "MatMul_constant": weighted("MatMul", (2, 4, 6), (6, 5), axis=None),
    "MatMul_constant_per_channel": weighted("MatMul", (2, 4, 6), (6, 5), axis=1),
    "Max": many("Max", IMAGE, IMAGE),
    "Max_three": many("Max", IMAGE, (8, 1, 1), (5,)),
    "Max_scalar": with_constants("Max", _CHANNELS, np.float32(0.3)),
    "MaxPool": one("MaxPool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 0]),
    "MaxPool_1d": one("MaxPool", (1, 4, 9), kernel_shape=[3], strides=[2]),
    "MaxPool_3d": one("MaxPool", VOLUME, kernel_shape=[2, 2, 3], strides=[1, 2, 1], pads=[1] * 6),
    "MaxPool_ceil": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "Mean": many("Mean", IMAGE, IMAGE, (8, 1, 1)),
    "Mean_one_scale": many("Mean", IMAGE, IMAGE, IMAGE, scale=0.05, alike=True),
    "Min": many("Min", IMAGE, (5,)),
    "Min_constant": with_constants("Min", _CHANNELS),
    "Mul": many("Mul", IMAGE, IMAGE),
    "Mul_broadcast": many("Mul", IMAGE, (1, 8, 1, 1)),
    "Mul_channels": with_constants("Mul", _CHANNELS),
    "Sub_Div_channels": normalized_input,
    "Mul_per_channel": per_channel_constant("Mul"),
    "Add_per_channel": per_channel_constant("Add"),
    "Neg": one("Neg"),
    "PRelu": with_constants("PRelu", _CHANNELS),
    "PRelu_quantized": quantized_constant("PRelu", IMAGE, [[[9 * v]] for v in range(8)]),
    "Pad": with_constants("Pad", np.array([0, 2, 1, 0, 0, 1, 2, 3], _INT), np.float32(0.4)),
    "Pad_reflect": with_constants("Pad", np.array([0, 0, 1, 2, 0, 0, 2, 0], _INT), mode="reflect"),
    "Pow": with_constants("Pow", np.float32(2)),
    "Pow_half": with_constants("Pow", np.float32(0.5)),
    "Pow_quantized": quantized_constant("Pow", IMAGE, 100),
    "ReduceL1": one("ReduceL1", scale=0.3, axes=[1, 2]),
    "ReduceL2": one("ReduceL2", axes=[1], keepdims=0),
    "ReduceL2_all": one("ReduceL2", scale=0.2),
    "ReduceMax": one("ReduceMax", axes=[2, 3]),
    "ReduceMean": one("ReduceMean", axes=[1], keepdims=0),
    "ReduceMin": one("ReduceMin", axes=[1, 3]),
    "ReduceSum": with_constants("ReduceSum", np.array([2, 3], _INT), scale=0.3),
    "ReduceSumSquare": one("ReduceSumSquare", scale=0.6, axes=[3]),
    "Relu": one("Relu"),
    "Reshape": with_constants("Reshape", np.array([4, -1], _INT)),
    "Resize_linear": with_constants(
        "Resize", np.array([], np.float32), np.array([1, 1, 2, 2], np.float32), mode="linear"
    ),
    "Resize_linear_3d": with_constants(
        "Resize",
        np.array([], np.float32),
        np.array([1, 1, 2, 1.5, 3], np.float32),
        shape=VOLUME,
        mode="linear",
    ),
    "Resize_nearest": with_constants(
        "Resize", np.array([], np.float32), np.array([1, 1, 2, 3], np.float32), mode="nearest"
    ),
    "Sigmoid": one("Sigmoid", scale=0.004),
    "Slice_C": with_constants(
        "Slice", np.array([1], _INT), np.array([7], _INT), np.array([1], _INT), np.array([2], _INT)
    ),
    "Slice_H_reversed": with_constants(
        "Slice",
        np.array([-1], _INT),
        np.array([-9], _INT),
        np.array([2], _INT),
        np.array([-1], _INT),
    ),
    "Softmax": one("Softmax", (3, 10), scale=0.004),
    "Softmax_12": one("Softmax", (3, 10), scale=0.004, opset=12, axis=1),
    "Softplus": one("Softplus"),
    "SpaceToDepth": one("SpaceToDepth", (1, 3, 4, 6), blocksize=2),
    "Split_odd": split([1, 4, 3], 1),
    "Split_H": split([5, 1], 2),
    "Sqrt": one("Sqrt"),
    "Squeeze": with_constants("Squeeze", np.array([0], _INT)),
    "Sub": many("Sub", IMAGE, IMAGE),
    "Sub_channels": with_constants("Sub", _CHANNELS),
    "Sum_three": many("Sum", IMAGE, IMAGE, (8, 1, 1)),
    "Tanh": one("Tanh", scale=0.01),
    "Tile": with_constants("Tile", np.array([1, 2, 1, 3], _INT)),
    "Transpose": one("Transpose", perm=[0, 2, 3, 1]),
    "Where": where(8, 1, 5),
    "Where_constant": where(),
    "Unsqueeze": with_constants("Unsqueeze", np.array([1], _INT)),
    "chain_Relu_Sigmoid": chain(("Relu", {}), ("Sigmoid", {})),
    "chain_Tanh_Transpose_Transpose": chain(
        ("Tanh", {}), ("Transpose", {"perm": [0, 2, 3, 1]}), ("Transpose", {"perm": [0, 3, 1, 2]})
    ),
    "gated_Sigmoid": gated("Sigmoid"),
    "gated_HardSigmoid": gated("HardSigmoid"),
    "Pad_MaxPool": padded("MaxPool", -np.inf),
    "Pad_MaxPool_zero": padded("MaxPool", 0.0),
    "Pad_AveragePool": padded("AveragePool", 0.0),
    "chain_Quantize": requantized,
    "Pad_Conv_Clip": convolution_block,
}
"""Operator and form -> its network; all of it runs on the NPU.

Upsample ended with operator set 9, QuantizeLinear began with 10: no file has both.
"""

ON_THE_HOST: dict[str, tuple[int, Builder]] = {
    "Pow_variable": (4, many("Pow", IMAGE, (5,))),
    "TopK": (1, with_top_k),
    "LayerNormalization_large": (
        4,
        with_constants(
            "LayerNormalization", np.full(5, 900, np.float32), np.zeros(5, np.float32), scale=0.01
        ),
    ),
    "ReduceProd": (1, one("ReduceProd", axes=[3])),
    "ReduceLogSumExp": (1, one("ReduceLogSumExp", axes=[3])),
    "Trilu": (1, one("Trilu")),
    "Relu_empty": (4, one("Relu", (0, 4))),
    "Slice_empty": (
        4,
        with_constants("Slice", np.array([2], _INT), np.array([2], _INT), np.array([1], _INT)),
    ),
}
"""Operator and form -> its hint's number and its network: at least one operator is the host's."""
