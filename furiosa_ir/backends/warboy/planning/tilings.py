"""The ways to carry out one kernel: what makes way, what is loaded, how its loops are split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from furiosa_ir.backends.warboy.dialect.plan import Shape4
from furiosa_ir.backends.warboy.planning.estimate import buffer_cycles, split_work
from furiosa_ir.backends.warboy.planning.in_place import in_place_operand
from furiosa_ir.backends.warboy.planning.overlap import (
    column_tiles,
    first_load,
    hidden_before,
    hidden_behind,
    is_large_output,
    large_input,
)
from furiosa_ir.backends.warboy.planning.sweep import Sweep, must_store
from furiosa_ir.backends.warboy.planning.tiles import (
    Split,
    Task,
    make_split,
    steps,
    tile_candidates,
)
from furiosa_ir.backends.warboy.planning.workload import Workload

OUTPUT_PARTS = 8
"""Steps of a kernel whose result is only stored, if nothing else hides that."""

MAX_TILINGS = 32
"""Tilings of one kernel that are compared."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """One way to carry out a kernel: what is in SRAM meanwhile, and how its loops are split.

    Attributes:
        evicted: buffers that make way.
        fill: operands that are loaded whole.
        keeps_result: the result's buffer lies in SRAM.
        split: the tiles.
    """

    evicted: Sequence[int]
    fill: frozenset[int]
    keeps_result: bool
    split: Split


def best_tiling(sweep: Sweep, task: Task, evictable: Sequence[int]) -> Tiling | None:
    """The cheapest tiling that fits; everything in SRAM in one step needs no comparison."""
    found: list[Tiling] = []
    overlaps = may_overlap(sweep.workload, task)
    for tiling in _tilings(sweep, task, evictable):
        whole = tiling.keeps_result and tiling.split.tile == task.geometry.result
        if whole and not tiling.evicted and not overlaps:
            return tiling
        found.append(tiling)
        if len(found) >= MAX_TILINGS:
            break
    return min(found, key=lambda tiling: _tiling_cycles(sweep, task, tiling), default=None)


def may_overlap(workload: Workload, task: Task) -> bool:
    """Whether several steps may be worth it though one would fit, to hide a load or a store."""
    return is_large_output(workload, task) or large_input(workload, task) is not None


def _tiling_cycles(sweep: Sweep, task: Task, tiling: Tiling) -> float:
    workload, machine, split = sweep.workload, sweep.machine, tiling.split
    layouts, storages = workload.layouts, workload.storages
    last = not storages[task.result.buffer].readers
    npu, dma = split_work(task, split, layouts, storages, machine, last=last)
    if last and tiling.keeps_result:
        dma = max(dma - hidden_behind(workload, task, sweep.pins, machine), 0.0)
    loads = sum(buffer_cycles(storages[b], machine) for b in tiling.fill)
    loads = max(loads - hidden_before(workload, task), 0.0)
    first = loads * first_load(task, workload, split.tile, machine)
    # What a step waits for overlaps with the other steps.
    together = (npu, dma, loads - first)
    longest = max(together)
    cycles = first + longest + (sum(together) - longest) / steps(task.geometry, split.tile)
    for buffer in tiling.evicted:
        moves = 2 if must_store(sweep, buffer, task.number) else 1
        cycles += moves * buffer_cycles(storages[buffer], machine)
    return cycles


def _tilings(sweep: Sweep, task: Task, evictable: Sequence[int]) -> Iterator[Tiling]:
    """Tilings that fit: for each choice of what stays in SRAM the largest tile of each family."""
    workload, result = sweep.workload, task.result.buffer
    outside = [b for b in evictable if b not in task.reads and b != result]
    may_stay = _may_stay(sweep, task)
    by_channel, by_row = tile_candidates(task.geometry)
    if may_stay:
        for count in range(len(outside) + 1):
            gone = frozenset(outside[:count])
            fill = _fillable(sweep, task, gone)
            split = None if fill is None else _try(sweep, task, gone, fill, True, by_channel[:1], 1)
            if fill is not None and split is not None:
                yield Tiling(outside[:count], fill, True, split)
                if not may_overlap(workload, task):
                    break
                for tile in column_tiles(task, workload, sweep.machine):
                    split = _try(sweep, task, gone, fill, True, [tile], 1)
                    if split is not None:
                        yield Tiling(outside[:count], fill, True, split)
                if not is_large_output(workload, task):
                    return
                # Storing one part while the next is made: worth several steps.
                parts = [t for t in by_row if steps(task.geometry, t) >= OUTPUT_PARTS][:1]
                split = _try(sweep, task, gone, fill, False, parts, 2)
                if split is not None:
                    yield Tiling(outside[:count], fill, False, split)
                return
    none = frozenset[int]()
    for slots in (2, 1):
        fitting = False
        for count in range(len(evictable) + 1):
            gone = frozenset(evictable[:count])
            fill = _fillable(sweep, task, gone & task.reads) or none
            kept = may_stay and result not in gone
            for chosen, keeps_result in dict.fromkeys(
                [(fill, kept), (fill, False), (none, kept), (none, False)]
            ):
                for tiles in (by_channel, by_row):
                    split = _try(sweep, task, gone, chosen, keeps_result, tiles, slots)
                    if split is not None:
                        fitting = True
                        yield Tiling(evictable[:count], chosen, keeps_result, split)
        if fitting:
            return


def _may_stay(sweep: Sweep, task: Task) -> bool:
    """Whether the result's buffer may lie in SRAM: it does already, or this is its first part."""
    buffer = task.result.buffer
    if buffer in sweep.resident:
        return True
    first = min(sweep.workload.storages[buffer].writers)
    return first == task.number and buffer not in sweep.in_dram


def _fillable(sweep: Sweep, task: Task, gone: frozenset[int]) -> frozenset[int] | None:
    """The operands that would have to be loaded whole; None if one is still incomplete."""
    missing = frozenset(b for b in task.reads if b not in sweep.resident or b in gone)
    for buffer in missing:
        writers = sweep.workload.storages[buffer].writers
        if writers and max(writers) >= task.number:
            return None
    return missing - gone


def _try(
    sweep: Sweep,
    task: Task,
    gone: frozenset[int],
    fill: frozenset[int],
    keeps_result: bool,
    tiles: Sequence[Shape4],
    slots: int,
) -> Split | None:
    """The split with the first of these tiles with which everything fits."""
    layouts = sweep.workload.layouts
    resident = (frozenset(sweep.resident) - gone) | fill
    result = task.result.buffer
    if keeps_result:
        resident |= {result}
    elif result in resident:
        return None
    room = sweep.capacity - sum(layouts[b].slice_bytes for b in resident)
    spared, in_place = _spared(sweep, task, resident) if keeps_result else (0, None)
    if room + spared <= 0:
        return None
    for tile in tiles:
        pinned = task.number in sweep.pins
        split = make_split(task, tile, resident, sweep.machine, slots=slots, pinned=pinned)
        needed = split.parameter_bytes + split.stage_bytes
        if needed <= room:
            return split
        if needed <= room + spared:
            return replace(split, in_place=in_place)
    return None


def _spared(sweep: Sweep, task: Task, resident: frozenset[int]) -> tuple[int, int | None]:
    """(bytes of a slice that are not needed if the result takes an operand's place, which one)."""
    if task.number in sweep.workload.pairs:
        return 0, None  # it lies on the other PE than what it would take the place of
    number = in_place_operand(task, sweep.workload.storages, sweep.workload.layouts)
    binding = None if number is None else task.operands[number]
    if binding is None or binding.buffer not in resident or binding.buffer in sweep.owed:
        return 0, None
    return sweep.workload.layouts[binding.buffer].slice_bytes, number
