"""What lowerings make TOSA's operations with."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    TensorType,
    i1,
    i8,
    i32,
    i64,
)
from xdsl.dialects.tosa import NanMode, NanModeAttr
from xdsl.ir import Attribute, Block, SSAValue

from furiosa_ir.backends.mlir.dialect import type_of
from furiosa_ir.backends.mlir.ranges import Range, Ranges
from furiosa_ir.backends.mlir.segment_conversion import SegmentEmitter
from furiosa_ir.backends.mlir.tosa import dialect as tosa
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.ir.constants import BlobAttr, Constant
from furiosa_ir.ir.shaped_operation import Shape, element_of, shape_of, tensor_type
from furiosa_ir.numerics.array import Array

PROPAGATE = NanModeAttr(NanMode.PROPAGATE)
"""What integers do not have, and operations ask for all the same."""

_MOST_DIMENSIONS = 6
"""Of a tensor, on TOSA's level 8K."""


class Inexact(Exception):
    """Why an operation has no exact form in TOSA; `conversion` says of which one it is.

    Args:
        reason: what is behind "has no exact form in TOSA: ".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def i64s(numbers: Sequence[int]) -> Attribute:
    """A property that is a list."""
    return DenseArrayBase.from_list(i64, list(numbers))


class Emitter(SegmentEmitter):
    """Makes operations of TOSA.

    Args:
        block, values: as of every emitter.
    """

    def __init__(self, block: Block, values: dict[SSAValue, SSAValue]) -> None:
        super().__init__(block, values)
        self._constants: dict[tuple[bytes, Shape, str], SSAValue] = {}
        self._shapes: dict[Shape, SSAValue] = {}
        self._ranges = Ranges()

    @override
    def operand(self, value: SSAValue) -> SSAValue:
        """What an `ftensor` value has become."""
        made = super().operand(value)
        if element_of(made) == i48:  # as a function is given it
            raise Inexact("integers of 48 bits")
        return made

    @override
    def returned(self, values: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Values as a graph may give them: each once, and made by it."""
        found: list[SSAValue] = []
        for value in values:
            owner = value.owner
            is_made = isinstance(owner, tosa.TosaOp) and not isinstance(owner, tosa.ConstOp)
            again = not is_made or value in found
            found.append(
                self.made(tosa.IdentityOp, [value], shape_of(value), element_of(value))
                if again
                else value
            )
        return found

    def range(self, value: SSAValue) -> Range:
        """Between which integers the elements of an `ftensor` value lie."""
        return self._ranges.of(value)

    def element(self, value: SSAValue) -> Attribute:
        """The element type of what an `ftensor` value becomes: i48 is held in i32, if that can."""
        found = element_of(value)
        if found != i48:
            return found
        low, high = self.range(value)
        if low < -(1 << 31) or high >= 1 << 31:
            raise Inexact("integers of 48 bits")
        return i32

    def made(
        self,
        kind: type[tosa.TosaOp],
        operands: Sequence[SSAValue],
        shape: Shape,
        element: Attribute,
        **properties: Attribute,
    ) -> SSAValue:
        """Appends an operation; its result."""
        if len(shape) > _MOST_DIMENSIONS:
            raise Inexact(f"a tensor of {len(shape)} dimensions")
        return self._appended(kind, operands, tensor_type(element, shape), properties)

    def _appended(
        self,
        kind: type[tosa.TosaOp],
        operands: Sequence[SSAValue],
        result: Attribute,
        properties: dict[str, Attribute],
    ) -> SSAValue:
        op = kind.create(operands=operands, result_types=[result], properties=properties)
        if self.location is not None:
            op.location = self.location
        self._block.add_op(op)
        return op.output

    @override
    def constant(self, array: Array) -> SSAValue:
        """A tensor of these integers."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        if array.dtype == np.int64:
            if not np.array_equal(array, array.astype(np.int32)):
                raise Inexact("constants of more than 32 bits")
            array = array.astype(np.int32)
        key = array.tobytes(), array.shape, array.dtype.name
        if key not in self._constants:
            constant = Constant(array)
            type_ = type_of(constant)
            made = self._appended(tosa.ConstOp, [], type_, {"values": BlobAttr(constant)})
            self._constants[key] = made
        return self._constants[key]

    def one(self, number: int, element: Attribute) -> SSAValue:
        """A tensor of one element, as zero points and shifts are."""
        return self.constant(np.array([number], np.int8 if element == i8 else np.int32))

    def like(self, number: int, value: SSAValue) -> SSAValue:
        """A number that broadcasts to a value."""
        dtype = np.int8 if element_of(value) == i8 else np.int32
        return self.constant(np.full((1,) * len(shape_of(value)), number, dtype))

    def shape(self, extents: Sequence[int]) -> SSAValue:
        """A list of extents as an operand."""
        key = tuple(extents)
        if key not in self._shapes:
            held: TensorType[Any] = TensorType(IndexType(), [len(key)])
            values = DenseIntOrFPElementsAttr.from_list(held, list(key))
            type_ = tosa.ShapeType(len(key))
            made = self._appended(tosa.ConstShapeOp, [], type_, {"values": values})
            self._shapes[key] = made
        return self._shapes[key]

    def reshape(self, value: SSAValue, shape: Shape) -> SSAValue:
        """The same elements under another shape."""
        if shape_of(value) == tuple(shape):
            return value
        return self.made(tosa.ReshapeOp, [value, self.shape(shape)], shape, element_of(value))

    def transpose(self, value: SSAValue, perm: Sequence[int]) -> SSAValue:
        """Dimension i of the result is dimension perm[i]."""
        if list(perm) == sorted(perm):
            return value
        given = shape_of(value)
        shape = tuple(given[p] for p in perm)
        perms = DenseArrayBase.from_list(i32, list(perm))
        return self.made(tosa.TransposeOp, [value], shape, element_of(value), perms=perms)

    def cast(self, value: SSAValue, element: Attribute) -> SSAValue:
        """A value in another width, which has to hold it."""
        if element_of(value) == element:
            return value
        return self.made(tosa.CastOp, [value], shape_of(value), element)

    def ranked(self, value: SSAValue, rank: int) -> SSAValue:
        """A value with ones in front of its extents: TOSA broadcasts between equal ranks only."""
        shape = shape_of(value)
        return self.reshape(value, (1,) * (rank - len(shape)) + shape)

    def paired(
        self,
        kind: type[tosa.TosaOp],
        a: SSAValue,
        b: SSAValue,
        element: Attribute | None = None,
        *more: SSAValue,
        **properties: Attribute,
    ) -> SSAValue:
        """An operation on pairs of elements, broadcast as numpy does."""
        shape = np.broadcast_shapes(shape_of(a), shape_of(b))
        operands = [self.ranked(v, len(shape)) for v in (a, b)]
        return self.made(kind, [*operands, *more], shape, element or element_of(a), **properties)

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a + b."""
        return self.paired(tosa.AddOp, a, b)

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a - b."""
        return self.paired(tosa.SubOp, a, b)

    def mul(self, a: SSAValue, b: SSAValue, shift: int = 0) -> SSAValue:
        """a * b of i32, shifted right with ties up."""
        return self.paired(tosa.MulOp, a, b, None, self.one(shift, i8))

    def shifted_right(self, a: SSAValue, b: SSAValue, *, is_rounded: bool) -> SSAValue:
        """a >> b; to nearest, ties up, if it is rounded."""
        rounds = IntegerAttr(int(is_rounded), i1)
        return self.paired(tosa.RightShiftOp, a, b, None, round=rounds)

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        """A where the condition holds, else b."""
        shape = np.broadcast_shapes(shape_of(condition), shape_of(a), shape_of(b))
        operands = [self.ranked(v, len(shape)) for v in (condition, a, b)]
        return self.made(tosa.SelectOp, operands, shape, element_of(a))

    def greater(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a > b."""
        return self.paired(tosa.GreaterOp, a, b, i1)

    def negated(self, value: SSAValue) -> SSAValue:
        """0 - x."""
        return self.sub(self.like(0, value), value)

    def plus(self, value: SSAValue, number: int) -> SSAValue:
        """A value and a number."""
        return self.add(value, self.like(number, value)) if number else value

    def clamp(self, value: SSAValue, low: int, high: int) -> SSAValue:
        """min(max(value, low), high); `tosa.clamp` is of i8 alone."""
        element = element_of(value)
        limits = np.iinfo(np.int8 if element == i8 else np.int32)
        least, most = max(low, int(limits.min)), min(high, int(limits.max))
        if element == i8:
            if (least, most) == (limits.min, limits.max):
                return value
            bounds = {"min_val": IntegerAttr(least, i8), "max_val": IntegerAttr(most, i8)}
            shape = shape_of(value)
            return self.made(tosa.ClampOp, [value], shape, i8, nan_mode=PROPAGATE, **bounds)
        if least > limits.min:
            value = self.paired(tosa.MaximumOp, value, self.like(least, value), nan_mode=PROPAGATE)
        if most < limits.max:
            value = self.paired(tosa.MinimumOp, value, self.like(most, value), nan_mode=PROPAGATE)
        return value

    def sliced(self, value: SSAValue, starts: Sequence[int], extents: Sequence[int]) -> SSAValue:
        """The part of a tensor that begins somewhere."""
        if tuple(extents) == shape_of(value):
            return value
        operands = [value, self.shape(starts), self.shape(extents)]
        return self.made(tosa.SliceOp, operands, tuple(extents), element_of(value))

    def padded(
        self, value: SSAValue, low: Sequence[int], high: Sequence[int], number: int
    ) -> SSAValue:
        """A tensor with a number around it."""
        if not any(low) and not any(high):
            return value
        shape = tuple(a + n + b for a, n, b in zip(low, shape_of(value), high, strict=True))
        pads = [p for pair in zip(low, high, strict=True) for p in pair]
        element = element_of(value)
        operands = [value, self.shape(pads), self.one(number, element)]
        return self.made(tosa.PadOp, operands, shape, element)

    def tiled(self, value: SSAValue, shape: Shape) -> SSAValue:
        """A value broadcast to a shape."""
        value = self.ranked(value, len(shape))
        times = tuple(n // m for n, m in zip(shape, shape_of(value), strict=True))
        if all(t == 1 for t in times):
            return value
        return self.made(tosa.TileOp, [value, self.shape(times)], shape, element_of(value))

    def taken(self, value: SSAValue, axis: int, indices: Sequence[int]) -> SSAValue:
        """value[..., indices[j], ...] along an axis."""
        shape = shape_of(value)
        front, extent, behind = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
        rows = self.reshape(value, (front, extent, behind))
        places = np.tile(np.array(indices, np.int32), (front, 1))
        whole = (front, len(indices), behind)
        made = self.made(tosa.GatherOp, [rows, self.constant(places)], whole, element_of(value))
        return self.reshape(made, (*shape[:axis], len(indices), *shape[axis + 1 :]))
