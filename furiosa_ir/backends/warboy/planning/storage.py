"""Which buffer every tensor is, or is a window of, and how buffers lie in DRAM."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import cast

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp, VectorOp
from furiosa_ir.backends.warboy.dialect.plan import Allocation, CopyPlan, Move, Shape4
from furiosa_ir.backends.warboy.planning.assigned_views import Views
from furiosa_ir.backends.warboy.planning.geometry import element_bytes
from furiosa_ir.backends.warboy.planning.views import (
    axis_strides,
    position4,
    reshape_strides,
    row_major,
    shape4,
    strides4,
)
from furiosa_ir.dialects.ftensor import arithmetic, movement
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import ints, shape_of


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


class _Builder:
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
            place = Place(outer.buffer, _add(outer.offset, inner))
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


@dataclass(frozen=True, slots=True)
class StorageMap:
    """All buffers, every tensor's place, and the copies in DRAM by kernel number."""

    build: _Builder
    copies: dict[int, CopyPlan]

    @property
    def buffers(self) -> list[Storage]:
        """All buffers so far (a constant gets one when it is first asked for)."""
        return self.build.buffers

    def place(self, value: SSAValue, view: str) -> Place:
        """Where a value lies under a view; only constants may lie under several."""
        if isinstance(value.owner, arithmetic.ConstantOp):
            return self.build.constant_place(value, view)
        return self.build.place(value)

    def allocation(self, buffer: int) -> Allocation:
        """A buffer's place in DRAM."""
        return self.build.allocation(buffer)


def assign_storage(function: FuncOp, views: Views) -> StorageMap:
    """Buffers, places and DRAM allocations of all tensors of a function.

    A copy in DRAM whose target needs no order of its own is an alias of its source; where the
    target's order is given (a result of the function, a concatenation), or no strides make it an
    alias (a reshape of transposed elements), the source's kernel stores straight into it if strides
    can say how.
    """
    build = _Builder(function, views)
    block = build.block
    operations = list(block.ops)
    for op in operations:
        if isinstance(op, movement.ConcatOp):
            for value, index in zip(op.inputs, part_offsets(op), strict=True):
                build.parts[value] = (op.result, index)
    for number, argument in enumerate(block.args):
        build.new(argument, build.dense_allocation(argument, "argument", number))
    for op in operations:
        match op:
            case CopyOp():
                build.new(op.result)
            case KernelOp() | movement.ConcatOp():
                build.place(op.results[0])
            case movement.ReshapeOp() | movement.TransposeOp():
                build.places[op.result] = build.place(op.x)
            case movement.SliceOp():
                outer = build.place(op.x)
                inner = position4(shape_of(op.x), views[op.x], ints(op.starts))
                build.places[op.result] = Place(outer.buffer, _add(outer.offset, inner))
            case _:
                pass
    _bind_results(build)
    kernels = [op for op in operations if isinstance(op, KernelOp)]
    for kernel in kernels:
        for value in kernel.inputs:
            if not isinstance(value.owner, arithmetic.ConstantOp):
                build.place(value)
    copies = _plan_copies(build, kernels)
    return StorageMap(build, copies)


def _add(a: Shape4, b: Shape4) -> Shape4:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


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


def _bind_results(build: _Builder) -> None:
    end = cast("ReturnOp", build.block.last_op)
    for index, value in enumerate(end.operands):
        storage = build.buffers[build.place(value).buffer]
        storage.allocation = build.dense_allocation(value, "result", index)
        storage.stored = True


def _plan_copies(build: _Builder, kernels: Sequence[KernelOp]) -> dict[int, CopyPlan]:
    """The copies in DRAM, by kernel number.

    Where strides cannot say one (a reshape between two transposed views), its target gets an order
    of its own, and all is planned once more.

    Raises:
        CompilationFailure: no order helps.
    """
    before = [(storage.allocation, storage.stored) for storage in build.buffers]
    dense: set[int] = set()
    while True:
        try:
            return _plan_in_order(build, kernels, dense)
        except _NoStrides as failure:
            if failure.target in dense:
                raise
            dense.add(failure.target)
        for storage, (allocation, stored) in zip(build.buffers, before, strict=False):
            storage.allocation, storage.stored = allocation, stored


class _NoStrides(CompilationFailure):
    """A copy that strides cannot say.

    Attributes:
        target: the buffer that it would fill.
    """

    target = -1


def _plan_in_order(
    build: _Builder, kernels: Sequence[KernelOp], dense: Collection[int]
) -> dict[int, CopyPlan]:
    """`_plan_copies` with some buffers that lie in the order of their own shape.

    Raises:
        _NoStrides: there is a copy that strides cannot say.
    """
    copies: dict[int, CopyPlan] = {}
    pending = [(k, op) for k, op in enumerate(kernels) if isinstance(op, CopyOp)]
    readers: dict[int, list[tuple[CopyOp, int]]] = {}
    for _, op in pending:
        for index, value in enumerate(op.inputs):
            readers.setdefault(build.place(value).buffer, []).append((op, index))
    direct = _stored_straight(build, pending, dense)
    for k, op in pending:
        target = build.places[op.result].buffer
        sources = tuple(build.place(v).buffer for v in op.inputs)
        for source in sources:
            build.buffers[source].stored = True
        if build.buffers[target].allocation is None:
            fresh = build.buffers[sources[0]].allocation is None
            if target not in dense and _is_alias(build, op, readers.get(target, ())):
                copies[k] = CopyPlan(sources, target, ())
                continue
            build.allocation(target)
            if fresh and not _is_concat(op):
                # Nothing needs the source in its own order: it may lie in the target's.
                build.buffers[sources[0]].allocation = None
                if _store_straight(build, op, 0):
                    direct.add((k, 0))
        indices = [index for index in range(len(op.inputs)) if (k, index) not in direct]
        for index in indices:
            _settle_order(build, op, index)
        copies[k] = CopyPlan(sources, target, tuple(_move(build, op, i) for i in indices))
    return copies


def _stored_straight(
    build: _Builder, pending: Sequence[tuple[int, CopyOp]], dense: Collection[int]
) -> set[tuple[int, int]]:
    """From the results backwards: the sources that can be stored straight into their targets."""
    direct: set[tuple[int, int]] = set()
    for k, op in reversed(pending):
        target = build.places[op.result].buffer
        if build.buffers[target].allocation is None and not _is_concat(op):
            continue
        for index, value in enumerate(op.inputs):
            if build.place(value).buffer not in dense and _store_straight(build, op, index):
                direct.add((k, index))
    return direct


def _is_alias(build: _Builder, op: CopyOp, readers: Sequence[tuple[CopyOp, int]]) -> bool:
    """Makes the result a view of its source, if strides can say that and what reads it then.

    Else the result may have got the order that one of its readers needs.
    """
    storage = build.buffers[build.places[op.result].buffer]
    # Of the readers, those count whose own targets are allocated.
    bound = [
        r for r in readers if build.buffers[build.places[r[0].result].buffer].allocation is not None
    ]
    storage.allocation = _alias(build, op)
    if storage.allocation is not None:
        if all(_find_move(build, reader, index) is not None for reader, index in bound):
            return True
        storage.allocation = None
    for reader, index in bound:
        _settle_order(build, reader, index)
    return False


def _settle_order(build: _Builder, op: CopyOp, index: int) -> None:
    """Lets a source without an allocation lie in the operand's order, if its own is none to copy.

    A reshape between two transposed views has no strides; its kernel stores transposed then.
    """
    value = op.inputs[index]
    storage = build.buffers[build.place(value).buffer]
    covers = storage.shape == shape4(shape_of(value), build.views[value])
    if storage.allocation is not None or not covers or _find_move(build, op, index) is not None:
        return
    storage.allocation = build.dense_allocation(value, "own", 0)


def _move(build: _Builder, op: CopyOp, index: int) -> Move:
    """One operand's elements to their place in the result.

    Raises:
        CompilationFailure: no one strided copy does it.
    """
    move = _find_move(build, op, index)
    if move is None:
        failure = _NoStrides("a copy that strides cannot express", layer=layer_name(op))
        failure.target = build.places[op.result].buffer
        raise failure
    return move


def _find_move(build: _Builder, op: CopyOp, index: int) -> Move | None:
    """One operand's elements to their place in the result; None if no one strided copy does it."""
    value, shape = op.inputs[index], shape_of(op.inputs[index])
    source = build.place(value).buffer
    begin, strides = value_strides(build, value)
    _, target = value_strides(build, op.result)
    if not _is_concat(op):
        # Along the result's dimensions, read by strides ...
        offset, reads = source_strides(op, begin, strides)
        if reads is not None:
            return Move(source, offset, reads, 0, target, shape_of(op.result))
    # ... or along the operand's dimensions, written by strides.
    offset, writes = _back(op, index, target)
    if writes is None:
        return None
    return Move(source, begin, strides, offset, writes, shape)


def _is_concat(op: CopyOp) -> bool:
    return any(isinstance(inner, movement.ConcatOp) for inner in op.operations)


def _alias(build: _Builder, op: CopyOp) -> Allocation | None:
    """The result as a strided view of the source's allocation, if strides and view fit."""
    if _is_concat(op):
        return None
    source, result = op.inputs[0], op.result
    offset, strides = source_strides(op, *value_strides(build, source))
    if strides is None:
        return None
    folded = strides4(shape_of(result), build.views[result], strides)
    if folded is None:
        return None
    place = build.place(source)
    allocation = build.allocation(place.buffer)
    if allocation.kind == "alias":
        return Allocation("alias", allocation.index, allocation.offset + offset, folded, 0)
    return Allocation("alias", place.buffer, offset, folded, 0)


def value_strides(build: _Builder, value: SSAValue) -> tuple[int, tuple[int, ...]]:
    """(bytes from its buffer's beginning, strides of its axes) of a value as it is allocated."""
    place = build.place(value)
    allocation = build.allocation(place.buffer)
    offset = sum(o * s for o, s in zip(place.offset, allocation.strides, strict=True))
    return offset, axis_strides(shape_of(value), build.views[value], allocation.strides)


def source_strides(
    op: CopyOp, offset: int, strides: tuple[int, ...]
) -> tuple[int, tuple[int, ...] | None]:
    """The result as strides over the operand: (offset, strides); None: they cannot say it."""
    source = shape_of(op.inputs[0])
    shape = shape_of(op.result)
    for inner in op.operations:
        match inner:
            case movement.ReshapeOp():
                return offset, reshape_strides(source, strides, shape)
            case movement.TransposeOp():
                return offset, tuple(strides[p] for p in ints(inner.perm))
            case movement.SliceOp():
                begin = sum(b * s for b, s in zip(ints(inner.starts), strides, strict=True))
                steps = zip(strides, ints(inner.steps), strict=True)
                return offset + begin, tuple(s * n for s, n in steps)
            case movement.BroadcastOp():
                missing = len(shape) - len(source)
                aligned = zip((1,) * missing + source, shape, (0,) * missing + strides, strict=True)
                return offset, tuple(0 if a == 1 and n != 1 else s for a, n, s in aligned)
            case _:
                return offset, None
    return offset, strides


def _store_straight(build: _Builder, op: CopyOp, index: int) -> bool:
    """Allocates a source inside of the target, if strides can say how; whether they can."""
    source = op.inputs[index]
    place = build.place(source)
    storage = build.buffers[place.buffer]
    shape = shape_of(source)
    covers = storage.shape == shape4(shape, build.views[source])
    movable = storage.made or isinstance(source.owner, CopyOp)
    if storage.allocation is not None or not movable or not covers:
        return False
    target = build.places[op.result].buffer
    allocation = build.allocation(target)
    strides = axis_strides(shape_of(op.result), build.views[op.result], allocation.strides)
    offset, back = _back(op, index, strides)
    folded = None if back is None else strides4(shape, build.views[source], back)
    if folded is None:
        return False
    base, outer = (
        (allocation.index, allocation.offset) if allocation.kind == "alias" else (target, 0)
    )
    storage.allocation = Allocation("alias", base, outer + offset, folded, 0)
    return True


def _back(op: CopyOp, index: int, strides: tuple[int, ...]) -> tuple[int, tuple[int, ...] | None]:
    """(offset, strides) of a source's elements in a result with these strides; None: no such."""
    source = shape_of(op.inputs[index])
    for inner in op.operations:
        match inner:
            case movement.ReshapeOp():
                return 0, reshape_strides(shape_of(op.result), strides, source)
            case movement.TransposeOp():
                back = [0] * len(strides)
                for i, p in enumerate(ints(inner.perm)):
                    back[p] = strides[i]
                return 0, tuple(back)
            case movement.ConcatOp():
                begin = part_offsets(inner)[index]
                return sum(b * s for b, s in zip(begin, strides, strict=True)), strides
            case _:
                return 0, None
    return 0, strides
