"""Operators that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorType,
    f64,
    i64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, prop_def, result_def, var_operand_def, var_result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front, int_list, number, variable
from furiosa_ir.dialects.graph.tflite_arguments import (
    broadcast_target,
    pad_arguments,
    reshape_target,
    slice_bounds,
    split_extents,
    split_takes,
)
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.assembly_format import repeated, result_shape
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import (
    Shape,
    broadcast_shapes,
    element_of,
    ints,
    normal_axis,
    shape_of,
)
from furiosa_ir.numerics.array import Array


class MoveOp(GraphOp):
    """One operand, one result, whose elements are some of the operand's: no arithmetic.

    But for a result of another quantised type, as which the framework stores what it moves.
    """

    x = operand_def(TensorType)
    result = result_def(TensorType)

    @property
    def only_moves(self) -> bool:
        """Whether the result has the operand's element type, so that each element stays."""
        return element_of(self.x) == element_of(self.result)


@irdl_op_definition
class ReshapeOp(MoveOp):
    """The same elements in row-major order under another shape (all extents given).

    Flatten, Squeeze, Unsqueeze, ExpandDims and the outer half of Pack are this.
    """

    name = "graph.reshape"
    ONNX: ClassVar = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
    TFLITE: ClassVar = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "UNPACK")

    DEFAULTS: ClassVar = {"shape": result_shape}

    shape = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        if variable(node, 1):
            return node.unsupported()
        from furiosa_ir.dialects.graph.onnx_geometry import reshaped  # noqa: PLC0415

        return node.emit(cls, node.operands[:1], shape=reshaped(node))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        if node.op_type == "UNPACK":
            return cls._unpack(node)
        shape = reshape_target(node)
        if shape is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], shape=shape)

    @classmethod
    def _unpack(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        """UNPACK: x split into slices of extent 1, that dimension dropped."""
        shape = node.shape(0)
        axis = int(node.options.Axis()) % len(shape)
        x = node.operands[0]
        if node.options.Num() != shape[axis] or x is None or not split_takes(element_of(x)):
            return node.unsupported()  # LiteRT refuses it, or has no split that it could be
        parts = node.emit(SplitOp, node.operands, axis=axis, split=[1] * shape[axis])
        rest = [*shape[:axis], *shape[axis + 1 :]]
        return [
            result
            for part in parts
            for result in node.emit(
                cls, [part], elements=[element_of(part)], origin=None, shape=rest
            )
        ]

    def result_shapes(self) -> Sequence[Shape]:
        shape, x = ints(self.shape), shape_of(self.x)
        if int(np.prod(x, dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)):
            raise VerificationFailure(
                f"graph.reshape: {list(x)} does not have the elements of {list(shape)}"
            )
        return [shape]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [operands[0].reshape(ints(self.shape))]


@irdl_op_definition
class TransposeOp(MoveOp):
    """Dimension i of the result is dimension perm[i] of x."""

    name = "graph.transpose"
    ONNX: ClassVar = ("Transpose",)
    TFLITE: ClassVar = ("TRANSPOSE",)

    perm = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        perm = node.constant(1)
        if perm is None:
            return node.unsupported()
        rank = len(node.shape(0))
        front = [p + rank if p < 0 else p for p in perm.reshape(-1).tolist()]
        return node.emit(cls, node.operands[:1], perm=front)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        perm = node.attributes.get("perm") or range(len(node.shape(0)))[::-1]
        return node.emit(cls, node.operands, perm=list(perm))

    def result_shapes(self) -> Sequence[Shape]:
        shape, perm = shape_of(self.x), ints(self.perm)
        if sorted(perm) != list(range(len(shape))):
            raise VerificationFailure(f"graph.transpose: {list(perm)} permutes no {len(shape)}-D")
        return [tuple(shape[p] for p in perm)]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.transpose(operands[0], ints(self.perm))]


@irdl_op_definition
class ConcatOp(GraphOp):
    """The operands one behind the other along `axis`; quantised, each is rescaled first."""

    name = "graph.concat"
    ONNX: ClassVar = ("Concat",)
    TFLITE: ClassVar = ("CONCATENATION", "PACK")

    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        axis = node.options.Axis()
        if node.op_type == "PACK":
            if node.options.ValuesCount() != len(node.operands):
                return node.unsupported()  # LiteRT refuses it
            # Each operand gets a dimension of 1 at `axis`, along which they are joined.
            shape = node.shape(0)
            axis = axis % (len(shape) + 1)
            wide = [*shape[:axis], 1, *shape[axis:]]
            parts = [
                part
                for v in node.operands
                if v is not None
                for part in node.emit(
                    ReshapeOp, [v], elements=[element_of(v)], origin=None, shape=wide
                )
            ]
            return node.emit(cls, parts, origin=None, axis=axis)
        axis = axis % len(node.shape(0))
        (result,) = node.emit(cls, node.operands, axis=axis)
        return [node.activation(result, node.options.FusedActivationFunction())]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        axis = node.attributes["axis"]
        axis = axis + len(node.shape(0)) if axis < 0 else axis
        return node.emit(cls, [node.operands], axis=axis)

    def result_shapes(self) -> Sequence[Shape]:
        shapes = [shape_of(v) for v in self.inputs]
        axis = normal_axis(self, self.axis.value.data, len(shapes[0]))
        rest = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
        if len(rest) != 1:
            raise VerificationFailure(
                f"graph.concat: {[list(s) for s in shapes]} differ beside axis {axis}"
            )
        first = shapes[0]
        return [(*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.concatenate(operands, self.axis.value.data)]


@irdl_op_definition
class SplitOp(GraphOp):
    """x cut along `axis` into parts of the extents `split`."""

    name = "graph.split"
    ONNX: ClassVar = ("Split",)
    TFLITE: ClassVar = ("SPLIT", "SPLIT_V")

    x = operand_def(TensorType)
    parts = var_result_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    split = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        parts = split_extents(node)
        if parts is None:
            return node.unsupported()
        axis, extents = parts
        x = node.operands[1 if node.op_type == "SPLIT" else 0]
        return node.emit(cls, [x], axis=axis, split=extents)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        if variable(node, 1):
            return node.unsupported()
        (axis,) = axes_from_front([node.attributes.get("axis", 0)], len(node.shape(0)))
        split = int_list(node, 1, "split")
        count = node.output_count
        if node.attributes.get("num_outputs", count) != count:
            return node.unsupported()
        if split is None:
            # Equal parts, the last one smaller where they do not come out even.
            extent = node.shape(0)[axis]
            part = -(-extent // count)
            split = [part] * (count - 1) + [extent - part * (count - 1)]
        return node.emit(cls, node.operands[:1], axis=axis, split=split)

    def result_shapes(self) -> Sequence[Shape]:
        shape, split = shape_of(self.x), ints(self.split)
        axis = normal_axis(self, self.axis.value.data, len(shape))
        if sum(split) != shape[axis]:
            raise VerificationFailure(
                f"graph.split: parts {list(split)} do not make the extent {shape[axis]}"
            )
        return [(*shape[:axis], n, *shape[axis + 1 :]) for n in split]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        ends = np.cumsum(ints(self.split))[:-1]
        return np.split(operands[0], ends, self.axis.value.data)


@irdl_op_definition
class SliceOp(MoveOp):
    """x[starts:ends:steps] in every dimension; starts and ends are resolved, steps may be negative.

    With a negative step, an end of -1 means "past the first element".
    """

    name = "graph.slice"
    ONNX: ClassVar = ("Slice",)
    TFLITE: ClassVar = ("SLICE", "STRIDED_SLICE", "REVERSE_V2")

    DEFAULTS: ClassVar = {"steps": repeated(1)}

    starts = prop_def(DenseArrayBase.constr(i64))
    ends = prop_def(DenseArrayBase.constr(i64))
    steps = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        bounds = slice_bounds(node)
        if bounds is None:
            return node.unsupported()
        starts, ends, steps, shape = bounds
        x = node.operands[:1]
        if shape is None:
            return node.emit(cls, x, starts=starts, ends=ends, steps=steps)
        # The origin would drop dimensions, too.
        parts = node.emit(cls, x, origin=None, starts=starts, ends=ends, steps=steps)
        return node.emit(ReshapeOp, parts, shape=shape)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        if variable(node, 1, 2, 3, 4):
            return node.unsupported()
        from furiosa_ir.dialects.graph.onnx_geometry import sliced  # noqa: PLC0415

        starts, ends, steps = sliced(node)
        return node.emit(cls, node.operands[:1], starts=starts, ends=ends, steps=steps)

    def result_shapes(self) -> Sequence[Shape]:
        bounds = zip(ints(self.starts), ints(self.ends), ints(self.steps), strict=True)
        taken = [range(*b) for b in bounds]
        for extent, r in zip(shape_of(self.x), taken, strict=True):
            if r and not (0 <= r[0] < extent and 0 <= r[-1] < extent):
                raise VerificationFailure(f"{self.name}: an element is out of range")
        return [tuple(map(len, taken))]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        index = tuple(
            slice(b, None if e < 0 else e, s)
            for b, e, s in zip(ints(self.starts), ints(self.ends), ints(self.steps), strict=True)
        )
        return [operands[0][index]]


@irdl_op_definition
class PadOp(GraphOp):
    """x with `pads` (begins, then ends; not negative) elements around it.

    `mode` "constant" fills with the real number `value` (quantised: its nearest stored integer),
    "reflect", "symmetric", "edge" and "wrap" as numpy.pad.
    """

    name = "graph.pad"
    ONNX: ClassVar = ("Pad",)
    TFLITE: ClassVar = ("PAD", "PADV2", "MIRROR_PAD")

    DEFAULTS: ClassVar = {"mode": "constant", "value": 0.0}

    x = operand_def(TensorType)
    result = result_def(TensorType)
    pads = prop_def(DenseArrayBase.constr(i64))
    mode = prop_def(StringAttr)
    value = prop_def(FloatAttr.constr(f64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        arguments = pad_arguments(node)
        if arguments is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], **arguments)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        rank = len(node.shape(0))
        given_pads = int_list(node, 1, "pads")
        if variable(node, 1, 2, 3) or given_pads is None:
            return node.unsupported()
        axes = axes_from_front(int_list(node, 3, "axes") or range(rank), rank)
        pads = [0] * (2 * rank)
        for i, axis in enumerate(axes):
            pads[axis], pads[axis + rank] = given_pads[i], given_pads[i + len(axes)]
        mode, value = node.attributes.get("mode", "constant"), number(node, 2, "value")
        if mode not in ("constant", "reflect", "edge", "wrap"):
            return node.unsupported()
        (x, *_) = node.operands
        if min(pads) < 0:
            # A negative pad cuts off.
            if mode != "constant":
                return node.unsupported()
            shape = node.shape(0)
            starts = [max(0, -p) for p in pads[:rank]]
            ends = [n - max(0, -p) for n, p in zip(shape, pads[rank:], strict=True)]
            (x,) = node.emit(SliceOp, [x], starts=starts, ends=ends, steps=[1] * rank)
            pads = [max(0, p) for p in pads]
        return node.emit(cls, [x], pads=pads, mode=mode, value=value or 0.0)

    def result_shapes(self) -> Sequence[Shape]:
        shape, pads = shape_of(self.x), ints(self.pads)
        n = len(shape)
        return [tuple(pads[i] + shape[i] + pads[i + n] for i in range(n))]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        pads, n = ints(self.pads), operands[0].ndim
        widths = [(pads[i], pads[i + n]) for i in range(n)]
        return [pad_array(operands[0], widths, self.mode.data, self.value.value.data)]


def pad_array(
    array: Array, widths: Sequence[tuple[int, int]], mode: str, value: float = 0.0
) -> Array:
    """numpy.pad in the modes of `graph.pad`."""
    if not widths:  # a scalar, of which numpy.pad makes nothing
        return array
    match mode:
        case "constant":
            return np.pad(array, widths, constant_values=value)
        case "reflect":
            return np.pad(array, widths, mode="reflect")
        case "symmetric":
            return np.pad(array, widths, mode="symmetric")
        case "edge":
            return np.pad(array, widths, mode="edge")
        case "wrap":
            return np.pad(array, widths, mode="wrap")
        case _:
            raise VerificationFailure(f"graph.pad: unknown mode '{mode}'")


@irdl_op_definition
class ExpandOp(MoveOp):
    """x broadcast to `shape`."""

    name = "graph.expand"
    ONNX: ClassVar = ("Expand",)
    TFLITE: ClassVar = ("BROADCAST_TO",)

    DEFAULTS: ClassVar = {"shape": result_shape}

    shape = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        shape = broadcast_target(node)
        if shape is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], shape=shape)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        shape = int_list(node, 1, "shape")
        if shape is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], shape=shape)

    def result_shapes(self) -> Sequence[Shape]:
        return [broadcast_shapes(self, [shape_of(self.x), ints(self.shape)])]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [np.broadcast_to(operands[0], self.result_shapes()[0])]


@irdl_op_definition
class TileOp(MoveOp):
    """x repeated `repeats` times along each dimension."""

    name = "graph.tile"
    ONNX: ClassVar = ("Tile",)
    TFLITE: ClassVar = ("TILE",)

    repeats = prop_def(DenseArrayBase.constr(i64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        repeats = node.constant(1)
        if repeats is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], repeats=repeats.reshape(-1).tolist())

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        repeats = int_list(node, 1, "repeats")
        if repeats is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], repeats=repeats)

    def result_shapes(self) -> Sequence[Shape]:
        return [tuple(n * r for n, r in zip(shape_of(self.x), ints(self.repeats), strict=True))]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        shape = self.result_shapes()[0]
        if 0 in shape:  # numpy repeats one dimension after another: 2^31 times, then 0
            return [np.zeros(shape, operands[0].dtype)]
        return [np.tile(operands[0], ints(self.repeats))]
