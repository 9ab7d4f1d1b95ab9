"""Data movement with static parameters.

Upstream's `tensor` dialect (0.74) has no transpose, a reshape that takes its shape as an operand,
and a pad with a region; these are its static forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, TensorType, i64
from xdsl.irdl import operand_def, prop_def, result_def, var_operand_def

from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE, TensorOp
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import repeated, result_shape
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import Shape, broadcast_shapes, element_of, ints, shape_of
from furiosa_ir.numerics.array import Array


@irdl_op_definition
class ReshapeOp(TensorOp):
    """The same elements in row-major order under another shape."""

    name = "ftensor.reshape"

    DEFAULTS: ClassVar = {"shape": result_shape}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    shape = prop_def(DenseArrayBase.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        shape, x = ints(self.shape), shape_of(self.x)
        if int(np.prod(x, dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)):
            raise VerificationFailure(f"ftensor.reshape: {list(x)} cannot become {list(shape)}")
        return [shape]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [operands[0].reshape(ints(self.shape))]


@irdl_op_definition
class TransposeOp(TensorOp):
    """Dimension i of the result is dimension perm[i] of x."""

    name = "ftensor.transpose"

    x = operand_def(TensorType)
    result = result_def(TensorType)
    perm = prop_def(DenseArrayBase.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        shape = shape_of(self.x)
        return [tuple(shape[p] for p in ints(self.perm))]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.transpose(operands[0], ints(self.perm))]


@irdl_op_definition
class ConcatOp(TensorOp):
    """The operands one behind the other along `axis`."""

    name = "ftensor.concat"

    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        axis = self.axis.value.data
        shapes = [shape_of(v) for v in self.inputs]
        first = shapes[0]
        if len({(*s[:axis], *s[axis + 1 :]) for s in shapes}) != 1:
            raise VerificationFailure("ftensor.concat: the operands differ beside the axis")
        return [(*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.concatenate(operands, self.axis.value.data)]


@irdl_op_definition
class SliceOp(TensorOp):
    """x[starts:ends:steps] in every dimension, steps > 0."""

    name = "ftensor.slice"

    DEFAULTS: ClassVar = {"steps": repeated(1)}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    starts = prop_def(DenseArrayBase.constr(i64))
    ends = prop_def(DenseArrayBase.constr(i64))
    steps = prop_def(DenseArrayBase.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        bounds = zip(ints(self.starts), ints(self.ends), ints(self.steps), strict=True)
        return [tuple(len(range(b, e, s)) for b, e, s in bounds)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        bounds = zip(ints(self.starts), ints(self.ends), ints(self.steps), strict=True)
        return [operands[0][tuple(slice(b, e, s) for b, e, s in bounds)]]


@irdl_op_definition
class PadOp(TensorOp):
    """x with `pads` (begins, then ends; >= 0) elements of `value` around it."""

    name = "ftensor.pad"

    x = operand_def(TensorType)
    result = result_def(TensorType)
    pads = prop_def(DenseArrayBase.constr(i64))
    value = prop_def(IntegerAttr.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        shape, pads = shape_of(self.x), ints(self.pads)
        n = len(shape)
        return [tuple(pads[i] + shape[i] + pads[i + n] for i in range(n))]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        pads, n = ints(self.pads), operands[0].ndim
        widths = [(pads[i], pads[i + n]) for i in range(n)]
        if not widths:  # a scalar, of which numpy.pad makes nothing
            return [operands[0]]
        return [np.pad(operands[0], widths, constant_values=self.value.value.data)]


@irdl_op_definition
class BroadcastOp(TensorOp):
    """x repeated along dimensions of extent 1 (numpy's rule) to `shape`."""

    name = "ftensor.broadcast"

    DEFAULTS: ClassVar = {"shape": result_shape}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    shape = prop_def(DenseArrayBase.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        return [broadcast_shapes(self, [shape_of(self.x), ints(self.shape)])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.broadcast_to(operands[0], ints(self.shape))]


@irdl_op_definition
class GatherOp(TensorOp):
    """x[..., indices[j], ...] along `axis`: nearest resizing, one dimension at a time, is this."""

    name = "ftensor.gather"

    x = operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    indices = prop_def(DenseArrayBase.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        shape, axis = shape_of(self.x), self.axis.value.data
        if any(not 0 <= i < shape[axis] for i in ints(self.indices)):
            raise VerificationFailure("ftensor.gather: an index is out of range")
        return [(*shape[:axis], len(ints(self.indices)), *shape[axis + 1 :])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.take(operands[0], ints(self.indices), self.axis.value.data)]


@irdl_op_definition
class InterpolateOp(TensorOp):
    """Linear interpolation along one axis, in integers: the sum of two weighted neighbours.

    result[j] = x[lower[j]] * lower_weight[j] + x[upper[j]] * upper_weight[j] along `axis`; x is i8
    or wider (zero point not subtracted: weights of one j sum to a constant, so it is an offset that
    the closing rescale removes), the result i32 or i48. Bilinear resizing is two of these.
    """

    name = "ftensor.interpolate"

    x = operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    lower = prop_def(DenseArrayBase.constr(i64))
    upper = prop_def(DenseArrayBase.constr(i64))
    lower_weight = prop_def(DenseArrayBase.constr(i64))
    upper_weight = prop_def(DenseArrayBase.constr(i64))

    def result_shapes(self) -> Sequence[Shape]:
        shape, axis = shape_of(self.x), self.axis.value.data
        return [(*shape[:axis], len(ints(self.lower)), *shape[axis + 1 :])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        axis = self.axis.value.data
        dtype = NUMPY_DTYPE[element_of(self.result)]
        x = operands[0].astype(dtype)
        wide = [1] * x.ndim
        wide[axis] = -1
        low, high = (
            np.array(ints(w), dtype).reshape(wide) for w in (self.lower_weight, self.upper_weight)
        )
        return [
            np.take(x, ints(self.lower), axis) * low + np.take(x, ints(self.upper), axis) * high
        ]
