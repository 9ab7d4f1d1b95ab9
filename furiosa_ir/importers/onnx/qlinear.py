"""QLinear operators: written as what the standard says they mean, dequantise - operator - quantise.

`graph-fold-quantization` then makes one quantised operation of the three, as it does of networks
that are written so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import helper

from furiosa_ir.importers.onnx import tensors
from furiosa_ir.importers.onnx.builder import Builder
from furiosa_ir.ir.constants import Array


@dataclass
class _Expansion:
    """The nodes that one QLinear node becomes; names derive from that of its output."""

    builder: Builder
    node: Any
    nodes: list[Any] = field(default_factory=list[Any])

    @property
    def inputs(self) -> list[str]:
        return [str(i) for i in self.node.input]

    def constant(self, index: int) -> Array:
        """The elements of an input.

        Raises:
            LookupError: it is not constant.
        """
        array = self.builder.constant_elements(self.inputs[index])
        if array is None:
            raise LookupError(self.inputs[index])
        return array

    def dequantized(self, index: int, axis: int | None = None) -> str:
        """Input `index`, whose scale and zero point follow it."""
        x, scale, zero_point = self.inputs[index : index + 3]
        self.constant(index + 1)
        return self.node_of("DequantizeLinear", [x, scale, zero_point], axis=axis)

    def accumulator(self, name: str, unit: Array) -> str:
        """An i32 bias as the real numbers it stands for."""
        scale = f"{self.node.output[0]}/bias_scale"
        array = unit.astype(np.float32).reshape(-1)
        array = array[0] if array.size == 1 else array
        self.builder.declare_tensor(scale, tensors.tensor_of_array(np.asarray(array), scale))
        return self.node_of("DequantizeLinear", [name, scale], axis=0 if array.ndim else None)

    def node_of(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        """Adds a node; returns its output."""
        output = f"{self.node.output[0]}/{len(self.nodes)}"
        given = {k: v for k, v in attributes.items() if v is not None}
        name = self.node.name or self.node.output[0]
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **given))
        return output

    def operator(self, op_type: str, inputs: list[str]) -> str:
        """Adds the operator itself, with the attributes of the QLinear node."""
        output = self.node_of(op_type, inputs)
        self.nodes[-1].attribute.extend(self.node.attribute)
        return output

    def quantize(self, x: str, index: int) -> None:
        """Ends with the node's output, whose scale is input `index`."""
        self.constant(index)
        inputs = [x, *(i for i in self.inputs[index : index + 2] if i)]
        self.node_of("QuantizeLinear", inputs)
        self.nodes[-1].output[0] = self.node.output[0]


def _conv(e: _Expansion) -> None:
    """QLinearConv: x and its scale and zero point, w and its, those of y, bias."""
    per_channel = e.constant(4).size > 1
    operands = [e.dequantized(0), e.dequantized(3, 0 if per_channel else None)]
    if len(e.inputs) > 8 and e.inputs[8]:
        operands.append(e.accumulator(e.inputs[8], e.constant(1) * e.constant(4)))
    e.quantize(e.operator("Conv", operands), 6)


def _mat_mul(e: _Expansion) -> None:
    """QLinearMatMul: a, b, each with scale and zero point, and those of y."""
    if e.constant(4).size > 1 or e.constant(1).size > 1:
        raise LookupError("scales of rows and columns")
    e.quantize(e.operator("MatMul", [e.dequantized(0), e.dequantized(3)]), 6)


def _binary(op_type: str) -> Callable[[_Expansion], None]:
    def expand(e: _Expansion) -> None:
        e.quantize(e.operator(op_type, [e.dequantized(0), e.dequantized(3)]), 6)

    return expand


def _unary(op_type: str) -> Callable[[_Expansion], None]:
    def expand(e: _Expansion) -> None:
        e.quantize(e.operator(op_type, [e.dequantized(0)]), 3)

    return expand


def _channels_last(expand: Callable[[_Expansion], None]) -> Callable[[_Expansion], None]:
    """Of onnxruntime's pooling only the layout of ONNX."""

    def checked(e: _Expansion) -> None:
        kept = [a for a in e.node.attribute if a.name != "channels_last"]
        if any(a.name == "channels_last" and a.i for a in e.node.attribute):
            raise LookupError("channels_last")
        del e.node.attribute[:]
        e.node.attribute.extend(kept)
        expand(e)

    return checked


_EXPANSIONS: dict[str, Callable[[_Expansion], None]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _mat_mul,
    "com.microsoft::QLinearAdd": _binary("Add"),
    "com.microsoft::QLinearMul": _binary("Mul"),
    "com.microsoft::QLinearSigmoid": _unary("Sigmoid"),
    "com.microsoft::QLinearLeakyRelu": _unary("LeakyRelu"),
    "com.microsoft::QLinearAveragePool": _channels_last(_unary("AveragePool")),
    "com.microsoft::QLinearGlobalAveragePool": _channels_last(_unary("GlobalAveragePool")),
}


def expanded(builder: Builder, node: Any) -> list[Any] | None:
    """The nodes that a QLinear node stands for; None for any other, or where scales vary."""
    key = f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
    expand = _EXPANSIONS.get(key)
    if expand is None:
        return None
    expansion = _Expansion(builder, node)
    try:
        expand(expansion)
    except LookupError:
        return None
    return expansion.nodes
