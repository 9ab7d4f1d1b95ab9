"""Operators that work element by element: unary functions, and binary ones with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import Float64Type, FloatAttr, StringAttr, TensorType, f64
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, opt_prop_def, prop_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.onnx_arguments import number, variable
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, broadcast_shapes, element_of, shape_of
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array

_TFLITE_CLIPS = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}

_POT_SCALE = {"PotScaleInt16": "of 16 bits, which stay on the host as the file has them"}

Affine = tuple[Array, Array]
"""A factor and an offset, which broadcast to the operand: x * factor + offset."""


class UnaryOp(GraphOp):
    """A real function of each element. On 8-bit operands the NPU does any of them by table."""

    x = operand_def(TensorType)
    result = result_def(TensorType)

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]


class BinaryOp(GraphOp):
    """A real function of pairs of elements, broadcast as numpy does."""

    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        activation = 0
        if hasattr(node.options, "FusedActivationFunction"):
            activation = node.options.FusedActivationFunction()
        (result,) = node.emit(cls, node.operands)
        return [node.activation(result, activation)]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        # Min and Max take any number of operands: pairs from the left.
        (result, *rest) = node.operands
        for operand in rest:
            (result,) = node.emit(cls, [result, operand])
        assert result is not None
        return [result]

    def result_shapes(self) -> Sequence[Shape]:
        return [broadcast_shapes(self, [shape_of(self.a), shape_of(self.b)])]

    def affine(self, constants: Sequence[Array | None]) -> Affine | None:
        """As a factor and an offset of the one operand that is not constant, if it is that.

        Args:
            constants: the real elements of each operand; None for the variable one.
        """
        del constants
        return None


@irdl_op_definition
class AddOp(BinaryOp):
    """a + b."""

    name = "graph.add"
    ONNX: ClassVar = ("Add",)
    TFLITE: ClassVar = ("ADD",)
    IGNORED: ClassVar = _POT_SCALE

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.add(*operands)]

    def affine(self, constants: Sequence[Array | None]) -> Affine | None:
        (constant,) = [c for c in constants if c is not None]
        return np.ones_like(constant), constant


@irdl_op_definition
class SubOp(BinaryOp):
    """a - b."""

    name = "graph.sub"
    ONNX: ClassVar = ("Sub",)
    TFLITE: ClassVar = ("SUB",)
    IGNORED: ClassVar = _POT_SCALE

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.subtract(*operands)]

    def affine(self, constants: Sequence[Array | None]) -> Affine | None:
        a, b = constants
        if a is not None:
            return -np.ones_like(a), a
        return None if b is None else (np.ones_like(b), -b)


@irdl_op_definition
class SquaredDifferenceOp(BinaryOp):
    """(a - b) * (a - b)."""

    name = "graph.squared_difference"
    TFLITE: ClassVar = ("SQUARED_DIFFERENCE",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.square(np.subtract(*operands))]


@irdl_op_definition
class MulOp(BinaryOp):
    """a * b."""

    name = "graph.mul"
    ONNX: ClassVar = ("Mul",)
    TFLITE: ClassVar = ("MUL",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.multiply(*operands)]

    def affine(self, constants: Sequence[Array | None]) -> Affine | None:
        (constant,) = [c for c in constants if c is not None]
        return constant, np.zeros_like(constant)


@irdl_op_definition
class DivOp(BinaryOp):
    """a / b; integers round towards zero."""

    name = "graph.div"
    ONNX: ClassVar = ("Div",)
    TFLITE: ClassVar = ("DIV",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b = operands
        if a.dtype.kind not in "iu":
            return [a / b]
        # Doubles do not hold every 64-bit integer, and // rounds down.
        quotient = a // b
        inexact = quotient * b != a
        return [quotient + (inexact & ((a < 0) != (b < 0)))]

    def affine(self, constants: Sequence[Array | None]) -> Affine | None:
        _, b = constants
        return None if b is None or not np.all(b) else (1.0 / b, np.zeros_like(b))


@irdl_op_definition
class PowOp(BinaryOp):
    """a to the power of b.

    A real exponent is the float32 that onnxruntime makes of it: 255 steps of float32(2 / 255) are 2
    there and a little more in exact arithmetic, which has no power of a negative number then.
    """

    name = "graph.pow"
    ONNX: ClassVar = ("Pow",)
    CONVERTS: ClassVar = True

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b = operands
        if b.dtype.kind == "i" and a.dtype.kind in "iu" and (b < 0).any():
            return [np.trunc(elementary.power(a.astype(np.float64), b))]
        return [elementary.power(a, self.exponent(b))]

    def exponent(self, b: Array) -> Array:
        """The elements of b as they count."""
        is_narrow = b.dtype.kind == "f" and not isinstance(element_of(self.b), Float64Type)
        return b.astype(np.float32).astype(b.dtype) if is_narrow else b


@irdl_op_definition
class PReluOp(BinaryOp):
    """a where a >= 0, else b * a: b is the slope."""

    name = "graph.p_relu"
    ONNX: ClassVar = ("PRelu",)
    TFLITE: ClassVar = ("PRELU",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        a, b = operands
        return [np.where(a >= 0, a, b * a)]


@irdl_op_definition
class MinimumOp(BinaryOp):
    """The lesser of a and b."""

    name = "graph.minimum"
    ONNX: ClassVar = ("Min",)
    TFLITE: ClassVar = ("MINIMUM",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.minimum(*operands)]


@irdl_op_definition
class MaximumOp(BinaryOp):
    """The greater of a and b."""

    name = "graph.maximum"
    ONNX: ClassVar = ("Max",)
    TFLITE: ClassVar = ("MAXIMUM",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.maximum(*operands)]


@irdl_op_definition
class WhereOp(GraphOp):
    """a where the condition (i1) holds, else b; all three broadcast as numpy does."""

    name = "graph.where"
    ONNX: ClassVar = ("Where",)
    TFLITE: ClassVar = ("SELECT_V2",)

    CONVERTS: ClassVar = True

    condition = operand_def(TensorType)
    a = operand_def(TensorType)
    b = operand_def(TensorType)
    result = result_def(TensorType)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        (_, a, *_) = node.operands
        assert a is not None
        return node.emit(cls, node.operands, elements=[element_of(a)])

    def result_shapes(self) -> Sequence[Shape]:
        return [broadcast_shapes(self, [shape_of(v) for v in self.operands])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.where(*operands)]


@irdl_op_definition
class ReluOp(UnaryOp):
    """max(x, 0)."""

    name = "graph.relu"
    ONNX: ClassVar = ("Relu",)
    TFLITE: ClassVar = ("RELU",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.maximum(operands[0], 0)]


@irdl_op_definition
class ClipOp(UnaryOp):
    """min(max(x, minimum), maximum); a bound left out does not bind. RELU6 and kin are this."""

    name = "graph.clip"
    ONNX: ClassVar = ("Clip",)
    TFLITE: ClassVar = ("RELU6", "RELU_N1_TO_1", "RELU_0_TO_1")

    minimum = opt_prop_def(FloatAttr.constr(f64))
    maximum = opt_prop_def(FloatAttr.constr(f64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        low, high = _TFLITE_CLIPS[node.op_type]
        return node.emit(cls, node.operands, minimum=low, maximum=high)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        low, high = number(node, 1, "min"), number(node, 2, "max")
        # Properties are doubles: no NaN, and not every 64-bit integer.
        exact = all(b is None or abs(b) <= 2**53 or abs(b) == np.inf for b in (low, high))
        if variable(node, 1, 2) or not exact:
            return node.unsupported()
        if low is not None and high is not None:
            low = min(low, high)  # the standard: beyond the maximum, the minimum does not count
        return node.emit(cls, node.operands[:1], minimum=low, maximum=high)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        if self.minimum is not None:
            x = np.maximum(x, np.asarray(self.minimum.value.data).astype(x.dtype))
        if self.maximum is not None:
            x = np.minimum(x, np.asarray(self.maximum.value.data).astype(x.dtype))
        return [x]


@irdl_op_definition
class LeakyReluOp(UnaryOp):
    """x where x >= 0, else alpha * x."""

    name = "graph.leaky_relu"
    ONNX: ClassVar = ("LeakyRelu",)
    TFLITE: ClassVar = ("LEAKY_RELU",)

    alpha = prop_def(FloatAttr.constr(f64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        return node.emit(cls, node.operands, alpha=float(node.options.Alpha()))

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = operands[0]
        return [np.where(x >= 0, x, x * self.alpha.value.data)]


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + exp(-x))."""

    name = "graph.sigmoid"
    ONNX: ClassVar = ("Sigmoid",)
    TFLITE: ClassVar = ("LOGISTIC",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [1.0 / (1.0 + elementary.exp(-operands[0]))]


@irdl_op_definition
class TanhOp(UnaryOp):
    """The hyperbolic tangent."""

    name = "graph.tanh"
    ONNX: ClassVar = ("Tanh",)
    TFLITE: ClassVar = ("TANH",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [elementary.tanh(operands[0])]


@irdl_op_definition
class TableOp(UnaryOp):
    """Any real function of one quantised element, as the 256 stored results in storage order.

    `function` says what it computes, for people ("sigmoid", "x * sigmoid(x)"). Entry i belongs to
    the stored operand storage_min + i. It is what float islands between DequantizeLinear and
    QuantizeLinear become.
    """

    name = "graph.table"

    table = prop_def(BlobAttr)
    function = prop_def(StringAttr)
