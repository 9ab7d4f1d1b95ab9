"""Which columns of which tensors a band of a group of kernels reads, makes and keeps.

A group of consecutive kernels may make its results band by band: columns 0..w of all of them, then
w..2w, and so on, so that what only passes from kernel to kernel is never there as a whole. Columns
(W) are what bands are of, because slices share height and channels: a band leaves none of them
without work. What a window reads beyond its band's columns (its halo) is not computed again: the
last columns of a band are kept for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.ir import Operation, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import VIEW
from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, CopyOp, DotOp, KernelOp, PoolOp
from furiosa_ir.backends.warboy.dialect.vector_operations import axes_of
from furiosa_ir.backends.warboy.planning.kernel_views import is_batched, is_constant
from furiosa_ir.dialects.ftensor import contraction, movement
from furiosa_ir.ir.shaped_operation import ints, shape_of

Range = tuple[int, int]
"""Columns from the first to before the second."""

Views = Mapping[SSAValue, str]
"""Each tensor's view."""


class NoBands(Exception):
    """A group of kernels that cannot work band by band."""


def columns_axis(value: SSAValue, view: str) -> int | None:
    """The axis of a tensor that is its columns; None: there is only one column.

    Raises:
        NoBands: several axes are, folded into one.
    """
    long = [i for i, n in enumerate(shape_of(value)) if n != 1 and view[i] == "W"]
    if len(long) > 1:
        raise NoBands
    return long[0] if long else None


@dataclass(frozen=True, slots=True)
class WindowRead:
    """What of x the columns of a convolution or a pool read.

    Attributes:
        columns: of x.
        pads: columns of padding before and behind.
    """

    columns: Range
    pads: tuple[int, int]


def window_read(head: contraction.ConvOp | contraction.ReduceWindowOp, made: Range) -> WindowRead:
    """What of x some columns of the result read.

    Raises:
        NoBands: some of them read nothing but padding, or zeros stand between columns.
    """
    at = head.layout.data.index("W")
    extent = shape_of(head.x)[at]
    if isinstance(head, contraction.ConvOp):
        if ints(head.input_dilation) != (1, 1):
            raise NoBands
        kernel = shape_of(head.weight)[2]
    else:
        kernel = ints(head.window)[1]
    stride, dilation, before = ints(head.strides)[1], ints(head.dilations)[1], ints(head.pads)[1]
    low = made[0] * stride - before
    high = (made[1] - 1) * stride - before + (kernel - 1) * dilation + 1
    first, end = max(low, 0), min(high, extent)
    if first >= end:
        raise NoBands
    return WindowRead((first, end), (first - low, high - end))


def is_empty(columns: Range) -> bool:
    """Whether there are none."""
    return columns[0] >= columns[1]


@dataclass
class Bands:
    """The columns of each tensor that each band needs and makes.

    Attributes:
        needed: tensor of the group, or one that it reads by bands -> for each band the columns
            that are there while the band works.
        made: tensor of the group -> for each band the columns that it adds to those before.
    """

    needed: dict[SSAValue, list[Range]] = field(default_factory=dict[SSAValue, "list[Range]"])
    made: dict[SSAValue, list[Range]] = field(default_factory=dict[SSAValue, "list[Range]"])


def check_kernel(kernel: KernelOp, views: Views) -> None:
    """Checks that a kernel can make its columns one after the other.

    Raises:
        NoBands: it cannot.
    """
    axis = columns_axis(kernel.result, views[kernel.result])
    if axis is None or isinstance(kernel, CopyOp) or is_batched(kernel):
        raise NoBands
    rank = len(shape_of(kernel.result))
    head = kernel.head if isinstance(kernel, DotOp | PoolOp) else None
    if isinstance(head, contraction.MatMulOp) and axis == rank - 1:
        raise NoBands
    for op in kernel.operations[head is not None :]:
        along = axes_of(op)
        missing = rank - len(shape_of(op.results[0]))
        if along is not None and axis in {each + missing for each in along[1]}:
            raise NoBands
    for index, value in enumerate(kernel.inputs):
        if is_constant(value) and (head is None or index >= len(head.operands)):
            aligned = axis - rank + len(shape_of(value))
            if aligned >= 0 and shape_of(value)[aligned] != 1 and not _is_table(kernel, index):
                raise NoBands


def _is_table(kernel: KernelOp, index: int) -> bool:
    return kernel.kernel_views.operands[index] is None


def reads(kernel: KernelOp, made: Range) -> Iterator[tuple[int, Range]]:
    """The operands that a kernel reads by columns, and the columns that it reads for some made.

    Raises:
        NoBands: some of these read nothing but padding.
    """
    head = kernel.head if isinstance(kernel, DotOp | PoolOp) else None
    for index, (value, view) in enumerate(
        zip(kernel.inputs, kernel.kernel_views.operands, strict=True)
    ):
        if view is None or is_constant(value) or columns_axis(value, view) is None:
            continue
        if index == 0 and isinstance(head, contraction.ConvOp | contraction.ReduceWindowOp):
            yield index, window_read(head, made).columns
        else:
            yield index, made


def find_bands(
    operations: Sequence[Operation],
    outputs: Sequence[SSAValue],
    views: Views,
    count: int,
    unit: int,
) -> Bands:
    """The columns of each band.

    Args:
        operations: the group's kernels and the movement between them, in order.
        outputs: what is read outside of the group.
        views: of all tensors.
        count: how many bands.
        unit: bands of the outputs are multiples of so many columns, the last one aside.

    Raises:
        NoBands: something cannot be split.
    """
    results: list[SSAValue] = [op.results[0] for op in operations]
    for op in operations:
        if isinstance(op, KernelOp):
            check_kernel(op, views)
        else:
            _check_movement(op, views)
            if isinstance(op, movement.ConcatOp) and any(v not in results for v in op.operands):
                raise NoBands
    ends = {value: [0] * count for value in results}
    for value in outputs:
        axis = columns_axis(value, views[value])
        if axis is None:
            raise NoBands
        whole = shape_of(value)[axis]
        step = -(-whole // count)
        step = -(-step // unit) * unit
        ends[value] = [min(step * (band + 1), whole) for band in range(count)]

    def widen_ends(value: SSAValue, band: int, end: int) -> None:
        if value in ends:
            ends[value][band] = max(ends[value][band], end)

    _settle(operations, ends, lambda op, band: _ends_of(op, band, ends, widen_ends), count)
    bands = Bands()
    for value in results:
        starts = [0, *ends[value][:-1]]
        bands.made[value] = list(zip(starts, ends[value], strict=True))
        bands.needed[value] = list(bands.made[value])

    def widen(value: SSAValue, band: int, columns: Range) -> None:
        known = bands.needed.get(value)
        if known is None:
            known = bands.needed[value] = [(1 << 30, 0)] * count
        low, high = known[band]
        known[band] = (min(low, columns[0]), max(high, columns[1]))

    _settle(
        operations, bands.needed, lambda op, band: _needs_of(op, band, bands, views, widen), count
    )
    for known in bands.needed.values():
        # What a band needs of those before, the bands between keep.
        for band in range(count - 1, 0, -1):
            low, high = known[band - 1]
            known[band - 1] = (min(low, known[band][0]), high)
    return bands


def _settle(
    operations: Sequence[Operation],
    state: Mapping[SSAValue, Sequence[object]],
    visit: Callable[[Operation, int], None],
    count: int,
) -> None:
    """Visits all operations backwards until nothing changes: parts of a concatenation are alike."""
    while True:
        before = {value: list(known) for value, known in state.items()}
        for op in reversed(operations):
            for band in range(count):
                visit(op, band)
        if before == {value: list(known) for value, known in state.items()}:
            return


def _ends_of(
    op: Operation,
    band: int,
    ends: Mapping[SSAValue, list[int]],
    widen: Callable[[SSAValue, int, int], None],
) -> None:
    result = op.results[0]
    end = ends[result][band]
    if not end:
        return
    if isinstance(op, KernelOp):
        for index, columns in reads(op, (end - 1, end)):
            widen(op.inputs[index], band, columns[1])
        return
    for value in op.operands:
        widen(value, band, end)
        if isinstance(op, movement.ConcatOp) and value in ends:
            widen(result, band, ends[value][band])


def _needs_of(
    op: Operation,
    band: int,
    bands: Bands,
    views: Views,
    widen: Callable[[SSAValue, int, Range], None],
) -> None:
    result = op.results[0]
    if isinstance(op, KernelOp):
        if not is_empty(bands.made[result][band]):
            for index, columns in reads(op, bands.made[result][band]):
                widen(op.inputs[index], band, columns)
        return
    if is_empty(bands.needed[result][band]):
        return
    for value in op.operands:
        if columns_axis(value, views[value]) is not None:
            widen(value, band, bands.needed[result][band])
        if isinstance(op, movement.ConcatOp):
            widen(result, band, bands.needed[value][band])


def _check_movement(op: Operation, views: Views) -> None:
    """Checks that a movement between kernels leaves columns what they are.

    Raises:
        NoBands: it does not.
    """
    if not isinstance(op, MOVEMENT) or VIEW not in op.attributes:
        raise NoBands
    result = op.results[0]
    axis = columns_axis(result, views[result])
    if axis is None or any(columns_axis(v, views[v]) is None for v in op.operands):
        raise NoBands
    match op:
        case movement.ConcatOp() if op.axis.value.data != axis:
            return
        case movement.SliceOp() if shape_of(op.x)[axis] == shape_of(result)[axis]:
            return
        case movement.ReshapeOp() | movement.TransposeOp():
            return
        case _:
            raise NoBands
