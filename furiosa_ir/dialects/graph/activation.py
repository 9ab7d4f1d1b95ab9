"""Activation functions that only ONNX networks have; the others are in `functions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import FloatAttr, f64
from xdsl.ir import SSAValue
from xdsl.irdl import prop_def

from furiosa_ir.dialects.graph.base import OnnxNode
from furiosa_ir.dialects.graph.elementwise import UnaryOp
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class CeluOp(UnaryOp):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""

    name = "graph.celu"
    ONNX: ClassVar = ("Celu",)

    alpha = prop_def(FloatAttr.constr(f64))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, alpha = operands[0], self.alpha.value.data
        return [np.maximum(x, 0) + np.minimum(0, alpha * elementary.expm1(x / alpha))]


@irdl_op_definition
class ThresholdedReluOp(UnaryOp):
    """x where x > alpha, else 0."""

    name = "graph.thresholded_relu"
    ONNX: ClassVar = ("ThresholdedRelu",)

    alpha = prop_def(FloatAttr.constr(f64))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        return [np.where(x > self.alpha.value.data, x, 0.0)]


@irdl_op_definition
class ShrinkOp(UnaryOp):
    """x + bias where x < -lambd, x - bias where x > lambd, else 0."""

    name = "graph.shrink"
    ONNX: ClassVar = ("Shrink",)

    bias = prop_def(FloatAttr.constr(f64))
    lambd = prop_def(FloatAttr.constr(f64))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, bias, lambd = operands[0], self.bias.value.data, self.lambd.value.data
        return [np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0.0))]


@irdl_op_definition
class SignOp(UnaryOp):
    """-1, 0 or 1."""

    name = "graph.sign"
    ONNX: ClassVar = ("Sign",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.sign(operands[0])]


@irdl_op_definition
class SwishOp(UnaryOp):
    """x * sigmoid(alpha * x)."""

    name = "graph.swish"
    ONNX: ClassVar = ("com.microsoft::QuickGelu", "Swish")

    alpha = prop_def(FloatAttr.constr(f64))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        default = 1.702 if node.op_type == "QuickGelu" else 1.0
        return node.emit(cls, node.operands, alpha=float(node.attributes.get("alpha", default)))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        return [x / (1.0 + elementary.exp(-self.alpha.value.data * x))]
