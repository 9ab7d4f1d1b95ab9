"""What a program's first loads and last stores take that no other kernel's work hides.

A network's input is loaded before its first kernel, a large output stored behind its last: the NPU
waits, unless the kernel itself works in several steps, with the next part of the input on its way,
or the part before of the output. Such parts are columns: rows lie in different slices, and so all
slices work on every column. Behind most outputs other kernels follow, which hide a store as well,
and without the steps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import prod

from furiosa_ir.backends.warboy.command_cost import dma_cost
from furiosa_ir.backends.warboy.dialect.attributes import GROUP
from furiosa_ir.backends.warboy.dialect.plan import Shape4
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.estimate import buffer_cycles, window_traffic
from furiosa_ir.backends.warboy.planning.geometry import Geometry, reading, tile_ranges
from furiosa_ir.backends.warboy.planning.tiles import Task
from furiosa_ir.backends.warboy.planning.workload import Workload

LARGE_OUTPUT = 1 << 16
"""Bytes from which on storing a result takes some microseconds."""

LARGE_INPUT = 1 << 13
"""Bytes from which on loading an input takes longer than another step's start."""

PARTS = (2, 3, 4, 6, 8)
"""Steps that a kernel may do its columns in."""

WASTE = 16
"""Parts of rows take whole bursts of DRAM: no more than a sixteenth of traffic more than whole."""


def is_large_output(workload: Workload, task: Task) -> bool:
    """Whether the result is only stored, and that takes so long that it should overlap."""
    storage = workload.storages[task.result.buffer]
    alone = not storage.readers and storage.writers == [task.number]
    return alone and _bytes(storage) >= LARGE_OUTPUT


def large_input(workload: Workload, task: Task) -> int | None:
    """The buffer of what a kernel reads first, if only that kernel does, and it comes from outside.

    None if it is small, or not read as it lies there.
    """
    first, geometry = task.operands[0], task.geometry
    if not workload.overlap or first is None:
        return None
    if geometry.kind == "batched" or 1 in geometry.whole:
        return None
    storage = workload.storages[first.buffer]
    outside = comes_from_outside(workload, first.buffer)
    alone = storage.readers == [task.number] and first.extent == storage.shape
    return first.buffer if outside and alone and _bytes(storage) >= LARGE_INPUT else None


def comes_from_outside(workload: Workload, buffer: int) -> bool:
    """Whether a buffer is an argument, or a part of one, so that it is there from the start."""
    allocation = workload.storages[buffer].allocation
    if allocation is not None and allocation.kind == "alias":
        allocation = workload.storages[allocation.index].allocation
    return allocation is not None and allocation.kind == "argument"


def column_tiles(task: Task, workload: Workload, machine: Machine) -> Iterator[Shape4]:
    """Tiles of some columns each, or of one image: few first.

    Columns in whole lines of the MAC array's width, so that a step fills it as all at once do, and
    so that each step writes lines of SRAM of its own.
    """
    geometry, storage = task.geometry, workload.storages[task.result.buffer]
    n, h, width, c = geometry.result
    known = {(n, width)}
    if _COLUMNS in geometry.whole or not workload.overlap:
        return
    for images in (n, 1):
        for parts in PARTS if images == n or 0 not in geometry.whole else ():
            lines = -(-width // machine.mac_width)
            columns = min(-(-lines // parts) * machine.mac_width, width)
            tile = (images, h, columns, c)
            if (images, columns) in known:
                continue
            known.add((images, columns))
            if not storage.readers:
                limit = window_traffic(storage, geometry.result, machine)
                stored = sum(window_traffic(storage, e, machine) for _, e in _steps(geometry, tile))
                if stored > limit + limit // WASTE:
                    continue
            if _all_read(geometry, tile):
                yield tile


def first_load(task: Task, workload: Workload, tile: Shape4, machine: Machine) -> float:
    """The share of a large input that the first step of a tile waits for; 1: for all of it.

    As `commands.kernel_steps.KernelSteps.fill_parts` loads it.
    """
    whole, buffer = task.geometry.result, large_input(workload, task)
    if buffer is None or tile == whole or (tile[1], tile[3]) != (whole[1], whole[3]):
        return 1.0
    images, _, width, _ = workload.storages[buffer].shape
    window = reading(task.geometry, (0, 0, 0, 0), tile).windows[0]
    assert window is not None
    (_, _, left, _), (some, _, columns, _) = window
    line = machine.line_bytes
    return some / images * min(-(-(left + columns) // line) * line, width) / width


def hidden_before(workload: Workload, task: Task) -> float:
    """Cycles that the NPU works before a kernel: so long may loads for it take."""
    return float(
        sum(
            workload.worked(k)
            for k in workload.cycles
            if k < task.number and are_together(workload.tasks[k], task)
        )
    )


def hidden_behind(workload: Workload, task: Task, pins: Collection[int], machine: Machine) -> float:
    """Cycles that the NPU works behind a kernel while DMA is free for that kernel's stores."""
    total = 0.0
    for k in workload.cycles if workload.overlap else ():
        if k > task.number and are_together(workload.tasks[k], task):
            later, cycles = workload.tasks[k], workload.worked(k)
            busy = 0.0
            if k not in pins:
                parameters = [p for p in later.geometry.parameters if p is not None]
                busy += sum(dma_cost(p.size, machine).occupancy for p in parameters)
            if not workload.storages[later.result.buffer].readers:
                busy += buffer_cycles(workload.storages[later.result.buffer], machine)
            total += max(cycles - busy, 0.0)
    return total


def are_together(some: Task, other: Task) -> bool:
    """Whether one kernel's work may hide what the other moves: that of another group may not."""
    groups = {task.op.attributes.get(GROUP) for task in (some, other)}
    return len(groups - {None}) < 2


def first_together(workload: Workload, task: Task) -> int:
    """The first kernel whose work may hide loads for one; what it reads itself comes before."""
    group = task.op.attributes.get(GROUP)
    if group is None:
        return min(workload.tasks)
    return min(k for k, each in workload.tasks.items() if each.op.attributes.get(GROUP) == group)


_COLUMNS = 2
"""The dimension W of (N, H, W, C)."""


def _bytes(storage: Storage) -> int:
    return prod(storage.shape) * storage.element


def _steps(geometry: Geometry, tile: Shape4) -> Iterator[tuple[Shape4, Shape4]]:
    """(offset, extent) of each step of a tile of columns."""
    n, h, width, c = geometry.result
    for image, images in tile_ranges(n, tile[0]):
        for low, columns in tile_ranges(width, tile[_COLUMNS]):
            yield (image, 0, low, 0), (images, h, columns, c)


def _all_read(geometry: Geometry, tile: Shape4) -> bool:
    """Whether every step reads some columns: none lies in the padding altogether."""
    if geometry.window is None or geometry.window.input_dilation[1] > 1:
        return True
    return all(min(reading(geometry, *at).pads) >= 0 for at in _steps(geometry, tile))
