"""What lowerings make operations on tensors with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod
from typing import Any, cast

import numpy as np
from typing_extensions import override
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    SymbolRefAttr,
    TensorType,
    i32,
    i64,
)
from xdsl.dialects.linalg import ops as linalg
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.irdl import IRDLOperation

from furiosa_ir.backends.mlir.dialect import GlobalLoadOp, GlobalOp, OptimizationBarrierOp, type_of
from furiosa_ir.backends.mlir.lowering.elements import Elements, number_attribute
from furiosa_ir.backends.mlir.ranges import Ranges
from furiosa_ir.backends.mlir.segment_conversion import SegmentEmitter
from furiosa_ir.dialects.ftensor.base import TensorOp, i48
from furiosa_ir.dialects.ftensor.movement import GatherOp, InterpolateOp
from furiosa_ir.ir.constants import INLINE_ELEMENTS, Constant
from furiosa_ir.ir.shaped_operation import AnyTensor, Shape, element_of, ints, shape_of, tensor_type
from furiosa_ir.numerics.array import Array

Body = Callable[[Elements, Sequence[SSAValue]], SSAValue]
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

    Attributes:
        ranges: of `ftensor` values.
    """

    def __init__(
        self, block: Block, values: dict[SSAValue, SSAValue], parameters: Parameters
    ) -> None:
        super().__init__(block, values)
        self.ranges = Ranges()
        self._parameters = parameters
        self._made: dict[tuple[str, bytes, Shape, str], SSAValue] = {}
        self._dense: dict[SSAValue, SSAValue] = {}

    def made(self, op: IRDLOperation) -> SSAValue:
        """Appends an operation; its result."""
        if self.location is not None:
            op.location = self.location
        self._block.add_op(op)
        return op.results[0]

    def given(self, value: SSAValue) -> SSAValue | Array:
        """What an `ftensor` value has become; of a constant its elements, which are none yet."""
        known = self.array(value)
        return self.operand(value) if known is None else known

    @override
    def finished(self, op: TensorOp, value: SSAValue) -> SSAValue:
        """A value that is padded or gathered from, and read by others as well, is made first.

        IREE 3.13 makes both at once, and refuses that where it is the product of matrices that it
        has tiled ("large vector sizes").
        """
        users = [use.operation for use in op.results[0].uses]
        if len(users) < 2 or not any(_is_moved(user) for user in users):
            return value
        return self.apart(value)

    def apart(self, value: SSAValue) -> SSAValue:
        """The value, which IREE makes apart from what reads it."""
        return self.made(OptimizationBarrierOp.create(operands=[value], result_types=[value.type]))

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
            op = arith.ConstantOp.create(result_types=[type_], properties={"value": dense})
        return self.made(cast("IRDLOperation", op))

    def empty(self, shape: Shape, type_: Attribute) -> SSAValue:
        """A tensor whose elements nobody reads."""
        return self.made(tensor.EmptyOp.create(result_types=[tensor_type(type_, shape)]))

    def filled(self, shape: Shape, value: int, type_: Attribute) -> SSAValue:
        """A tensor of one number."""
        held = {"value": number_attribute(value, cast("IntegerType", type_))}
        number = self.made(arith.ConstantOp.create(result_types=[type_], properties=held))
        into = self.empty(shape, type_)
        block = Block(arg_types=[type_, type_])
        block.add_op(linalg.YieldOp.create(operands=[block.args[0]]))
        return self.made(
            linalg.FillOp.create(
                operands=[number, into],
                result_types=[into.type],
                properties=_ONE_AND_ONE,
                regions=[Region(block)],
            )
        )

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
        block.add_op(linalg.YieldOp.create(operands=[result]))
        op = linalg.GenericOp.create(
            operands=[v for v, _ in operands],
            result_types=[into[0].type],
            properties={
                "indexing_maps": _maps(len(loops), tuple(tuple(e) for _, e in operands)),
                "iterator_types": _array(tuple(loops)),
                "operandSegmentSizes": _segments(len(inputs)),
            },
            regions=[Region(block)],
        )
        return self.made(op)

    def elementwise(
        self, operands: Sequence[SSAValue | Array], shape: Shape, type_: Attribute, body: Body
    ) -> SSAValue:
        """The result of a body on elements of operands that broadcast to a shape, as numpy's do."""
        read = [self._broadcast(v, shape) for v in operands]
        into = self.empty(shape, type_), dimensions(len(shape))
        return self.generic(read, into, [PARALLEL] * len(shape), body)

    def _broadcast(
        self, value: SSAValue | Array, shape: Shape
    ) -> tuple[SSAValue, Sequence[AffineExpr]]:
        """A value without what is repeated, and which dimensions are left."""
        mine = shape_of(value) if isinstance(value, SSAValue) else value.shape
        skipped = len(shape) - len(mine)
        left = [i for i, n in enumerate(mine) if n == shape[i + skipped]]
        dense = tuple(mine[i] for i in left)
        loops = [_DIMENSIONS[i + skipped] for i in left]
        if isinstance(value, SSAValue):
            return self.reshape(value, dense), loops
        return self.constant(value.reshape(dense)), loops

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
        if not given:
            # Upstream expands what has no dimensions as well; xDSL, which reads files, refuses it.
            return self.elementwise([value], shape, element_type, lambda _, elements: elements[0])
        groups = grouping(given, shape)
        if groups is not None:
            return self._collapse(value, shape, element_type, groups)
        groups = grouping(shape, given)
        if groups is not None:
            return self._expand(value, shape, element_type, groups)
        size = (prod(given),)
        return self._reshaped(self._reshaped(value, given, size), size, shape)

    def _collapse(
        self, value: SSAValue, shape: Shape, type_: Attribute, groups: Sequence[Sequence[int]]
    ) -> SSAValue:
        return self.made(
            tensor.CollapseShapeOp.create(
                operands=[value],
                result_types=[tensor_type(type_, shape)],
                properties={"reassociation": _reassociation(_frozen(groups))},
            )
        )

    def _expand(
        self, value: SSAValue, shape: Shape, type_: Attribute, groups: Sequence[Sequence[int]]
    ) -> SSAValue:
        return self.made(
            tensor.ExpandShapeOp.create(
                operands=[value],
                result_types=[tensor_type(type_, shape)],
                properties={
                    "reassociation": _reassociation(_frozen(groups)),
                    "static_output_shape": _extents(shape),
                },
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


_DIMENSIONS = [AffineExpr.dimension(i) for i in range(64)]


def _is_moved(user: Operation) -> bool:
    """Whether an operation puts something around what it reads, or takes it in another order."""
    pads = user.properties.get("pads")
    is_padded = pads is not None and any(ints(cast("DenseArrayBase", pads)))
    return is_padded or isinstance(user, GatherOp | InterpolateOp)


def dimensions(count: int, start: int = 0) -> list[AffineExpr]:
    """Loops as they stand."""
    return _DIMENSIONS[start : start + count]


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


def _frozen(groups: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(group) for group in groups)


# Attributes that many operations share are one object: its text is made once (`upstream_text`), and
# what it is allowed in is verified once (`ir.verifier`).


@lru_cache(maxsize=1 << 9)
def _reassociation(groups: tuple[tuple[int, ...], ...]) -> ArrayAttr[ArrayAttr[IntegerAttr]]:
    return ArrayAttr([ArrayAttr([IntegerAttr(i, i64) for i in group]) for group in groups])


@lru_cache(maxsize=1 << 9)
def _extents(shape: Shape) -> Attribute:
    return DenseArrayBase.from_list(i64, shape)


@lru_cache(maxsize=1 << 9)
def _maps(loops: int, reads: tuple[tuple[AffineExpr, ...], ...]) -> Attribute:
    return ArrayAttr([AffineMapAttr(AffineMap(loops, 0, read)) for read in reads])


@lru_cache(maxsize=1 << 9)
def _array(kinds: tuple[Attribute, ...]) -> Attribute:
    return ArrayAttr(kinds)


@cache
def _segments(inputs: int) -> Attribute:
    """How many of a structured operation's operands are inputs, and that one is an output."""
    return DenseArrayBase.from_list(i32, [inputs, 1])


_ONE_AND_ONE = {"operandSegmentSizes": _segments(1)}
