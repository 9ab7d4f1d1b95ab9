"""Real functions of one element. On the NPU each of them is a table: `evaluate` is all it takes.

To add one, copy a neighbour. Parameters are properties called like ONNX's attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import FloatAttr, StringAttr, f64
from xdsl.ir import SSAValue
from xdsl.irdl import opt_prop_def

from furiosa_ir.dialects.graph.base import OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.elementwise import UnaryOp
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class ExpOp(UnaryOp):
    """exp(x)."""

    name = "graph.exp"
    ONNX: ClassVar = ("Exp",)
    TFLITE: ClassVar = ("EXP",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.exp(operands[0])]


@irdl_op_definition
class LogOp(UnaryOp):
    """The natural logarithm."""

    name = "graph.log"
    ONNX: ClassVar = ("Log",)
    TFLITE: ClassVar = ("LOG",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.log(operands[0])]


@irdl_op_definition
class SqrtOp(UnaryOp):
    """The square root."""

    name = "graph.sqrt"
    ONNX: ClassVar = ("Sqrt",)
    TFLITE: ClassVar = ("SQRT",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.sqrt(operands[0])]


@irdl_op_definition
class RsqrtOp(UnaryOp):
    """1 / sqrt(x)."""

    name = "graph.rsqrt"
    TFLITE: ClassVar = ("RSQRT",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [1.0 / np.sqrt(operands[0])]


@irdl_op_definition
class ReciprocalOp(UnaryOp):
    """1 / x."""

    name = "graph.reciprocal"
    ONNX: ClassVar = ("Reciprocal",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [1.0 / operands[0]]


@irdl_op_definition
class AbsOp(UnaryOp):
    """|x|."""

    name = "graph.abs"
    ONNX: ClassVar = ("Abs",)
    TFLITE: ClassVar = ("ABS",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.abs(operands[0])]


@irdl_op_definition
class NegOp(UnaryOp):
    """-x."""

    name = "graph.neg"
    ONNX: ClassVar = ("Neg",)
    TFLITE: ClassVar = ("NEG",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.negative(operands[0])]


@irdl_op_definition
class ErfOp(UnaryOp):
    """The error function."""

    name = "graph.erf"
    ONNX: ClassVar = ("Erf",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.erf(operands[0])]


@irdl_op_definition
class GeluOp(UnaryOp):
    """x * Phi(x), Phi by erf, or by tanh where `approximate` is "tanh"."""

    name = "graph.gelu"
    ONNX: ClassVar = ("Gelu", "com.microsoft::Gelu")
    TFLITE: ClassVar = ("GELU",)

    approximate = opt_prop_def(StringAttr)

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        approximate = "tanh" if node.options.Approximate() else None
        return node.emit(cls, node.operands, approximate=approximate)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        if self.approximate is not None and self.approximate.data == "tanh":
            inner = np.sqrt(2.0 / np.pi) * (x + 0.044715 * x * x * x)
            return [0.5 * x * (1.0 + elementary.tanh(inner))]
        return [0.5 * x * (1.0 + elementary.erf(x / np.sqrt(2.0)))]


@irdl_op_definition
class EluOp(UnaryOp):
    """x where x > 0, else alpha * (exp(x) - 1); alpha is 1 by default."""

    name = "graph.elu"
    ONNX: ClassVar = ("Elu",)
    TFLITE: ClassVar = ("ELU",)

    alpha = opt_prop_def(FloatAttr.constr(f64))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        return [np.where(x > 0, x, _number(self.alpha, 1.0) * elementary.expm1(x))]


@irdl_op_definition
class SeluOp(UnaryOp):
    """gamma * x where x > 0, else gamma * alpha * (exp(x) - 1)."""

    name = "graph.selu"
    ONNX: ClassVar = ("Selu",)

    alpha = opt_prop_def(FloatAttr.constr(f64))
    gamma = opt_prop_def(FloatAttr.constr(f64))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        alpha = _number(self.alpha, 1.67326319217681884765625)
        gamma = _number(self.gamma, 1.05070102214813232421875)
        return [gamma * np.where(x > 0, x, alpha * elementary.expm1(x))]


@irdl_op_definition
class HardSigmoidOp(UnaryOp):
    """clip(alpha * x + beta, 0, 1); alpha 0.2 and beta 0.5 by default."""

    name = "graph.hard_sigmoid"
    ONNX: ClassVar = ("HardSigmoid",)

    alpha = opt_prop_def(FloatAttr.constr(f64))
    beta = opt_prop_def(FloatAttr.constr(f64))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = _number(self.alpha, 0.2) * operands[0] + _number(self.beta, 0.5)
        return [np.clip(x, 0.0, 1.0)]


@irdl_op_definition
class HardSwishOp(UnaryOp):
    """x * clip(alpha * x + 1 / 2, 0, 1); alpha is 1 / 6, in ONNX networks as a float32."""

    name = "graph.hard_swish"
    ONNX: ClassVar = ("HardSwish",)
    TFLITE: ClassVar = ("HARD_SWISH",)

    alpha = opt_prop_def(FloatAttr.constr(f64))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        # The standard defines it as a function of HardSigmoid, whose alpha is a float32.
        return node.emit(cls, node.operands, alpha=float(np.float32(1 / 6)))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        inner = x / 6.0 if self.alpha is None else x * self.alpha.value.data
        return [x * np.clip(inner + 0.5, 0.0, 1.0)]


@irdl_op_definition
class SoftplusOp(UnaryOp):
    """log(1 + exp(x))."""

    name = "graph.softplus"
    ONNX: ClassVar = ("Softplus",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.softplus(operands[0])]


@irdl_op_definition
class SoftsignOp(UnaryOp):
    """x / (1 + |x|)."""

    name = "graph.softsign"
    ONNX: ClassVar = ("Softsign",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [operands[0] / (1.0 + np.abs(operands[0]))]


@irdl_op_definition
class MishOp(UnaryOp):
    """x * tanh(log(1 + exp(x)))."""

    name = "graph.mish"
    ONNX: ClassVar = ("Mish",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [operands[0] * elementary.tanh(elementary.softplus(operands[0]))]


@irdl_op_definition
class FloorOp(UnaryOp):
    """The greatest integer not above x."""

    name = "graph.floor"
    ONNX: ClassVar = ("Floor",)
    TFLITE: ClassVar = ("FLOOR",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.floor(operands[0])]


@irdl_op_definition
class CeilOp(UnaryOp):
    """The least integer not below x."""

    name = "graph.ceil"
    ONNX: ClassVar = ("Ceil",)
    TFLITE: ClassVar = ("CEIL",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.ceil(operands[0])]


@irdl_op_definition
class RoundOp(UnaryOp):
    """The nearest integer, ties to even."""

    name = "graph.round"
    ONNX: ClassVar = ("Round",)
    TFLITE: ClassVar = ("ROUND",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.rint(operands[0])]


@irdl_op_definition
class SinOp(UnaryOp):
    """The sine."""

    name = "graph.sin"
    ONNX: ClassVar = ("Sin",)
    TFLITE: ClassVar = ("SIN",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.sin(operands[0])]


@irdl_op_definition
class CosOp(UnaryOp):
    """The cosine."""

    name = "graph.cos"
    ONNX: ClassVar = ("Cos",)
    TFLITE: ClassVar = ("COS",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.cos(operands[0])]


def _number(attribute: FloatAttr | None, default: float) -> float:
    return default if attribute is None else attribute.value.data
