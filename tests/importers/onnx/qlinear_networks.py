"""Float networks that onnxruntime quantises with `QuantFormat.QOperator`, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType

IMAGE = (1, 4, 8, 8)
ROWS = (3, 16)


class Float:
    """A float network under construction; its input is "x", its output "y".

    Args:
        shape: of the input.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.rng = np.random.default_rng(0)
        self.result = onnx.TensorProto.FLOAT
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def constant(self, array: Any) -> str:
        """An initialiser."""
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape: int) -> str:
        """Random float weights."""
        return self.constant(self.rng.normal(0, 0.3, shape).astype(np.float32))

    def add(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds an operator; returns its output, or a list of several."""
        name = f"n{len(self.nodes)}"
        names = [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=name, **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x: str, channels: int = 4, group: int = 1) -> str:
        """A 3 x 3 convolution to 4 channels."""
        weight, bias = self.weight(4, channels // group, 3, 3), self.weight(4)
        return self.add("Conv", x, weight, bias, pads=[1, 1, 1, 1], group=group)

    def model(self) -> onnx.ModelProto:
        """The network; the last node makes its output."""
        self.nodes[-1].output[0] = "y"
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info("y", self.result, None)
        graph = helper.make_graph(self.nodes, "network", [x], [y], self.tensors)
        imports = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def between(op_type: str, *constants: Any, **attributes: Any) -> Callable[[Float], None]:
    """conv - operator - conv."""

    def build(net: Float) -> None:
        x = net.add(op_type, net.conv("x"), *map(net.constant, constants), **attributes)
        net.conv(x)

    return build


def _residual(net: Float) -> None:
    a, b = net.conv("x"), net.conv("x")
    net.conv(net.add("Mul", net.add("Add", a, b), a))


def _concat(net: Float) -> None:
    net.conv(net.add("Concat", net.conv("x"), net.conv("x"), axis=1), 8)


def _split(net: Float) -> None:
    parts = net.add("Split", net.conv("x"), net.constant(np.array([1, 3])), outputs=2, axis=1)
    net.conv(net.add("Concat", *parts[::-1], axis=1))


def _reshape(net: Float) -> None:
    x = net.add("Reshape", net.conv("x"), net.constant(np.array([1, 4, 64])))
    x = net.add("Unsqueeze", net.add("Squeeze", x, net.constant([0])), net.constant([0]))
    net.conv(net.add("Reshape", x, net.constant(np.array(IMAGE))))


def _depthwise(net: Float) -> None:
    net.conv(net.conv("x", group=4))


def _dense(net: Float) -> None:
    x = net.add("Gemm", "x", net.weight(16, 8), net.weight(8))
    net.add("MatMul", net.add("Relu", x), net.weight(8, 5))


def _scaled_gemm(net: Float) -> None:
    x = net.add("Gemm", "x", net.weight(8, 16), net.weight(8), transB=1, alpha=0.5, beta=2.0)
    net.add("MatMul", x, net.weight(8, 5))


def _attention(net: Float) -> None:
    a = net.add("MatMul", "x", net.weight(16, 8))
    scores = net.add("MatMul", a, net.add("Transpose", a, perm=[1, 0]))
    net.add("MatMul", net.add("Softmax", scores, axis=-1), a)


def _flatten(net: Float) -> None:
    net.add("Gemm", net.add("Flatten", net.conv("x")), net.weight(256, 6), net.weight(6))


def _where(net: Float) -> None:
    condition = net.constant(net.rng.integers(0, 2, IMAGE).astype(bool))
    net.conv(net.add("Where", condition, net.conv("x"), net.conv("x")))


def _arg_max(net: Float) -> None:
    net.add("Cast", net.add("ArgMax", net.conv("x"), axis=1), to=onnx.TensorProto.FLOAT)


def _where_of_values(net: Float) -> None:
    """A condition that the network computes, and a constant to choose."""
    x = net.conv("x")
    positive = net.add("Greater", "x", net.constant(np.float32(0.2)))
    net.conv(net.add("Where", positive, x, net.conv("x")))


def _arg_max_last(net: Float) -> None:
    net.result = onnx.TensorProto.INT64
    net.add("ArgMax", net.conv("x"), axis=1, keepdims=0, select_last_index=1)


def _conv_transpose(net: Float) -> None:
    net.conv(net.add("ConvTranspose", net.conv("x"), net.weight(4, 4, 2, 2), strides=[2, 2]))


def _normalization(op_type: str, *shape: int, **attributes: Any) -> Callable[[Float], None]:
    def build(net: Float) -> None:
        x = net.add(op_type, net.conv("x"), net.weight(*shape), net.weight(*shape), **attributes)
        net.conv(x)

    return build


def _batch_norm(net: Float) -> None:
    parameters = [net.weight(4) for _ in range(3)]
    variance = net.constant(net.rng.uniform(0.5, 2, 4).astype(np.float32))
    net.conv(net.add("BatchNormalization", net.conv("x"), *parameters, variance))


def _top_k(net: Float) -> None:
    values, _ = net.add("TopK", net.conv("x"), net.constant(np.array([3])), outputs=2, axis=1)
    net.add("Relu", values)


def _gather_elements(net: Float) -> None:
    indices = net.constant(net.rng.integers(0, 4, IMAGE))
    net.conv(net.add("GatherElements", net.conv("x"), indices, axis=1))


def _volume(net: Float) -> None:
    x = net.add("Conv", "x", net.weight(4, 2, 2, 3, 3), net.weight(4), pads=[0, 1, 1, 1, 1, 1])
    x = net.add("MaxPool", x, kernel_shape=[2, 2, 2], strides=[1, 2, 2])
    net.add("AveragePool", x, kernel_shape=[2, 1, 2])


PADS = np.array([0, 0, 1, 2, 0, 0, 2, 1])
TWICE = np.array([1, 1, 2, 2], np.float32)
NEAREST = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}

NETWORKS: dict[str, tuple[Sequence[int], Callable[[Float], None]]] = {
    "residual": (IMAGE, _residual),
    "concat": (IMAGE, _concat),
    "split": (IMAGE, _split),
    "reshape": (IMAGE, _reshape),
    "depthwise": (IMAGE, _depthwise),
    "flatten": (IMAGE, _flatten),
    "where": (IMAGE, _where),
    "arg_max": (IMAGE, _arg_max),
    "where_of_values": (IMAGE, _where_of_values),
    "arg_max_last": (IMAGE, _arg_max_last),
    "conv_transpose": (IMAGE, _conv_transpose),
    "batch_norm": (IMAGE, _batch_norm),
    "instance_norm": (IMAGE, _normalization("InstanceNormalization", 4)),
    "layer_norm": (IMAGE, _normalization("LayerNormalization", 8, axis=-1)),
    "top_k": (IMAGE, _top_k),
    "gather_elements": (IMAGE, _gather_elements),
    "cum_sum": (IMAGE, between("CumSum", np.array(2))),
    "volume": ((1, 2, 4, 6, 6), _volume),
    "dense": (ROWS, _dense),
    "scaled_gemm": (ROWS, _scaled_gemm),
    "attention": (ROWS, _attention),
    "relu": (IMAGE, between("Relu")),
    "clip": (IMAGE, between("Clip", np.float32(0), np.float32(6))),
    "sigmoid": (IMAGE, between("Sigmoid")),
    "leaky_relu": (IMAGE, between("LeakyRelu", alpha=0.1)),
    "average_pool": (IMAGE, between("AveragePool", kernel_shape=[3, 2], strides=[2, 2])),
    "global_average_pool": (IMAGE, between("GlobalAveragePool")),
    "max_pool": (IMAGE, between("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)),
    "softmax": (IMAGE, between("Softmax", axis=1)),
    "slice": (
        IMAGE,
        between("Slice", np.array([0, 1]), np.array([4, 7]), np.array([1, 3]), np.array([1, 2])),
    ),
    "transpose": (IMAGE, between("Transpose", perm=[0, 1, 3, 2])),
    "gather": (IMAGE, between("Gather", np.array([3, 1, 0, 2]), axis=1)),
    "pad": (IMAGE, between("Pad", PADS)),
    "pad_reflect": (IMAGE, between("Pad", PADS, mode="reflect")),
    "resize": (IMAGE, between("Resize", np.zeros(0, np.float32), TWICE, mode="nearest", **NEAREST)),
    "resize_linear": (IMAGE, between("Resize", np.zeros(0, np.float32), TWICE, mode="linear")),
}
"""Name -> shape of the input, what builds the network."""

ON_THE_HOST: dict[str | tuple[str, str], list[str]] = {
    # What is not computed on 8-bit data.
    "arg_max": ["Cast"],
    "where_of_values": ["Greater"],
    # No kernel sorts, or gathers along an axis at other places for each row.
    "top_k": ["TopK"],
    "gather_elements": ["GatherElements"],
    # The quantiser leaves float what has no quantised operator, and weights with it.
    ("top_k", "QOperator"): ["TopK", "relu"],
    ("conv_transpose", "QOperator"): ["conv_transpose"],
    # Of the stored integers; how they are interpolated the standard leaves open.
    ("resize_linear", "QOperator"): ["Resize"],
}
"""Operators that run on the host, beside the quantisation of the float input and output.

By network, or by network and format.
"""

WITHOUT_NETWORK = {"EmbedLayerNormalization"}
"""A fused operator of com.microsoft, which only onnxruntime's transformer optimiser writes."""

WITNESS_STEPS = {"resize_linear": 2}
"""How far onnxruntime may be from exact arithmetic, if not one step: doubling an image linearly
makes ties, which its float32 arithmetic takes to either side, and a convolution adds them up."""

FORMATS = {"QOperator": QuantFormat.QOperator, "QDQ": QuantFormat.QDQ}

FORMS = {
    "uint8": (QuantType.QUInt8, QuantType.QInt8, False),
    "uint8 weights": (QuantType.QUInt8, QuantType.QUInt8, False),
    "int8 per channel": (QuantType.QInt8, QuantType.QInt8, True),
}
"""Name -> type of activations, type of weights, whether weights have a scale per channel."""


class _Samples(CalibrationDataReader):
    def __init__(self, samples: Sequence[Mapping[str, Any]]) -> None:
        self._left = iter(samples)

    def get_next(self) -> Any:
        return next(self._left, None)


def quantized(
    name: str, form: str, folder: Path, quant_format: str = "QOperator"
) -> tuple[bytes, np.ndarray]:
    """A network of `NETWORKS` as onnxruntime's quantiser writes it, and an input."""
    shape, build = NETWORKS[name]
    net = Float(shape)
    build(net)
    rng = np.random.default_rng(1)
    samples = [{"x": rng.normal(0, 1, shape).astype(np.float32)} for _ in range(4)]
    activations, weights, per_channel = FORMS[form]
    onnx.save(net.model(), folder / "float.onnx")
    cast("Any", quantization).quantize_static(
        folder / "float.onnx",
        folder / "quantized.onnx",
        _Samples(samples),
        quant_format=FORMATS[quant_format],
        activation_type=activations,
        weight_type=weights,
        per_channel=per_channel,
        # Of Where, the quantiser's other way leaves a network without some of its operators.
        extra_options={"ForceQuantizeNoInputCheck": name.startswith("where")},
    )
    return (folder / "quantized.onnx").read_bytes(), samples[0]["x"]
