"""What lies in SRAM when: a sweep over the kernels that keeps buffers resident while they fit.

A kernel's operands and result lie whole in SRAM if there is room: its parameters then come in
blocks of channels. If there is none, buffers that the kernel does not need make way, the one whose
next use is furthest first (it is stored, if DRAM has not got it). What still does not fit stays in
DRAM and passes through SRAM by tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from furiosa_ir.backends.warboy.dialect.plan import (
    KernelPlan,
    LiveRange,
    OperandBinding,
    ParameterBinding,
    Stage,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.estimate import window_traffic
from furiosa_ir.backends.warboy.planning.limits import NONE, LeastCycles, Limits
from furiosa_ir.backends.warboy.planning.overlap import (
    first_together,
)
from furiosa_ir.backends.warboy.planning.remarks import PlanRemarks
from furiosa_ir.backends.warboy.planning.sweep import (
    NEVER,
    OpenRange,
    Sweep,
    is_used_again,
    last_use,
    must_store,
    next_use,
)
from furiosa_ir.backends.warboy.planning.tiles import (
    Split,
    Task,
)
from furiosa_ir.backends.warboy.planning.tilings import Tiling, best_tiling, may_overlap
from furiosa_ir.backends.warboy.planning.transfer_ranges import while_moved
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.remarks import analysis, described, heard, held_remarks, missed, passed, say_all

MAX_PREFETCH = 16
"""How many kernels ahead parameters are loaded at most."""

PREFETCH_SHARE = 3
"""Quarters of SRAM that prefetched parameters may fill."""

SCATTERED = 1.25
"""Times the traffic of a result as a whole: parts that take more are not stored one by one."""


@dataclass(frozen=True, slots=True)
class SramPlan:
    """The planner's result.

    Attributes:
        kernels: kernel number -> its plan.
        live_ranges: of buffers in SRAM.
    """

    kernels: dict[int, KernelPlan]
    live_ranges: tuple[LiveRange, ...]


class _Retry(Exception):
    """A buffer that is written in parts has to stay in DRAM from the start."""

    def __init__(self, buffer: int) -> None:
        super().__init__()
        self.buffer = buffer


def plan_live_ranges(
    workload: Workload,
    machine: Machine,
    capacity: int,
    pins: frozenset[int],
    limits: Limits = NONE,
) -> SramPlan:
    """Decides live ranges and tilings.

    Args:
        workload: kernels and buffers.
        machine: the target.
        capacity: bytes of every slice to plan with (less than there are, if addresses turned out
            not to fit), without those of pinned parameters.
        pins: kernels whose parameters are pinned.
        limits: what the plan has to keep to.

    Raises:
        CompilationFailure: a kernel does not fit even in the smallest steps, or the plan does not
            keep to the limits.
    """
    in_dram: frozenset[int] = frozenset()
    while True:
        least = LeastCycles(limits, workload, machine)
        sweep = Sweep(workload, machine, capacity, pins, in_dram, least)
        try:
            with held_remarks() as held:
                plan = _run(sweep)
        except _Retry as retry:
            in_dram |= {retry.buffer}
        else:
            say_all(held)
            return plan


def _run(sweep: Sweep) -> SramPlan:
    workload = sweep.workload
    sweep.valid = {b for b, s in enumerate(workload.storages) if not s.made}
    for k in sorted({*workload.tasks, *workload.copies}):
        # What the first of a pair reads, it may still read while the second writes.
        _release(sweep, workload.pairs.get(k, k))
        if k in workload.tasks:
            _place(sweep, workload.tasks[k])
        else:
            sweep.used[k] = sum(workload.layouts[b].slice_bytes for b in sweep.resident)
    _release(sweep, NEVER)
    limit = sweep.capacity * PREFETCH_SHARE // 4
    moved = while_moved(sweep.live_ranges, sweep.plans, sweep.used, limit, workload, sweep.machine)
    return SramPlan(sweep.plans, tuple(moved))


def _release(sweep: Sweep, k: int) -> None:
    """Ends the live ranges of buffers that nothing reads any more."""
    for buffer in [b for b in sweep.resident if last_use(sweep.workload.storages[b]) < k]:
        _end(sweep, buffer, k, spilled=False)


def _end(sweep: Sweep, buffer: int, k: int, *, spilled: bool) -> None:
    opened = sweep.resident.pop(buffer)
    storage = sweep.workload.storages[buffer]
    last = max(u for u in (opened.first, *storage.readers, *storage.writers) if u < k)
    spilled = spilled or buffer in sweep.owed
    sweep.owed.discard(buffer)
    sweep.live_ranges.append(LiveRange(buffer, opened.first, last, opened.filled, spilled))


def _place(sweep: Sweep, task: Task) -> None:
    """Finds a tiling of the kernel, and takes it."""
    workload, k = sweep.workload, task.number
    involved = task.reads | {task.result.buffer}
    evictable = [b for b in sweep.resident if k > max(workload.storages[b].writers, default=-1)]
    # Furthest next use first; what the kernel itself reads comes last of all.
    evictable.sort(key=lambda b: (b in involved, -next_use(workload.storages[b], k)))
    tiling = best_tiling(sweep, task, evictable)
    if tiling is not None:
        _take(sweep, task, tiling)
        return
    partial = [b for b in sweep.resident if b not in evictable and b not in sweep.in_dram]
    if partial:
        raise _Retry(max(partial, key=lambda b: workload.layouts[b].slice_bytes))
    raise CompilationFailure(
        f"it does not fit into the {sweep.capacity} bytes of a slice even in its smallest steps",
        layer=layer_name(task.op) or None,
    )


def _take(sweep: Sweep, task: Task, tiling: Tiling) -> None:
    k, about = task.number, None
    if heard():
        workload = sweep.workload
        about = PlanRemarks(
            task, workload.tasks, workload.storages, workload.layouts, sweep.machine
        )
        resident = frozenset(sweep.resident) - frozenset(tiling.evicted)
        about.tiles(tiling.split, resident, sweep.capacity, overlaps=may_overlap(workload, task))
        about.result(tiling.split)
        for buffer in tiling.fill:
            if any(live.buffer == buffer for live in sweep.live_ranges) or (
                buffer in tiling.evicted
            ):
                about.refilled(buffer)
    for buffer in tiling.evicted:
        store = must_store(sweep, buffer, k)
        if about is not None:
            about.evicted(buffer, next_use(sweep.workload.storages[buffer], k), stored=store)
        sweep.least.make_way(buffer, used_again=is_used_again(sweep, buffer, k))
        _end(sweep, buffer, k, spilled=store)
        if store:
            sweep.least.add_move(buffer)
            sweep.valid.add(buffer)
    for buffer in tiling.fill:
        sweep.least.add_move(buffer)
        sweep.resident[buffer] = OpenRange(k, filled=True)
    if tiling.keeps_result and task.result.buffer not in sweep.resident:
        sweep.resident[task.result.buffer] = OpenRange(k, filled=False)
    _commit(sweep, task, tiling.split)


def _commit(sweep: Sweep, task: Task, split: Split) -> None:
    k, workload = task.number, sweep.workload
    *operand_stages, result_stage = split.stages
    operands: list[OperandBinding | ParameterBinding] = []
    for binding, parameter, stage in zip(
        task.operands, task.geometry.parameters, operand_stages, strict=True
    ):
        if binding is not None:
            operands.append(_with_stage(binding, stage))
        elif parameter is not None:
            operands.append(parameter)
    result = _with_stage(task.result, result_stage)
    store = result_stage is not None or workload.storages[result.buffer].stored
    if store and result_stage is None and _is_scattered(sweep, task):
        store = False
        sweep.owed.add(result.buffer)
    if store:
        sweep.valid.add(result.buffer)
    used = sum(workload.layouts[b].slice_bytes for b in sweep.resident)
    if split.in_place is not None:
        _tell_in_place(sweep, task, split.in_place)
        used -= workload.layouts[task.result.buffer].slice_bytes
    sweep.used[k] = used + split.parameter_bytes + split.stage_bytes
    if heard():
        analysis(
            task.op,
            "sram",
            "{used:,} of {capacity:,} bytes of a slice are taken: {buffers:,} by whole tensors, "
            "{parameters:,} by its parameters, {tiles:,} by its tiles",
            used=sweep.used[k],
            capacity=sweep.capacity,
            buffers=used,
            parameters=split.parameter_bytes,
            tiles=split.stage_bytes,
        )
    sweep.least.add_kernel(task, split, store=store, pinned=k in sweep.pins)
    ahead = _prefetch(sweep, task, split.parameter_bytes)
    whole = tuple(sorted(task.geometry.whole))
    sweep.plans[k] = KernelPlan(
        tuple(operands),
        result,
        split.tile,
        whole,
        store,
        ahead,
        split.in_place,
        k in sweep.pins,
        _is_beside(sweep, task, split),
    )


def _is_beside(sweep: Sweep, task: Task, split: Split) -> bool:
    """Whether it and the kernel in front of it run at the same time: in a step each, in SRAM."""
    first = sweep.plans.get(sweep.workload.pairs.get(task.number, -1))
    if first is None or any(split.stages) or split.tile != task.geometry.result:
        return False
    bindings = (*first.operands, first.result)
    staged = any(isinstance(b, OperandBinding) and b.stage is not None for b in bindings)
    return not staged and first.tile == first.result.extent


def _is_scattered(sweep: Sweep, task: Task) -> bool:
    """Whether a part of a result, stored alone, takes far more traffic than its share of all."""
    storage = sweep.workload.storages[task.result.buffer]
    if len(storage.writers) < 2 or _is_copied_early(sweep.workload, task.result.buffer):
        return False
    part, whole = task.result.extent, storage.shape
    mine, all_ = (window_traffic(storage, extent, sweep.machine) for extent in (part, whole))
    return mine * prod(whole) > SCATTERED * all_ * prod(part)


def _is_copied_early(workload: Workload, buffer: int) -> bool:
    """Whether a copy reads a buffer in DRAM while kernels still use it in SRAM."""
    last = last_use(workload.storages[buffer])
    return any(buffer in copy.operands and k <= last for k, copy in workload.copies.items())


def _tell_in_place(sweep: Sweep, task: Task, number: int) -> None:
    if not heard():
        return
    size = sweep.workload.layouts[task.result.buffer].slice_bytes
    passed(
        task.op,
        "in-place",
        "its result takes the place of {operand}, which it is the last to read: {bytes:,} "
        "{bytes:byte|bytes} of a slice, which there would be no room for",
        operand=described(task.op.inputs[number].owner),
        bytes=size,
    )


def _prefetch(sweep: Sweep, task: Task, size: int) -> int:
    """How many kernels ahead the parameters of a kernel can be loaded; the room is then taken.

    DMA loads parameters in the order of the kernels, so none begins before its predecessor's.
    """
    if size == 0:
        return 0
    # One kernel ahead may fill SRAM; further ones leave room, so that addresses are found easily.
    spacious = sweep.capacity * PREFETCH_SHARE // 4
    first = k = task.number
    while first > max(sweep.loading, k - MAX_PREFETCH, first_together(sweep.workload, task)):
        limit = sweep.capacity if first == k else spacious
        if sweep.used[first - 1] + size > limit:
            _tell_prefetch(sweep, task, size, first, limit)
            break
        first -= 1
        sweep.used[first] += size
    sweep.loading = first
    return k - first


def _tell_prefetch(sweep: Sweep, task: Task, size: int, first: int, limit: int) -> None:
    """Says what kept parameters from being loaded before kernel `first`."""
    if not heard():
        return
    before = sweep.workload.tasks.get(first - 1)
    tell, depth = (missed if first == task.number else analysis), task.number - first
    tell(
        task.op,
        "prefetch",
        "its parameters, {bytes:,} {bytes:byte|bytes} of a slice, are loaded {depth} "
        "{depth:kernel|kernels} ahead: during {before} {used:,} of {limit:,} bytes are taken "
        "already",
        bytes=size,
        depth=depth,
        before="a copy" if before is None else described(before.op),
        used=sweep.used[first - 1],
        limit=limit,
    )


def _with_stage(binding: OperandBinding, stage: Stage | None) -> OperandBinding:
    return OperandBinding(binding.buffer, binding.offset, binding.extent, stage)
