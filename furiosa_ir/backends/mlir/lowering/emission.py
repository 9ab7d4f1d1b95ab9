"""What lowerings make operations with: an emitter for tensors, another one for their elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from typing_extensions import override
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    SymbolRefAttr,
    TensorType,
    i64,
)
from xdsl.dialects.linalg import ops as linalg
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.irdl import IRDLOperation

from furiosa_ir.backends.mlir.dialect import GlobalLoadOp, GlobalOp, type_of
from furiosa_ir.backends.mlir.segment_conversion import SegmentEmitter
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.ir.constants import INLINE_ELEMENTS, Constant
from furiosa_ir.ir.shaped_operation import AnyTensor, Shape, element_of, shape_of, tensor_type
from furiosa_ir.numerics.array import Array

Body = Callable[["Elements", Sequence[SSAValue]], SSAValue]
"""From the elements of the inputs (and of what is accumulated, last) to that of the result."""

PARALLEL = IteratorTypeAttr.parallel()
REDUCTION = IteratorTypeAttr.reduction()


def upstream(type_: AnyTensor) -> AnyTensor:
    """The tensor type that stands for one of `ftensor`'s: i48 is held in i64."""
    return tensor_type(i64, type_.get_shape()) if type_.element_type == i48 else type_


def element(value: SSAValue) -> IntegerType:
    """The element type of a value's tensor, as upstream has it."""
    found = element_of(value)
    return cast("IntegerType", i64 if found == i48 else found)


class Elements:
    """Makes the body of a `linalg.generic`: integers of one element each."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._constants: dict[tuple[int, Attribute], SSAValue] = {}

    def made(self, op: IRDLOperation) -> SSAValue:
        """Appends an operation; its result."""
        self._block.add_op(op)
        return op.results[0]

    def constant(self, value: int, type_: Attribute) -> SSAValue:
        """A number."""
        key = value, type_
        if key not in self._constants:
            made = IntegerAttr(value, cast("IntegerType", type_))
            self._constants[key] = self.made(arith.ConstantOp(made))
        return self._constants[key]

    def like(self, value: int, other: SSAValue) -> SSAValue:
        """A number of the type of another value."""
        return self.constant(value, other.type)

    def cast(self, value: SSAValue, type_: Attribute) -> SSAValue:
        """A value in another width: its sign extended, or its lower bits."""
        given, wanted = cast("IntegerType", value.type), cast("IntegerType", type_)
        if given == wanted:
            return value
        kind = arith.ExtSIOp if given.width.data < wanted.width.data else arith.TruncIOp
        return self.made(kind(value, wanted))

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a + b, modulo the type's width, as all of these."""
        return self.made(arith.AddiOp(a, b))

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a - b."""
        return self.made(arith.SubiOp(a, b))

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a * b."""
        return self.made(arith.MuliOp(a, b))

    def minimum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The lesser one."""
        return self.made(arith.MinSIOp(a, b))

    def maximum(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The greater one."""
        return self.made(arith.MaxSIOp(a, b))

    def clamp(self, value: SSAValue, low: int, high: int) -> SSAValue:
        """min(max(value, low), high)."""
        return self.minimum(self.maximum(value, self.like(low, value)), self.like(high, value))

    def shifted_right(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a >> b, the sign moving in."""
        return self.made(arith.ShRSIOp(a, b))

    def shifted_left(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a << b."""
        return self.made(arith.ShLIOp(a, b))

    def both(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """a & b."""
        return self.made(arith.AndIOp(a, b))

    def compare(self, a: SSAValue, how: str, b: SSAValue) -> SSAValue:
        """Whether a is `how` ("eq", "slt", "sle", "sgt", "sge") to b: i1."""
        return self.made(arith.CmpiOp(a, b, how))

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        """A where the condition holds, else b."""
        return self.made(arith.SelectOp(condition, a, b))

    def index(self, dimension: int) -> SSAValue:
        """The index of a loop."""
        return self.made(linalg.IndexOp(dimension))

    def as_index(self, value: SSAValue, extent: int) -> SSAValue:
        """An integer as an index of a dimension, which it cannot leave (`text_safety`)."""
        within = self.clamp(value, 0, extent - 1)
        return self.made(arith.IndexCastOp(within, IndexType()))

    def extract(self, from_: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
        """The element of a tensor at these indices."""
        type_ = cast("AnyTensor", from_.type)
        return self.made(tensor.ExtractOp(from_, list(indices), type_.element_type))


@dataclass
class Parameters:
    """The constants that a module keeps beside itself: each content once.

    Attributes:
        globals: by digest.
    """

    globals: dict[str, GlobalOp]

    def named(self, constant: Constant) -> str:
        """The symbol of a constant's global."""
        # The digest tells shape and dtype, too.
        found = self.globals.get(constant.digest)
        if found is None:
            found = GlobalOp.of(f"c{len(self.globals)}", constant)
            self.globals[constant.digest] = found
        return found.sym_name.data


class Emitter(SegmentEmitter):
    """Makes operations on tensors.

    Args:
        block, values: as of every emitter.
        parameters: of the module; constants that are used are added.
    """

    def __init__(
        self, block: Block, values: dict[SSAValue, SSAValue], parameters: Parameters
    ) -> None:
        super().__init__(block, values)
        self._parameters = parameters
        self._made: dict[tuple[str, bytes, Shape, str], SSAValue] = {}
        self._dense: dict[SSAValue, SSAValue] = {}

    def made(self, op: IRDLOperation) -> SSAValue:
        """Appends an operation; its result."""
        if self.location is not None:
            op.location = self.location
        self._block.add_op(op)
        return op.results[0]

    @override
    def constant(self, array: Array) -> SSAValue:
        """A tensor of these integers: in line up to 16, else a parameter of the module."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        constant = Constant(array)
        type_ = type_of(constant)
        if array.size <= INLINE_ELEMENTS:
            key = "", array.tobytes(), array.shape, array.dtype.name
        else:
            key = self._parameters.named(constant), b"", array.shape, array.dtype.name
        if key not in self._made:
            self._made[key] = self._constant(key[0], array, type_)
        return self._made[key]

    def _constant(self, symbol: str, array: Array, type_: AnyTensor) -> SSAValue:
        op: Operation
        if symbol:
            op = GlobalLoadOp.create(
                result_types=[type_], properties={"global": SymbolRefAttr(symbol)}
            )
        else:
            values = [int(v) for v in array.reshape(-1)]
            dense = DenseIntOrFPElementsAttr.from_list(cast("TensorType[Any]", type_), values)
            op = arith.ConstantOp(dense, type_)
        return self.made(cast("IRDLOperation", op))

    def empty(self, shape: Shape, type_: Attribute) -> SSAValue:
        """A tensor whose elements nobody reads."""
        return self.made(tensor.EmptyOp([], tensor_type(type_, shape)))

    def filled(self, shape: Shape, value: int, type_: Attribute) -> SSAValue:
        """A tensor of one number."""
        number = self.made(arith.ConstantOp(IntegerAttr(value, cast("IntegerType", type_))))
        into = self.empty(shape, type_)
        return self.made(linalg.FillOp([number], [into], [into.type]))

    def generic(
        self,
        inputs: Sequence[tuple[SSAValue, Sequence[AffineExpr]]],
        into: tuple[SSAValue, Sequence[AffineExpr]],
        loops: Sequence[Attribute],
        body: Body,
    ) -> SSAValue:
        """A `linalg.generic`.

        Args:
            inputs: each with what it is indexed by, of the loops' dimensions.
            into: what is filled or accumulated into, likewise.
            loops: `PARALLEL` or `REDUCTION` each.
            body: is given the inputs' elements, then that of `into`.
        """
        operands = [*inputs, into]
        block = Block(arg_types=[cast("AnyTensor", v.type).element_type for v, _ in operands])
        result = body(Elements(block), block.args)
        block.add_op(linalg.YieldOp(result))
        maps = [
            AffineMapAttr(AffineMap(len(loops), 0, tuple(expressions)))
            for _, expressions in operands
        ]
        op = linalg.GenericOp(
            [v for v, _ in inputs],
            [into[0]],
            Region(block),
            ArrayAttr(maps),
            ArrayAttr(list(loops)),
            [into[0].type],
        )
        return self.made(op)

    def elementwise(
        self, operands: Sequence[SSAValue], shape: Shape, type_: Attribute, body: Body
    ) -> SSAValue:
        """The result of a body on elements of operands that broadcast to a shape, as numpy's do."""
        read = [self._broadcast(v, shape) for v in operands]
        into = self.empty(shape, type_), dimensions(len(shape))
        return self.generic(read, into, [PARALLEL] * len(shape), body)

    def _broadcast(self, value: SSAValue, shape: Shape) -> tuple[SSAValue, Sequence[AffineExpr]]:
        """A value without what is repeated, and which dimensions are left."""
        mine = shape_of(value)
        skipped = len(shape) - len(mine)
        left = [i for i, n in enumerate(mine) if n == shape[i + skipped]]
        dense = self.reshape(value, tuple(mine[i] for i in left))
        return dense, [AffineExpr.dimension(i + skipped) for i in left]

    def reshape(self, value: SSAValue, shape: Shape) -> SSAValue:
        """The same elements under another shape."""
        # What was under another shape before is taken as it was then.
        value = self._dense.get(value, value)
        given = shape_of(value)
        if given == shape:
            return value
        made = self._reshaped(value, given, shape)
        self._dense[made] = value
        return made

    def _reshaped(self, value: SSAValue, given: Shape, shape: Shape) -> SSAValue:
        element_type = element_of(value)
        groups = grouping(given, shape)
        if groups is not None:
            return self._collapse(value, shape, element_type, groups)
        groups = grouping(shape, given)
        if groups is not None:
            return self._expand(value, shape, element_type, groups)
        size = (int(np.prod(given, dtype=np.int64)),)
        return self._reshaped(self._reshaped(value, given, size), size, shape)

    def _collapse(
        self, value: SSAValue, shape: Shape, type_: Attribute, groups: Sequence[Sequence[int]]
    ) -> SSAValue:
        return self.made(
            tensor.CollapseShapeOp.build(
                operands=[value],
                result_types=[tensor_type(type_, shape)],
                properties={"reassociation": _reassociation(groups)},
            )
        )

    def _expand(
        self, value: SSAValue, shape: Shape, type_: Attribute, groups: Sequence[Sequence[int]]
    ) -> SSAValue:
        return self.made(
            tensor.ExpandShapeOp(
                value, [], _reassociation(groups), list(shape), tensor_type(type_, shape)
            )
        )

    def cropped(self, value: SSAValue, starts: Shape, extents: Shape) -> SSAValue:
        """The part of a tensor that begins somewhere."""
        if tuple(extents) == shape_of(value):
            return value
        ones = [1] * len(extents)
        result = tensor_type(element_of(value), tuple(extents))
        return self.made(tensor.ExtractSliceOp(value, list(starts), list(extents), ones, result))

    def padded(self, value: SSAValue, low: Shape, high: Shape, number: int) -> SSAValue:
        """A tensor with a number around it, `low` in front and `high` behind."""
        if not any(low) and not any(high):
            return value
        shape = tuple(a + n + b for a, n, b in zip(low, shape_of(value), high, strict=True))
        type_ = element_of(value)
        block = Block(arg_types=[IndexType()] * len(shape))
        block.add_op(fill := arith.ConstantOp(IntegerAttr(number, cast("IntegerType", type_))))
        block.add_op(tensor.YieldOp(fill.result))
        result = tensor_type(type_, shape)
        return self.made(tensor.PadOp(value, [], [], Region(block), list(low), list(high), result))


def dimensions(count: int, start: int = 0) -> list[AffineExpr]:
    """Loops as they stand."""
    return [AffineExpr.dimension(i) for i in range(start, start + count)]


def grouping(fine: Shape, coarse: Shape) -> list[list[int]] | None:
    """Which dimensions of a shape make each dimension of a coarser one; None if none do."""
    if not coarse:
        return [] if all(n == 1 for n in fine) else None
    groups: list[list[int]] = []
    at = 0
    for extent in coarse:
        group: list[int] = []
        product = 1
        while at < len(fine) and (not group or product < extent):
            product *= fine[at]
            group.append(at)
            at += 1
        if product != extent or not group:
            return None
        groups.append(group)
    # What is left are ones, which belong to the last dimension.
    while at < len(fine) and fine[at] == 1:
        groups[-1].append(at)
        at += 1
    return groups if at == len(fine) else None


def _reassociation(groups: Sequence[Sequence[int]]) -> ArrayAttr[ArrayAttr[IntegerAttr]]:
    return ArrayAttr([ArrayAttr([IntegerAttr(i, i64) for i in group]) for group in groups])
