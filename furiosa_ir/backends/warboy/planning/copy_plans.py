"""How a copy in DRAM is carried out: as an alias, by the kernel that writes its source, by moves.

Where strides can say it, nothing moves: the result is an alias of the source's allocation, or the
source's kernel stores straight into the result's. What is left is one strided copy an operand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import Allocation, CopyPlan, Move
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import StorageBuilder, part_offsets
from furiosa_ir.backends.warboy.planning.dram_runs import in_runs, pays
from furiosa_ir.backends.warboy.planning.views import (
    AxisRuns,
    axis_strides,
    folded_runs,
    reshape_runs,
    reshape_strides,
    shape4,
    strides4,
)
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import ints, shape_of


def plan_copies(
    build: StorageBuilder, kernels: Sequence[KernelOp], machine: Machine
) -> dict[int, CopyPlan]:
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
            return _plan_in_order(build, kernels, dense, machine)
        except _NoStrides as failure:
            if failure.target in dense:
                raise
            dense.add(failure.target)
        for storage, (allocation, stored) in zip(build.buffers, before, strict=False):
            storage.allocation, storage.stored = allocation, stored


Readers = Mapping[int, list[tuple[CopyOp, int]]]
"""Buffer -> the copies that read it, and as which operand."""


class _NoStrides(CompilationFailure):
    """A copy that strides cannot say.

    Attributes:
        target: the buffer that it would fill.
    """

    target = -1


def _plan_in_order(
    build: StorageBuilder, kernels: Sequence[KernelOp], dense: Collection[int], machine: Machine
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
    direct = _stored_straight(build, pending, readers, dense, machine)
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
                if _store_straight(build, op, 0, readers, machine):
                    direct.add((k, 0))
        indices = [index for index in range(len(op.inputs)) if (k, index) not in direct]
        for index in indices:
            _settle_order(build, op, index)
        copies[k] = CopyPlan(sources, target, tuple(_move(build, op, i) for i in indices))
    return copies


def _stored_straight(
    build: StorageBuilder,
    pending: Sequence[tuple[int, CopyOp]],
    readers: Readers,
    dense: Collection[int],
    machine: Machine,
) -> set[tuple[int, int]]:
    """From the results backwards: the sources that can be stored straight into their targets."""
    direct: set[tuple[int, int]] = set()
    for k, op in reversed(pending):
        target = build.places[op.result].buffer
        if build.buffers[target].allocation is None and not _is_concat(op):
            continue
        for index, value in enumerate(op.inputs):
            source = build.place(value).buffer
            if source not in dense and _store_straight(build, op, index, readers, machine):
                direct.add((k, index))
    return direct


def _is_alias(build: StorageBuilder, op: CopyOp, readers: Sequence[tuple[CopyOp, int]]) -> bool:
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


def _settle_order(build: StorageBuilder, op: CopyOp, index: int) -> None:
    """Lets a source without an allocation lie in the operand's order, if its own is none to copy.

    A reshape between two transposed views has no strides; its kernel stores transposed then.
    """
    value = op.inputs[index]
    storage = build.buffers[build.place(value).buffer]
    covers = storage.shape == shape4(shape_of(value), build.views[value])
    if storage.allocation is not None or not covers or _find_move(build, op, index) is not None:
        return
    storage.allocation = build.dense_allocation(value, "own", 0)


def _move(build: StorageBuilder, op: CopyOp, index: int) -> Move:
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


def _find_move(build: StorageBuilder, op: CopyOp, index: int) -> Move | None:
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


def _alias(build: StorageBuilder, op: CopyOp) -> Allocation | None:
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


def value_strides(build: StorageBuilder, value: SSAValue) -> tuple[int, tuple[int, ...]]:
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


def _store_straight(
    build: StorageBuilder, op: CopyOp, index: int, readers: Readers, machine: Machine
) -> bool:
    """Allocates a source inside of the target, if strides can say how; whether they can.

    Or runs can: of what a kernel makes and no other copy reads, where that is the faster way.
    """
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
    offset, back = _back_runs(op, index, strides)
    said = None if back is None else in_runs(folded_runs(build.views[source], back))
    if said is None:
        return False
    base, outer = (
        (allocation.index, allocation.offset) if allocation.kind == "alias" else (target, 0)
    )
    inside = Allocation("alias", base, outer + offset, said[0], 0, said[1])
    if inside.runs:
        copied_once = len(readers.get(place.buffer, ())) == 1
        if not storage.made or not copied_once:
            return False
        if not pays(inside, storage.shape, storage.element, machine):
            return False
    storage.allocation = inside
    return True


def _back(op: CopyOp, index: int, strides: tuple[int, ...]) -> tuple[int, tuple[int, ...] | None]:
    """(offset, strides) of a source's elements in a result with these strides; None: no such."""
    offset, axes = _back_runs(op, index, strides)
    if axes is None or max(map(len, axes), default=0) > 1:
        return offset, None
    return offset, tuple(runs[0][1] if runs else 0 for runs in axes)


def _back_runs(
    op: CopyOp, index: int, strides: tuple[int, ...]
) -> tuple[int, Sequence[AxisRuns] | None]:
    """(offset, runs along each axis) of a source's elements in a result with these strides.

    None: there are no such runs.
    """
    source = shape_of(op.inputs[index])
    offset, back = 0, strides
    for inner in op.operations:
        match inner:
            case movement.ReshapeOp():
                return 0, reshape_runs(shape_of(op.result), strides, source)
            case movement.TransposeOp():
                moved = [0] * len(strides)
                for i, p in enumerate(ints(inner.perm)):
                    moved[p] = strides[i]
                back = tuple(moved)
            case movement.ConcatOp():
                begin = part_offsets(inner)[index]
                offset = sum(b * s for b, s in zip(begin, strides, strict=True))
            case _:
                return 0, None
        break
    return offset, [((extent, stride),) for extent, stride in zip(source, back, strict=True)]
