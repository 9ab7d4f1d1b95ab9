"""Networks between QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.importers.onnx.networks import network

node = helper.make_node


@dataclass
class QDQ:
    """Builds a network: quantised inputs, dequantised; operators of reals; quantised outputs."""

    opset: int = 17
    dtype: Any = np.int8
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def parameters(self, name: str, scale: Any, zero_point: Any, dtype: Any = None) -> list[str]:
        self.constants[name + "_s"] = np.asarray(scale, np.float32)
        self.constants[name + "_z"] = np.asarray(zero_point, dtype or self.dtype)
        return [name + "_s", name + "_z"]

    def input(self, name: str, shape: Any, scale: float, zero_point: int = 0) -> str:
        """An integer input, dequantised."""
        self.inputs[name] = (shape, helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype)))
        return self.dequantize(name, scale, zero_point)

    def weight(self, array: np.ndarray, scale: Any, axis: int = 0, name: str = "w") -> str:
        """A constant, dequantised."""
        self.constants[name] = array
        zero = np.zeros(np.shape(scale))
        parameters = self.parameters(name, scale, zero, array.dtype)
        self.nodes.append(node("DequantizeLinear", [name, *parameters], [name + "_d"], axis=axis))
        return name + "_d"

    def dequantize(self, name: str, scale: float, zero_point: int = 0) -> str:
        parameters = self.parameters(name, scale, zero_point)
        self.nodes.append(node("DequantizeLinear", [name, *parameters], [name + "_d"]))
        return name + "_d"

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(node(op, inputs, [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def quantize(self, name: str, scale: float, zero_point: int = 0) -> str:
        parameters = self.parameters(name, scale, zero_point)
        self.nodes.append(node("QuantizeLinear", [name, *parameters], [name + "_q"]))
        return name + "_q"

    def requantized(self, name: str, scale: float, zero_point: int = 0) -> str:
        """Q and DQ."""
        stored = self.quantize(name, scale, zero_point)
        parameters = [name + "_s", name + "_z"]
        self.nodes.append(node("DequantizeLinear", [stored, *parameters], [stored + "_d"]))
        return stored + "_d"

    def output(self, name: str, scale: float, zero_point: int = 0) -> None:
        """Quantises a value and makes it an integer output."""
        stored = self.quantize(name, scale, zero_point)
        self.outputs[stored] = (None, helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype)))

    def float_output(self, name: str) -> None:
        self.outputs[name] = (None, TensorProto.FLOAT)

    def model(self) -> onnx.ModelProto:
        return network(self.nodes, self.inputs, self.outputs, self.constants, self.opset)
