"""Buffers while the planner works on them: what they hold, and which tensors lie in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import VectorOp
from furiosa_ir.backends.warboy.dialect.plan import Allocation, Shape4
from furiosa_ir.backends.warboy.planning.assigned_views import Views
from furiosa_ir.backends.warboy.planning.geometry import element_bytes
from furiosa_ir.backends.warboy.planning.views import (
    position4,
    row_major,
    shape4,
    shifted,
    strides4,
)
from furiosa_ir.dialects.ftensor import arithmetic, movement
from furiosa_ir.ir.shaped_operation import shape_of


@dataclass(slots=True)
class Storage:
    """A buffer while the planner works on it.

    Attributes:
        shape, element, allocation: as in `plan.Buffer`.
        made: a kernel writes it (else it is an argument, a constant or an alias).
        stored: what kernels write must reach DRAM: a result, or the source of a copy.
        writers, readers: numbers of the kernels that write and read it in SRAM.
    """

    shape: Shape4
    element: int
    allocation: Allocation | None = None
    made: bool = False
    stored: bool = False
    writers: list[int] = field(default_factory=list[int])
    readers: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies: its buffer, and where in it its window begins."""

    buffer: int
    offset: Shape4


class StorageBuilder:
    """Gives tensors buffers and places, one after the other."""

    def __init__(self, function: FuncOp, views: Views) -> None:
        self.block: Block = function.body.block
        self.views = views
        self.buffers: list[Storage] = []
        self.places: dict[SSAValue, Place] = {}
        self.parts: dict[SSAValue, tuple[SSAValue, tuple[int, ...]]] = {}
        self.roots: list[SSAValue] = []
        constants = [op for op in self.block.ops if isinstance(op, arithmetic.ConstantOp)]
        self.constant_places: dict[tuple[SSAValue, str], Place] = {}
        self.constants = {op: number for number, op in enumerate(constants)}

    def new(
        self, value: SSAValue, allocation: Allocation | None = None, *, made: bool = False
    ) -> int:
        """A buffer of its own for a value."""
        shape = shape4(shape_of(value), self.views[value])
        self.buffers.append(Storage(shape, element_bytes(value), allocation, made))
        self.roots.append(value)
        self.places[value] = Place(len(self.buffers) - 1, (0, 0, 0, 0))
        return len(self.buffers) - 1

    def place(self, value: SSAValue) -> Place:
        """Where a value lies; parts of a concatenation lie in the whole."""
        known = self.places.get(value)
        if known is not None:
            return known
        if value in self.parts:
            whole, index = self.parts[value]
            outer = self.place(whole)
            inner = position4(shape_of(whole), self.views[whole], index)
            place = Place(outer.buffer, shifted(outer.offset, inner))
        elif isinstance(value.owner, arithmetic.ConstantOp):
            return self.constant_place(value, self.views[value])
        else:
            place = Place(self.new(value, made=True), (0, 0, 0, 0))
        self.places[value] = place
        return place

    def constant_place(self, value: SSAValue, view: str) -> Place:
        """A constant's buffer under a view (kernels may read one under several)."""
        known = self.constant_places.get((value, view))
        if known is None:
            owner = cast("arithmetic.ConstantOp", value.owner)
            self.views[value] = view
            known = Place(self.new(value, self.constant_allocation(owner)), (0, 0, 0, 0))
            del self.places[value]
            self.constant_places[value, view] = known
        return known

    def dense_allocation(self, value: SSAValue, kind: str, index: int) -> Allocation:
        """A dense place for the value, row-major in its own shape."""
        shape, element = shape_of(value), element_bytes(value)
        dense = strides4(shape, self.views[value], row_major(shape, element))
        assert dense is not None
        size = element
        for extent in shape:
            size *= extent
        return Allocation(kind, index, 0, dense, size)

    def constant_allocation(self, op: arithmetic.ConstantOp) -> Allocation:
        """A constant's place in the constant section."""
        allocation = self.dense_allocation(op.result, "constant", self.constants[op])
        if _is_repeated(op):
            return Allocation(
                "constant", allocation.index, 0, (0, 0, 0, 0), element_bytes(op.result)
            )
        return allocation

    def allocation(self, buffer: int) -> Allocation:
        """The buffer's allocation; what kernels write gets one of its own."""
        storage = self.buffers[buffer]
        if storage.allocation is None:
            storage.allocation = self.dense_allocation(self.roots[buffer], "own", 0)
        return storage.allocation


def part_offsets(op: movement.ConcatOp) -> list[tuple[int, ...]]:
    """Where each operand of a concatenation begins."""
    axis, rank, begin = op.axis.value.data, len(shape_of(op.result)), 0
    offsets: list[tuple[int, ...]] = []
    for value in op.inputs:
        offsets.append(tuple(begin if i == axis else 0 for i in range(rank)))
        begin += shape_of(value)[axis]
    return offsets


def _is_repeated(op: arithmetic.ConstantOp) -> bool:
    """Whether the constant is one element repeated by strides of 0 (a border of padding)."""
    copied = all(isinstance(u.operation, VectorOp) for u in op.result.uses)
    return copied and op.value.data.is_splat
