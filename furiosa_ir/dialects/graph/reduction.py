"""Reductions over whole dimensions, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, TensorType, f64, i32, i64
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, prop_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.movement import ReshapeOp
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front, flag, int_list, variable
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, distinct_axes, ints, normal_axis, shape_of
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


class ReduceOp(GraphOp):
    """A reduction over `axes` (counted from the front); `keepdims` 1 leaves extents of 1."""

    DEFAULTS: ClassVar = {"keepdims": 1}

    x = operand_def(TensorType)
    IS_PLAIN: ClassVar = True
    """Whether reducing over no axis at all changes nothing (squares, say, stay squares)."""

    result = result_def(TensorType)
    axes = prop_def(DenseArrayBase.constr(i64))
    keepdims = prop_def(IntegerAttr.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        axes = node.constant(1)
        if axes is None:
            return node.unsupported()
        rank = len(node.shape(0))
        front = sorted({a + rank if a < 0 else a for a in axes.reshape(-1).tolist()})
        return node.emit(cls, node.operands[:1], axes=front, keepdims=int(node.options.KeepDims()))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        if variable(node, 1):
            return node.unsupported()
        rank = len(node.shape(0))
        if node.op_type.startswith("Global"):
            if rank < 3:
                return node.unsupported()
            return node.emit(cls, node.operands, axes=list(range(2, rank)), keepdims=1)
        axes = int_list(node, 1, "axes")
        is_noop = flag(node, "noop_with_empty_axes") and not axes
        if not rank or is_noop:
            if not cls.IS_PLAIN:
                return node.unsupported()
            return [v for v in node.operands[:1] if v is not None]
        return node.emit(
            cls,
            node.operands[:1],
            axes=axes_from_front(axes or range(rank), rank),
            keepdims=flag(node, "keepdims", 1),
        )

    def result_shapes(self) -> Sequence[Shape]:
        shape = shape_of(self.x)
        axes = distinct_axes(self, ints(self.axes), len(shape))
        if self.keepdims.value.data:
            return [tuple(1 if i in axes else n for i, n in enumerate(shape))]
        return [tuple(n for i, n in enumerate(shape) if i not in axes)]


@irdl_op_definition
class ReduceMeanOp(ReduceOp):
    """The mean over `axes`. GlobalAveragePool is the mean over all spatial dimensions."""

    name = "graph.reduce_mean"
    ONNX: ClassVar = ("ReduceMean", "GlobalAveragePool")
    TFLITE: ClassVar = ("MEAN",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        (x,), axes, keepdims = operands, ints(self.axes), bool(self.keepdims.value.data)
        if not x.size:  # numpy's is the same, and a warning
            return [np.full_like(x.sum(axes, keepdims=keepdims), np.nan)]
        return [x.mean(axes, keepdims=keepdims)]


@irdl_op_definition
class ReduceSumOp(ReduceOp):
    """The sum over `axes`."""

    name = "graph.reduce_sum"
    ONNX: ClassVar = ("ReduceSum",)
    TFLITE: ClassVar = ("SUM",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [operands[0].sum(ints(self.axes), keepdims=bool(self.keepdims.value.data))]


def _extremes(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The least and the greatest value of a dtype: what the extremes of no element at all are."""
    if dtype.kind == "b":
        return False, True
    if dtype.kind in "iu":
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    return -np.inf, np.inf


class ExtremeOp(ReduceOp):
    """A reduction that chooses one of the elements; quantising is monotone, so stored ones do."""


@irdl_op_definition
class ReduceMaxOp(ExtremeOp):
    """The greatest element over `axes`. GlobalMaxPool is this over all spatial dimensions."""

    name = "graph.reduce_max"
    ONNX: ClassVar = ("ReduceMax", "GlobalMaxPool")
    TFLITE: ClassVar = ("REDUCE_MAX",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        (x,) = operands
        least = _extremes(x.dtype)[0]
        keepdims = bool(self.keepdims.value.data)
        return [np.max(x, ints(self.axes), keepdims=keepdims, initial=least)]


@irdl_op_definition
class ReduceMinOp(ExtremeOp):
    """The least element over `axes`."""

    name = "graph.reduce_min"
    ONNX: ClassVar = ("ReduceMin",)
    TFLITE: ClassVar = ("REDUCE_MIN",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        (x,) = operands
        greatest = _extremes(x.dtype)[1]
        keepdims = bool(self.keepdims.value.data)
        return [np.min(x, ints(self.axes), keepdims=keepdims, initial=greatest)]


class ArgExtremeOp(GraphOp):
    """The index along `axis` of an extreme element, as plain i32 or i64; of equal ones the first.

    `select_last_index` 1: of equal ones the last. `keepdims` 1 leaves an extent of 1.
    """

    CONVERTS: ClassVar = True

    DEFAULTS: ClassVar = {"keepdims": 1, "select_last_index": 0}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    keepdims = prop_def(IntegerAttr.constr(i64))
    select_last_index = prop_def(IntegerAttr.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        axis = node.constant(1)
        # LiteRT makes the type of the option, which is 2 for int32, 4 for int64 and nothing else;
        # not that which the file says of the result.
        type_ = {2: i32, 4: i64}.get(node.options.OutputType())
        if axis is None or type_ != node.result_types[0].element_type:
            return node.unsupported()
        (front,) = axes_from_front([int(axis.reshape(-1)[0])], len(node.shape(0)))
        return node.emit(cls, node.operands[:1], axis=front, keepdims=0, select_last_index=0)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        (axis,) = axes_from_front([node.attributes.get("axis", 0)], len(node.shape(0)))
        keepdims = flag(node, "keepdims", 1)
        last = node.attributes.get("select_last_index", 0)
        return node.emit(
            cls,
            node.operands,
            elements=[i64],
            axis=axis,
            keepdims=keepdims,
            select_last_index=last,
        )

    def result_shapes(self) -> Sequence[Shape]:
        shape = shape_of(self.x)
        axis = normal_axis(self, self.axis.value.data, len(shape))
        kept = (1,) if self.keepdims.value.data else ()
        return [(*shape[:axis], *kept, *shape[axis + 1 :])]

    def position(self, x: Array, function: Callable[..., Array]) -> Sequence[Array]:
        """What numpy's argmax or argmin, which takes the first, makes of x."""
        axis = self.axis.value.data
        keepdims = bool(self.keepdims.value.data)
        if not self.select_last_index.value.data:
            return [function(x, axis, keepdims=keepdims)]
        return [x.shape[axis] - 1 - function(np.flip(x, axis), axis, keepdims=keepdims)]


@irdl_op_definition
class ArgMaxOp(ArgExtremeOp):
    """Where along `axis` the greatest element is."""

    name = "graph.arg_max"
    ONNX: ClassVar = ("ArgMax",)
    TFLITE: ClassVar = ("ARG_MAX",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return self.position(operands[0], np.argmax)


@irdl_op_definition
class ArgMinOp(ArgExtremeOp):
    """Where along `axis` the least element is."""

    name = "graph.arg_min"
    ONNX: ClassVar = ("ArgMin",)
    TFLITE: ClassVar = ("ARG_MIN",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return self.position(operands[0], np.argmin)


@irdl_op_definition
class ReduceL1Op(ReduceOp):
    """The sum of |x| over `axes`."""

    name = "graph.reduce_l1"
    ONNX: ClassVar = ("ReduceL1",)
    IS_PLAIN: ClassVar = False

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = np.abs(operands[0])
        return [x.sum(ints(self.axes), keepdims=bool(self.keepdims.value.data))]


@irdl_op_definition
class ReduceSumSquareOp(ReduceOp):
    """The sum of x * x over `axes`."""

    name = "graph.reduce_sum_square"
    ONNX: ClassVar = ("ReduceSumSquare",)
    IS_PLAIN: ClassVar = False

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = np.square(operands[0])
        return [x.sum(ints(self.axes), keepdims=bool(self.keepdims.value.data))]


@irdl_op_definition
class ReduceL2Op(ReduceOp):
    """The square root of the sum of x * x over `axes`."""

    name = "graph.reduce_l2"
    ONNX: ClassVar = ("ReduceL2",)
    IS_PLAIN: ClassVar = False

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x = np.square(operands[0])
        return [np.sqrt(x.sum(ints(self.axes), keepdims=bool(self.keepdims.value.data)))]


@irdl_op_definition
class CumSumOp(GraphOp):
    """Along `axis` the sum of the elements so far; `exclusive` 1: without the element itself.

    `reverse` 1: of those from the element to the end.
    """

    name = "graph.cum_sum"
    ONNX: ClassVar = ("CumSum",)

    DEFAULTS: ClassVar = {"exclusive": 0, "reverse": 0}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    exclusive = prop_def(IntegerAttr.constr(i64))
    reverse = prop_def(IntegerAttr.constr(i64))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        axis = int_list(node, 1, "axis")
        if axis is None:
            return node.unsupported()
        given = {k: node.attributes.get(k, 0) for k in ("exclusive", "reverse")}
        return node.emit(cls, node.operands[:1], axis=axis[0], **given)

    def result_shapes(self) -> Sequence[Shape]:
        normal_axis(self, self.axis.value.data, len(shape_of(self.x)))
        return [shape_of(self.x)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        axis, order = self.axis.value.data, slice(None, None, -1 if self.reverse.value.data else 1)
        x = np.moveaxis(operands[0], axis, 0)[order]
        if self.exclusive.value.data:
            x = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
        return [np.moveaxis(np.cumsum(x, 0, x.dtype)[order], 0, axis)]


@irdl_op_definition
class LpNormalizationOp(GraphOp):
    """x over its norm along `axis`: `p` 2 the root of the sum of squares, 1 the sum of |x|.

    Where all elements are 0, so is the result.
    """

    name = "graph.lp_normalization"
    ONNX: ClassVar = ("LpNormalization",)
    TFLITE: ClassVar = ("L2_NORMALIZATION",)

    x = operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    p = prop_def(IntegerAttr.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        if node.options.FusedActivationFunction():
            return node.unsupported()  # LiteRT refuses to run it
        return node.emit(cls, node.operands, axis=len(node.shape(0)) - 1, p=2)

    def result_shapes(self) -> Sequence[Shape]:
        normal_axis(self, self.axis.value.data, len(shape_of(self.x)))
        return [shape_of(self.x)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        (x,), axis = operands, self.axis.value.data
        if self.p.value.data == 1:
            norm = np.abs(x).sum(axis, keepdims=True)
        else:
            norm = np.sqrt(np.square(x).sum(axis, keepdims=True))
        return [x / np.where(norm == 0, 1, norm)]


class NormalizedExpOp(GraphOp):
    """exp(beta * x) over its sum along `axis`, or the logarithm of that."""

    DEFAULTS: ClassVar = {"beta": 1.0}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    beta = prop_def(FloatAttr.constr(f64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        axis, beta = len(node.shape(0)) - 1, 1.0
        if node.options is not None:  # LOG_SOFTMAX has none
            beta = float(node.options.Beta())
        return node.emit(cls, node.operands, axis=axis, beta=beta)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        shape = node.shape(0)
        (axis,) = axes_from_front([node.attributes.get("axis", -1)], len(shape))
        (x, *_) = node.operands
        if node.opset >= 13 or axis == len(shape) - 1:
            return node.emit(cls, [x], axis=axis, beta=1.0)
        # Before operator set 13 everything from the axis on was one dimension.
        rows = [math.prod(shape[:axis]), math.prod(shape[axis:])]
        (x,) = node.emit(ReshapeOp, [x], shape=rows)
        (x,) = node.emit(cls, [x], axis=1, beta=1.0)
        return node.emit(ReshapeOp, [x], shape=shape)

    def result_shapes(self) -> Sequence[Shape]:
        normal_axis(self, self.axis.value.data, len(shape_of(self.x)))
        return [shape_of(self.x)]


@irdl_op_definition
class SoftmaxOp(NormalizedExpOp):
    """exp(beta * x) / sum over `axis` of exp(beta * x)."""

    name = "graph.softmax"
    ONNX: ClassVar = ("Softmax",)
    TFLITE: ClassVar = ("SOFTMAX",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, axis = operands[0] * self.beta.value.data, self.axis.value.data
        e = elementary.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
        return [e / e.sum(axis, keepdims=True)]


@irdl_op_definition
class LogSoftmaxOp(NormalizedExpOp):
    """beta * x - log(sum over `axis` of exp(beta * x))."""

    name = "graph.log_softmax"
    ONNX: ClassVar = ("LogSoftmax",)
    TFLITE: ClassVar = ("LOG_SOFTMAX",)

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        x, axis = operands[0] * self.beta.value.data, self.axis.value.data
        x = x - x.max(axis, keepdims=True, initial=-np.inf)
        return [x - elementary.log(elementary.exp(x).sum(axis, keepdims=True))]
