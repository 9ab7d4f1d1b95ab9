"""Trigonometric and hyperbolic functions of one element (sine and cosine: `functions`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from furiosa_ir.dialects.graph.elementwise import UnaryOp
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class TanOp(UnaryOp):
    """The tangent."""

    name = "graph.tan"
    ONNX: ClassVar = ("Tan",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.tan(operands[0])]


@irdl_op_definition
class AsinOp(UnaryOp):
    """The inverse sine."""

    name = "graph.asin"
    ONNX: ClassVar = ("Asin",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.arcsin(operands[0])]


@irdl_op_definition
class AcosOp(UnaryOp):
    """The inverse cosine."""

    name = "graph.acos"
    ONNX: ClassVar = ("Acos",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.arccos(operands[0])]


@irdl_op_definition
class AtanOp(UnaryOp):
    """The inverse tangent."""

    name = "graph.atan"
    ONNX: ClassVar = ("Atan",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.arctan(operands[0])]


@irdl_op_definition
class SinhOp(UnaryOp):
    """The hyperbolic sine."""

    name = "graph.sinh"
    ONNX: ClassVar = ("Sinh",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.sinh(operands[0])]


@irdl_op_definition
class CoshOp(UnaryOp):
    """The hyperbolic cosine."""

    name = "graph.cosh"
    ONNX: ClassVar = ("Cosh",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.cosh(operands[0])]


@irdl_op_definition
class AsinhOp(UnaryOp):
    """The inverse hyperbolic sine."""

    name = "graph.asinh"
    ONNX: ClassVar = ("Asinh",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.arcsinh(operands[0])]


@irdl_op_definition
class AcoshOp(UnaryOp):
    """The inverse hyperbolic cosine."""

    name = "graph.acosh"
    ONNX: ClassVar = ("Acosh",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.arccosh(operands[0])]


@irdl_op_definition
class AtanhOp(UnaryOp):
    """The inverse hyperbolic tangent."""

    name = "graph.atanh"
    ONNX: ClassVar = ("Atanh",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.arctanh(operands[0])]
