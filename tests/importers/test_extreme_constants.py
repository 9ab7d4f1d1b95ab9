"""NaNs that signal, and huge numbers, in each float tensor: numpy warns where it casts them.

Mutations of scales found both. What becomes of the network is another matter: here it is compiled,
or refused with a sentence, and says nothing else (warnings are errors in these tests).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError

SIGNALLING = np.array(0xFF820811, np.uint32).view(np.float32)
POISONS = {"signalling NaN": SIGNALLING, "1e30": np.float32(1e30), "-3e38": np.float32(-3e38)}
OPERATORS = {
    "Clip": [np.float32(-1), np.float32(1)],
    "Mul": [np.ones((1, 4, 1, 1), np.float32)],
    "Add": [np.ones((1, 4, 1, 1), np.float32)],
    "Div": [np.float32(2)],
    "Pow": [np.float32(2)],
    "PRelu": [np.ones((4, 1, 1), np.float32)],
    "BatchNormalization": [np.full(4, n, np.float32) for n in (1, 2, 3, 4)],
    "InstanceNormalization": [np.full(4, n, np.float32) for n in (1, 2)],
    "Conv": [np.ones((4, 4, 1, 1), np.float32), np.ones(4, np.float32)],
    "ConvTranspose": [np.ones((4, 4, 1, 1), np.float32), np.ones(4, np.float32)],
    "Pad": [np.zeros(8, np.int64), np.float32(1)],
    "Where": [np.ones((1, 4, 3, 3), np.float32)],
    "Max": [np.ones((1, 4, 1, 1), np.float32)],
    "Concat": [np.ones((1, 4, 3, 3), np.float32)],
    "MatMul": [np.ones((3, 3), np.float32)],
}
"""Operator -> its constant operands."""


def network(operator: str, *, is_quantized: bool) -> onnx.ModelProto:
    """The operator on float data, which are dequantised of int8 and quantised again, or not."""
    constants = {f"c{i}": np.asarray(a) for i, a in enumerate(OPERATORS[operator])}
    constants |= {"s": np.array(0.125, np.float32), "t": np.array(0.25, np.float32)}
    constants |= {"z": np.array(3, np.int8), "mask": np.array(True)}
    first, last = ("r", "w") if is_quantized else ("x", "y")
    front = ["mask"] if operator == "Where" else []
    names = [*front, first, *(n for n in constants if n.startswith("c"))]
    attributes = {"Concat": {"axis": 1}}.get(operator, {})
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["r"]),
        helper.make_node(operator, names, [last], **attributes),
        helper.make_node("QuantizeLinear", ["w", "t", "z"], ["y"]),
    ]
    element = TensorProto.INT8 if is_quantized else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes if is_quantized else nodes[1:2],
        "g",
        [helper.make_tensor_value_info("x", element, [1, 4, 3, 3])],
        [helper.make_tensor_value_info("y", element, [1, 8 if operator == "Concat" else 4, 3, 3])],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def poisoned(model: onnx.ModelProto, poison: np.float32) -> Iterator[bytes]:
    """The network with this as the last element of each floating-point constant."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            whole = tensor.raw_data
            tensor.raw_data = whole[:-4] + poison.tobytes()
            yield model.SerializeToString()
            tensor.raw_data = whole


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("is_quantized", [True, False])
@pytest.mark.parametrize("operator", OPERATORS)
def test_nobody_is_warned(operator: str, is_quantized: bool, poison: str) -> None:
    model = network(operator, is_quantized=is_quantized)
    compile_model(model)
    for data in poisoned(model, POISONS[poison]):
        with contextlib.suppress(FuriosaError):
            compile_model(data)
