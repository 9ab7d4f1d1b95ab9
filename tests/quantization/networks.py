"""Small float networks to quantise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Float ONNX networks, node by node."""

    def __init__(self, shape: Sequence[int | str], seed: int = 0, name: str = "x") -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))]

    def constant(self, array: Any) -> str:
        """A weight; float64 becomes float32."""
        array = np.asarray(array)
        name = f"constant_{len(self.constants)}"
        dtype = np.float32 if array.dtype == np.float64 else array.dtype
        self.constants.append(numpy_helper.from_array(array.astype(dtype), name))
        return name

    def weight(self, *shape: int) -> str:
        """Normally distributed, of unit gain."""
        return self.constant(self.rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape))

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output, which is returned."""
        output = f"{name or kind.lower()}_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [output], name or output, **attributes)
        self.nodes.append(node)
        return output

    def model(self, *outputs: str, shape: Sequence[int | str] | None, opset: int = 17) -> Any:
        """The network; the outputs share one shape."""
        results = [helper.make_tensor_value_info(o, TensorProto.FLOAT, shape) for o in outputs]
        graph = helper.make_graph(self.nodes, "g", self.inputs, results, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model


def convolutions(batch: int | str = 1, opset: int = 11) -> Any:
    """Conv, BatchNormalization, Relu, a residual, pooling and a classifier."""
    b = Builder([batch, 3, 12, 12])
    x = b.node("Conv", "x", b.weight(8, 3, 3, 3), b.weight(8), name="stem", pads=[1] * 4)
    x = b.node("Relu", _normalized(b, x, 8))
    y = b.node("Conv", x, b.weight(8, 8, 3, 3), name="inner", pads=[1] * 4)
    y = b.node("Relu", b.node("Add", x, y))
    # No convolution before this one: its input has another user.
    z = b.node("Relu", _normalized(b, y, 8))
    z = b.node("MaxPool", b.node("Add", y, z), kernel_shape=[2, 2], strides=[2, 2])
    z = b.node("Flatten", b.node("GlobalAveragePool", z))
    z = b.node("Gemm", z, b.weight(5, 8), b.weight(5), name="classifier", transB=1)
    return b.model(z, shape=[batch, 5], opset=opset)


def _normalized(b: Builder, x: str, channels: int) -> str:
    parameters = [
        b.rng.uniform(0.5, 1.5, channels),
        b.rng.normal(size=channels),
        b.rng.normal(size=channels),
        b.rng.uniform(0.5, 1.5, channels),
    ]
    return b.node("BatchNormalization", x, *(b.constant(p) for p in parameters), name="norm")


def encoder_block(sequence: int = 16, width: int = 32, heads: int = 4) -> Any:
    """A transformer's encoder block: attention, a GELU network, LayerNormalization, residuals."""
    b = Builder([1, sequence, width])
    size = width // heads

    def dense(x: str, outputs: int, inputs: int, name: str) -> str:
        weight = b.constant(b.rng.normal(0, inputs**-0.5, (inputs, outputs)))
        bias = b.constant(b.rng.normal(0, 0.1, outputs))
        return b.node("Add", b.node("MatMul", x, weight, name=name), bias)

    def normalize(x: str, name: str) -> str:
        scale, bias = b.rng.uniform(0.5, 1.5, width), b.rng.normal(0, 0.1, width)
        parameters = [b.constant(scale), b.constant(bias)]
        return b.node("LayerNormalization", x, *parameters, name=name, axis=-1, epsilon=1e-5)

    def split(x: str, order: Sequence[int]) -> str:
        shape = b.constant(np.array([1, sequence, heads, size]))
        return b.node("Transpose", b.node("Reshape", x, shape), perm=list(order))

    query = split(dense("x", width, width, "query"), [0, 2, 1, 3])
    key = split(dense("x", width, width, "key"), [0, 2, 3, 1])
    value = split(dense("x", width, width, "value"), [0, 2, 1, 3])
    scores = b.node("MatMul", query, key, name="scores")
    scores = b.node("Div", scores, b.constant(np.float32(size**0.5)))
    weights = b.node("Softmax", scores, name="attention", axis=-1)
    mixed = b.node("MatMul", weights, value, name="mixed")
    mixed = b.node("Transpose", mixed, perm=[0, 2, 1, 3])
    mixed = b.node("Reshape", mixed, b.constant(np.array([1, sequence, width])))
    x = normalize(b.node("Add", "x", dense(mixed, width, width, "projection")), "norm_1")
    inner = dense(x, 4 * width, width, "expand")
    error = b.node("Erf", b.node("Div", inner, b.constant(np.float32(2**0.5))), name="erf")
    half = b.node("Mul", inner, b.node("Add", error, b.constant(np.float32(1))))
    gelu = b.node("Mul", half, b.constant(np.float32(0.5)), name="gelu")
    y = b.node("Add", x, dense(gelu, width, 4 * width, "contract"))
    return b.model(normalize(y, "norm_2"), shape=[1, sequence, width])
