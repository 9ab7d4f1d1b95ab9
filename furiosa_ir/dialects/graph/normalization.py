"""Affine functions of channels, and sums of any number of operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f64, i64
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, opt_operand_def, prop_def, result_def, var_operand_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode
from furiosa_ir.dialects.graph.elementwise import AddOp, Affine
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, broadcast_shapes, normal_axis, shape_of
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class AffineOp(GraphOp):
    """x * factor + offset; both are constants (f64) that broadcast to x.

    What a batch normalisation, product, quotient or sum with real constants is, of a quantised x:
    of 8 bits, or the i32 accumulator of a convolution or matrix product (a float bias is one).
    """

    name = "graph.affine"

    x = operand_def(TensorType)
    result = result_def(TensorType)
    factor = prop_def(BlobAttr)
    offset = prop_def(BlobAttr)

    def result_shapes(self) -> Sequence[Shape]:
        x = shape_of(self.x)
        shape = broadcast_shapes(self, [x, self.factor.data.shape, self.offset.data.shape])
        if shape != x:
            raise VerificationFailure(f"{self.name}: the constants are larger than x")
        return [x]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [operands[0] * self.factor.array + self.offset.array]


@irdl_op_definition
class BatchNormOp(GraphOp):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, in a network that is not trained.

    x is [N, C, ...], the others are [C].
    """

    name = "graph.batch_norm"
    ONNX: ClassVar = ("BatchNormalization",)
    IGNORED: ClassVar = {"momentum": "of training"}

    x = operand_def(TensorType)
    scale = operand_def(TensorType)
    bias = operand_def(TensorType)
    mean = operand_def(TensorType)
    variance = operand_def(TensorType)
    result = result_def(TensorType)
    epsilon = prop_def(FloatAttr.constr(f64))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        attributes = node.attributes
        # Operator set 1 to 8: is_test, spatial; later: training_mode.
        trains = attributes.get("training_mode", 0) or not attributes.get("spatial", 1)
        if trains or node.output_count > 1 or len(node.shape(0)) < 2:
            return node.unsupported()
        return node.emit(cls, node.operands, epsilon=float(attributes["epsilon"]))

    def result_shapes(self) -> Sequence[Shape]:
        _check_channels(self, shape_of(self.x)[1:2])
        return [shape_of(self.x)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        affine = self.affine([None, *operands[1:]])
        assert affine is not None
        return [operands[0] * affine[0] + affine[1]]

    def affine(self, constants: Sequence[Array | None]) -> Affine | None:
        """As a factor and an offset, if all but x are constant."""
        x, *parameters = constants
        known = [p for p in parameters if p is not None]
        if x is not None or len(known) != len(parameters):
            return None
        along = (-1, *[1] * (len(shape_of(self.x)) - 2))
        scale, bias, mean, variance = (p.reshape(along) for p in known)
        factor = scale / np.sqrt(variance + self.epsilon.value.data)
        return factor, bias - mean * factor


class StandardizeOp(GraphOp):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, mean and variance being those of x."""

    x = operand_def(TensorType)
    scale = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    result = result_def(TensorType)
    epsilon = prop_def(FloatAttr.constr(f64))

    def axes(self) -> tuple[int, ...]:
        """What mean and variance are taken over."""
        raise NotImplementedError

    def along(self, parameter: Array) -> Array:
        """Scale or bias, so that it broadcasts to x."""
        return parameter

    def result_shapes(self) -> Sequence[Shape]:
        return [shape_of(self.x)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, scale, *bias = operands
        # From the first element on: then a constant row is 0, as real numbers have it.
        x = x - np.take(x.reshape(*x.shape[: self.axes()[0]], -1), [0], -1).reshape(
            [1 if i in self.axes() else n for i, n in enumerate(x.shape)]
        )
        centred = x - x.mean(self.axes(), keepdims=True)
        variance = np.square(centred).mean(self.axes(), keepdims=True)
        result = centred / np.sqrt(variance + self.epsilon.value.data) * self.along(scale)
        return [result + self.along(bias[0]) if bias else result]


@irdl_op_definition
class LayerNormOp(StandardizeOp):
    """Standardised over the dimensions from `axis` on; scale and bias have these dimensions."""

    name = "graph.layer_norm"
    ONNX: ClassVar = ("LayerNormalization",)

    axis = prop_def(IntegerAttr.constr(i64))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        if node.output_count > 1:
            return node.unsupported()
        axis, epsilon = node.attributes["axis"], float(node.attributes["epsilon"])
        operands = [*node.operands, None][:3]
        return node.emit(cls, operands, axis=axis, epsilon=epsilon)

    def axes(self) -> tuple[int, ...]:
        rank = len(shape_of(self.x))
        return tuple(range(normal_axis(self, self.axis.value.data, rank), rank))

    def result_shapes(self) -> Sequence[Shape]:
        x = shape_of(self.x)
        rest = x[min(self.axes(), default=0) :]
        for value in self.operands[1:]:
            if broadcast_shapes(self, [rest, shape_of(value)]) != rest:
                given = list(shape_of(value))
                raise VerificationFailure(
                    f"{self.name}: scale or bias {given} is larger than {list(rest)}"
                )
        return [x]


@irdl_op_definition
class InstanceNormOp(StandardizeOp):
    """Standardised over the spatial dimensions of [N, C, ...]; scale and bias are [C]."""

    name = "graph.instance_norm"
    ONNX: ClassVar = ("InstanceNormalization",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        return node.emit(cls, node.operands, epsilon=float(node.attributes["epsilon"]))

    def axes(self) -> tuple[int, ...]:
        return tuple(range(2, len(shape_of(self.x))))

    def along(self, parameter: Array) -> Array:
        return parameter.reshape(-1, *[1] * len(self.axes()))

    def result_shapes(self) -> Sequence[Shape]:
        _check_channels(self, shape_of(self.x)[1:2])
        return [shape_of(self.x)]


def _check_channels(op: GraphOp, channels: Shape) -> None:
    """Checks that all operands but the first have one element a channel.

    Raises:
        VerificationFailure: one has not, or there are no channels.
    """
    for value in op.operands[1:]:
        if shape_of(value) != channels:
            raise VerificationFailure(
                f"{op.name}: a parameter of shape {list(shape_of(value))} for channels "
                f"{list(channels)}"
            )


class NaryOp(GraphOp):
    """A function of any number of operands, which broadcast as numpy does."""

    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        if len(node.operands) == 1:
            return [v for v in node.operands if v is not None]
        return node.emit(cls, [[v for v in node.operands if v is not None]])

    def result_shapes(self) -> Sequence[Shape]:
        return [broadcast_shapes(self, [shape_of(v) for v in self.inputs])]


@irdl_op_definition
class SumOp(NaryOp):
    """The sum of the operands; that of two is `graph.add`."""

    name = "graph.sum"
    ONNX: ClassVar = ("Sum",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        if len(node.operands) == 2:
            return node.emit(AddOp, node.operands)
        return super().from_onnx(node)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [sum(operands[1:], operands[0])]


@irdl_op_definition
class MeanOp(NaryOp):
    """The mean of the operands."""

    name = "graph.mean"
    ONNX: ClassVar = ("Mean",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [sum(operands[1:], operands[0]) / len(operands)]
