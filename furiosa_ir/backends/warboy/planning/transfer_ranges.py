"""How long buffers stay in SRAM for transfers: results until they are stored, inputs from early on.

A kernel that writes where a result lies would have to wait for its store, and one that reads an
input for its load: so live ranges last longer than from first use to last, where there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import inf

from furiosa_ir.backends.warboy.dialect.plan import KernelPlan, LiveRange
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.estimate import buffer_cycles
from furiosa_ir.backends.warboy.planning.overlap import are_together, comes_from_outside
from furiosa_ir.backends.warboy.planning.workload import Workload


def while_moved(
    live_ranges: Iterable[LiveRange],
    plans: Mapping[int, KernelPlan],
    used: dict[int, int],
    limit: int,
    workload: Workload,
    machine: Machine,
) -> Iterator[LiveRange]:
    """The live ranges, longer where there is room: results until they are stored, inputs before.

    Args:
        live_ranges: from the first use of each buffer to its last.
        plans: kernel number -> its plan.
        used: kernel number -> bytes of every slice that are taken meanwhile; what ranges take more
            is added.
        limit: bytes of every slice that may be taken.
        workload: kernels and buffers.
        machine: the target.
    """
    for live in _loaded_early(live_ranges, plans, used, limit, workload, machine):
        storage, last = workload.storages[live.buffer], live.last
        is_whole = not live.spilled and live.last == max(storage.writers, default=-1)
        if workload.overlap and storage.stored and is_whole:
            left = buffer_cycles(storage, machine) + machine.dma_latency_cycles
            size = workload.layouts[live.buffer].slice_bytes
            while left > 0 and used.get(last + 1, limit) + size <= limit:
                last += 1
                used[last] += size
                left -= workload.worked(last)
        yield replace(live, last=last)


def _loaded_early(
    live_ranges: Iterable[LiveRange],
    plans: Mapping[int, KernelPlan],
    used: dict[int, int],
    limit: int,
    workload: Workload,
    machine: Machine,
) -> Iterator[LiveRange]:
    """The live ranges, those of inputs from when they are loaded on, while other kernels work."""
    behind: list[float] = []
    ends: dict[int, int] = {}
    for live in sorted(live_ranges, key=lambda live: live.first):
        best = first = live.first
        if workload.overlap and live.filled and comes_from_outside(workload, live.buffer):
            behind = behind or _stores_left(plans, workload, machine)
            size = workload.layouts[live.buffer].slice_bytes
            takes = buffer_cycles(workload.storages[live.buffer], machine)
            takes += machine.dma_latency_cycles
            least, worked = inf, 0.0
            while least > 0 and first > ends.get(live.buffer, -1) + 1:
                first -= 1
                task = workload.tasks.get(first)
                if used.get(first, limit) + size > limit or (
                    task is not None and not are_together(task, workload.tasks[live.first])
                ):
                    break
                worked += workload.worked(first)
                wait = behind[first] + takes - worked
                if wait < min(least, takes):
                    best, least = first, wait
            for k in range(best, live.first):
                used[k] += size
        ends[live.buffer] = live.last
        yield replace(live, first=best)


def _stores_left(
    plans: Mapping[int, KernelPlan], workload: Workload, machine: Machine
) -> list[float]:
    """For each kernel the cycles for which DMA still stores what those before have made."""
    left = 0.0
    found: list[float] = []
    for k in range(len(workload.tasks) + len(workload.copies)):
        found.append(left)
        if k in workload.tasks:
            task = workload.tasks[k]
            storage = workload.storages[task.result.buffer]
            stored = buffer_cycles(storage, machine) if plans[k].store else 0
            left = max(left + stored - workload.worked(k), 0.0)
    return found
