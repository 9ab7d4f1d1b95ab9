"""A group of kernels, made once more for each of its bands of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from xdsl.dialects.builtin import DenseArrayBase, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import GROUP, PART, VIEW, ViewsAttr
from furiosa_ir.backends.warboy.dialect.kernels import (
    CopyOp,
    DotOp,
    KernelOp,
    PoolOp,
    VectorOp,
    YieldOp,
    make_kernel,
)
from furiosa_ir.backends.warboy.dialect.plan import KernelViews
from furiosa_ir.backends.warboy.planning.assigned_views import WRITERS
from furiosa_ir.backends.warboy.planning.bands import (
    Bands,
    NoBands,
    Range,
    Views,
    columns_axis,
    find_bands,
    is_empty,
    reads,
    window_read,
)
from furiosa_ir.backends.warboy.planning.remade import remade_kernel, remade_tensor_op
from furiosa_ir.dialects.ftensor import TensorOp, contraction, movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.ir.value_tracking import note_replaced

LINE = 32
"""Columns that the MAC array takes at once: bands that are wide enough are multiples of it."""


@dataclass(frozen=True)
class Group:
    """Consecutive kernels that work band by band.

    Attributes:
        operations: they and the movement between them, in order.
        outputs: what is read outside of the group.
        before: in front of which operation the bands go.
        late: constants that go there with them.
    """

    operations: tuple[Operation, ...]
    outputs: tuple[SSAValue, ...]
    before: Operation
    late: tuple[ConstantOp, ...]


def group_of(function: FuncOp, kernels: Sequence[KernelOp]) -> Group:
    """The group of some kernels of a function; what stands between them comes behind it.

    Raises:
        NoBands: the group reads what comes behind it then, or movement between its kernels mixes
            what they make with other things.
    """
    operations = list(function.body.block.ops)
    position = {op: index for index, op in enumerate(operations)}
    first, last = position[kernels[0]], position[kernels[-1]]
    between = [op for op in operations[first : last + 1] if not isinstance(op, ConstantOp)]
    inside: dict[Operation, None] = dict.fromkeys(kernels)
    # Backwards: movement is part of the group if the group reads it.
    for op in reversed(between):
        users = [use.operation for use in op.results[0].uses]
        if op not in inside and any(user in inside for user in users):
            if isinstance(op, KernelOp) or any(user not in inside for user in users):
                raise NoBands
            inside[op] = None
    # What reads the group's results and is none of it comes behind the bands.
    made = {op.results[0] for op in inside}
    behind = (op for op in between if op not in inside and not made.isdisjoint(op.operands))
    before = next(behind, operations[last + 1])
    ordered = tuple(sorted(inside, key=position.__getitem__))
    outputs = tuple(
        op.results[0]
        for op in ordered
        if any(use.operation not in inside for use in op.results[0].uses)
    )
    if not outputs:
        raise NoBands  # nobody needs what it makes
    return Group(ordered, outputs, before, tuple(_late(ordered, before, position)))


def _late(
    operations: Sequence[Operation], before: Operation, position: Mapping[Operation, int]
) -> Iterator[ConstantOp]:
    """The constants that a group reads and that stand behind the place where it goes.

    Raises:
        NoBands: it reads something else from there.
    """
    for op in operations:
        for value in op.operands:
            owner = value.owner
            if isinstance(owner, Block) or position[owner] < position[before]:
                continue
            if isinstance(owner, ConstantOp):
                yield owner
            elif owner not in operations:
                raise NoBands


def split_columns(group: Group, views: Views, count: int) -> list[Operation]:
    """Makes a group's results in so many bands of columns, in place.

    Args:
        group: of a function that has views.
        views: all of them.
        count: how many bands.

    Returns:
        The operations that are there instead.

    Raises:
        NoBands: it cannot work so; nothing has changed.
    """
    wide = find_wide_bands(group, views, count)
    bands = wide or find_bands(group.operations, group.outputs, views, count, 1)
    emitter = _Emitter(group, views, bands)
    block = group.before.parent
    assert block is not None
    for constant in dict.fromkeys(group.late):
        constant.detach()
        block.insert_op_before(constant, group.before)
    made = emitter.run()
    for op in reversed(group.operations):
        op.detach()
        op.erase()
    return made


def find_wide_bands(group: Group, views: Views, count: int) -> Bands | None:
    """Bands of whole lines of columns, if they are as wide; there may be fewer then."""
    widths = [shape_of(v)[columns_axis(v, views[v]) or 0] for v in group.outputs]
    if min(widths) < count * LINE:
        return None
    steps = [ceil(ceil(w / count) / LINE) * LINE for w in widths]
    counts = {ceil(w / step) for w, step in zip(widths, steps, strict=True)}
    if len(counts) > 1:
        return None
    try:
        return find_bands(group.operations, group.outputs, views, counts.pop(), LINE)
    except NoBands:
        return None


class _Emitter:
    """Emits a group band by band."""

    def __init__(self, group: Group, views: Views, bands: Bands) -> None:
        self.group = group
        self.views = dict(views)
        self.bands = bands
        self.inside = {op.results[0] for op in group.operations}
        self.made: list[Operation] = []
        self.here: dict[SSAValue, tuple[SSAValue, Range]] = {}
        """What a value is in this band, and of which columns."""
        self.kept: dict[SSAValue, SSAValue] = {}
        """The last columns of the band before."""
        self.part: Attribute | None = None
        """Whose part the kernel is that is emitted."""
        self.pieces: dict[SSAValue, list[SSAValue]] = {value: [] for value in group.outputs}

    def run(self) -> list[Operation]:
        """All bands, and the outputs put together."""
        count = len(self.bands.made[self.group.outputs[0]])
        for band in range(count):
            self.here = {}
            for op in self.group.operations:
                if isinstance(op, KernelOp):
                    self._kernel(op, band, last=band + 1 == count)
                else:
                    self._movement(op, band)
            for value in self.group.outputs:
                if not is_empty(self.bands.made[value][band]):
                    self.pieces[value].append(self._piece(value, band))
        for value, pieces in self.pieces.items():
            whole = self._emit(self._concat(value, pieces))
            note_replaced(value, whole)
            for use in list(value.uses):
                if use.operation not in self.group.operations:
                    use.operation.operands[use.index] = whole
        return self.made

    def _emit(self, op: Operation) -> SSAValue:
        block = self.group.before.parent
        assert block is not None
        block.insert_op_before(op, self.group.before)
        self.made.append(op)
        return op.results[0]

    def _axis(self, value: SSAValue) -> int:
        axis = columns_axis(value, self.views[value])
        assert axis is not None
        return axis

    def _concat(self, like: SSAValue, parts: Sequence[SSAValue]) -> Operation:
        op = movement.ConcatOp.make(
            [list(parts)],
            [element_of(like)],
            location=_location(like),
            axis=self._axis(like),
        )
        op.attributes[VIEW] = StringAttr(self.views[like])
        return op

    def _slice(self, value: SSAValue, like: SSAValue, low: int, high: int) -> SSAValue:
        """Columns of what is there of a value."""
        axis, shape = self._axis(like), shape_of(value)
        starts, ends = [0] * len(shape), [*shape]
        starts[axis], ends[axis] = low, high
        op = movement.SliceOp.make(
            [value], [element_of(like)], location=_location(like), starts=starts, ends=ends
        )
        op.attributes[VIEW] = StringAttr(self.views[like])
        return self._emit(op)

    def _copied(self, value: SSAValue, like: SSAValue) -> SSAValue:
        """A copy by the vector engine."""
        kernel = make_kernel(VectorOp, [value], value, _location(like))
        view = self.views[like]
        kernel.views = ViewsAttr(KernelViews((view,), view))
        known = {} if isinstance(like.owner, Block) else like.owner.attributes
        kernel.attributes |= {name: known[name] for name in (PART, GROUP) if name in known}
        return self._emit(kernel)

    def _columns(self, value: SSAValue, columns: Range, band: int) -> SSAValue:
        """Some columns of a value that the group has made or reads."""
        if value not in self.here:
            self.here[value] = self._from_outside(value, band)
        found, (low, high) = self.here[value]
        if (low, high) == columns:
            return found
        return self._slice(found, value, columns[0] - low, columns[1] - low)

    def _from_outside(self, value: SSAValue, band: int) -> tuple[SSAValue, Range]:
        columns = self.bands.needed[value][band]
        if not isinstance(value, BlockArgument) and not isinstance(value.owner, CopyOp):
            return self._slice(value, value, *columns), columns
        # Of what lies in DRAM each band is a tensor that comes by itself.
        taken = self._slice(value, value, *columns)
        op = taken.owner
        assert isinstance(op, movement.SliceOp)
        copy = make_kernel(CopyOp, [value], taken, op.location)
        if self.part is not None:
            copy.attributes[PART] = self.part
        view = self.views[value]
        copy.views = ViewsAttr(KernelViews((view,), view))
        result = self._emit(copy)
        self.made.remove(op)
        op.detach()
        del op.attributes[VIEW]
        body = copy.body.block
        end = body.last_op
        assert isinstance(end, YieldOp)
        op.operands[0] = body.args[0]
        body.insert_op_before(op, end)
        end.operands[0] = op.result
        return result, columns

    def _kernel(self, kernel: KernelOp, band: int, *, last: bool) -> None:
        value = kernel.result
        made, needed = self.bands.made[value][band], self.bands.needed[value][band]
        if is_empty(needed):
            return
        # In the order of the result: the columns from before come first.
        parts: list[SSAValue] = []
        if needed[0] < made[0]:
            parts.append(self._copied(self.kept[value], value))
        if not is_empty(made):
            parts.append(self._remade(kernel, made, band))
        result = parts[0] if len(parts) == 1 else self._emit(self._concat(value, parts))
        self.here[value] = result, needed
        if not last:
            low, high = self.bands.needed[value][band + 1][0], needed[1]
            if low < high:
                rest = self._slice(result, value, low - needed[0], high - needed[0])
                self.kept[value] = self._copied(rest, value)

    def _remade(self, kernel: KernelOp, made: Range, band: int) -> SSAValue:
        """A kernel that makes some of its columns."""
        operands = list(kernel.inputs)
        self.part = kernel.attributes.get(PART)
        for index, columns in reads(kernel, made):
            operands[index] = self._columns(kernel.inputs[index], columns, band)
        head = kernel.head if isinstance(kernel, DotOp | PoolOp) else None

        def changes(op: TensorOp) -> Mapping[str, Attribute]:
            if op is not head or isinstance(head, contraction.MatMulOp):
                return {}
            assert isinstance(head, contraction.ConvOp | contraction.ReduceWindowOp)
            top, _, bottom, _ = ints(head.pads)
            left, right = window_read(head, made).pads
            return {"pads": as_attribute([top, left, bottom, right])}

        return self._emit(remade_kernel(kernel, operands, changes))

    def _movement(self, op: Operation, band: int) -> None:
        assert isinstance(op, TensorOp)
        result = op.results[0]
        columns = self.bands.needed[result][band]
        if is_empty(columns):
            return
        operands = [self._columns(value, columns, band) for value in op.operands]
        if isinstance(op, movement.ConcatOp):
            assert all(isinstance(v.owner, WRITERS) for v in operands), "parts have its columns"
        axis, width = self._axis(result), columns[1] - columns[0]

        def changes(each: TensorOp) -> Mapping[str, Attribute]:
            match each:
                case movement.ReshapeOp():
                    return {"shape": _with_extent(each.shape, axis, width)}
                case movement.SliceOp():
                    return {"ends": _with_extent(each.ends, axis, width)}
                case _:
                    return {}

        self.here[result] = self._emit(remade_tensor_op(op, operands, changes)), columns

    def _piece(self, value: SSAValue, band: int) -> SSAValue:
        """What a band adds to an output: a kernel writes it there."""
        made = self.bands.made[value][band]
        piece = self._columns(value, made, band)
        is_part = any(isinstance(use.operation, movement.ConcatOp) for use in piece.uses)
        if isinstance(piece.owner, WRITERS) and not is_part:
            return piece
        return self._copied(piece, value)


def _with_extent(extents: DenseArrayBase, axis: int, extent: int) -> Attribute:
    changed = [*ints(extents)]
    changed[axis] = extent
    return as_attribute(changed)


def _location(value: SSAValue):
    owner = value.owner
    if isinstance(owner, Operation):
        return owner.location
    user = next(iter(value.uses)).operation
    return user.location
