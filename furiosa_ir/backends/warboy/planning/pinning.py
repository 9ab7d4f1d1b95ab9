"""Which kernels' parameters lie in SRAM from a session's set-up on (pinned), and the plans with it.

What is pinned is loaded once a session and not in each run, but takes room for the whole program,
of every segment's runs. If everything fits beside the activations, everything is pinned. Otherwise
the choice is a knapsack: the bytes that a run need not load, or rather the cycles that it would
wait for them, against bytes of SRAM. Some sizes of knapsack are filled in order of benefit a byte,
and the plans that result are compared by the time a run takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from furiosa_ir.backends.warboy.command_cost import dma_cost
from furiosa_ir.backends.warboy.dialect.plan import Buffer, KernelPlan, MemoryPlan, OperandBinding
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.areas import fit_areas, pinned_places, sram_areas
from furiosa_ir.backends.warboy.planning.intervals import Interval, Obstacle
from furiosa_ir.backends.warboy.planning.layouts import flat_bytes
from furiosa_ir.backends.warboy.planning.limits import NONE, Limits
from furiosa_ir.backends.warboy.planning.live_ranges import SramPlan, plan_live_ranges
from furiosa_ir.backends.warboy.planning.run_estimate import kernel_cycles, run_cycles
from furiosa_ir.backends.warboy.planning.tiles import Task
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.remarks import Remark, held_remarks

CAPACITIES = (32, 30, 28, 25, 22, 18)
"""Thirty-seconds of SRAM to plan with, in turn, until the addresses fit too (fragmentation)."""

SHARES = (12, 8, 4, 15)
"""Sixteenths of a slice that pinned parameters may take, where not all of them can be pinned. The
most comes last: addresses in what is left are hard to find, and others often take no longer."""

HIDDEN = 0.1
"""What a cycle of loading that the NPU's work hides counts, against one that it waits for: DMA is
then free for other things."""

_ATTEMPTS = 3
"""How often pinned parameters may turn out to take more than was thought: blocks of channels."""


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """A segment's plan.

    Attributes:
        sram: live ranges and tilings.
        capacity: bytes of every slice that it was planned with.
        most: bytes that there were beside what is pinned.
        remarks: what is to be said if this plan is taken.
    """

    sram: SramPlan
    capacity: int
    most: int
    remarks: list[Remark]


def plan_program(
    workloads: Sequence[Workload],
    machine: Machine,
    *,
    pin: bool = True,
    least: float = inf,
) -> list[SegmentPlan]:
    """Plans all segments of a program, with what is best pinned.

    Args:
        workloads: one a segment.
        machine: the target.
        pin: False: every run loads all parameters.
        least: cycles of a run that something else takes: plans that take no less may be left out.

    Raises:
        CompilationFailure: a kernel does not fit into SRAM in any way.
    """
    everything = _everything(workloads)
    best = _attempt(workloads, everything, machine) if pin and any(everything) else None
    if best is not None and not _any_spills(workloads, best):
        return best
    none = [_fit(w, frozenset(), machine.slice_bytes, machine) for w in workloads]
    if not pin:
        return none
    found = [(_cycles(workloads, plans, machine), plans) for plans in (none, best) if plans]
    tried = {tuple(everything), tuple(frozenset[int]() for _ in workloads)}
    for pins in _knapsacks(workloads, none, machine, tried):
        limits = Limits(min(least, *(cycles for cycles, _ in found)))
        plans = _attempt(workloads, pins, machine, limits)
        if plans is not None:
            found.append((_cycles(workloads, plans, machine), plans))
    return min(found, key=lambda each: each[0])[1] if found else []


def plan_resident(
    workloads: Sequence[Workload], machine: Machine, *, least: float = inf
) -> list[SegmentPlan] | None:
    """Plans with everything pinned and nothing that leaves SRAM early.

    None if it does not fit, or takes `least` cycles or more.
    """
    return _attempt(workloads, _everything(workloads), machine, Limits(least, stays=True))


def _everything(workloads: Sequence[Workload]) -> list[frozenset[int]]:
    return [
        frozenset(k for k, task in w.tasks.items() if any(task.geometry.parameters))
        for w in workloads
    ]


def _cycles(workloads: Sequence[Workload], plans: Sequence[SegmentPlan], machine: Machine) -> float:
    return sum(run_cycles(w, p.sram, machine) for w, p in zip(workloads, plans, strict=True))


def _attempt(
    workloads: Sequence[Workload],
    pins: Sequence[frozenset[int]],
    machine: Machine,
    limits: Limits = NONE,
) -> list[SegmentPlan] | None:
    """Plans with these kernels pinned; None if there are none.

    Args:
        workloads: the segments.
        pins: kernels of each.
        machine: the target.
        limits: what each has to keep to.
    """
    taken = sum(_least_bytes(w, p, machine) for w, p in zip(workloads, pins, strict=True))
    for _ in range(_ATTEMPTS):
        room = machine.slice_bytes - taken
        if room <= 0:
            return None
        try:
            plans = [
                _fit(w, p, room, machine, limits) for w, p in zip(workloads, pins, strict=True)
            ]
        except CompilationFailure:
            return None
        # Blocks of channels take whole lines each, so that a kernel in blocks takes more.
        needed = sum(
            pinned_places(plan.sram.kernels, lambda k, of=w.tasks: of[k].op.inputs, machine)[1]
            for w, plan in zip(workloads, plans, strict=True)
        )
        if needed <= taken:
            return plans
        taken = needed
    return None


def _least_bytes(workload: Workload, pins: frozenset[int], machine: Machine) -> int:
    """Bytes of every slice that their parameters take: each constant once, in one block."""
    found: dict[object, int] = {}
    for k in pins:
        task = workload.tasks[k]
        for value, parameter in zip(task.op.inputs, task.geometry.parameters, strict=True):
            if parameter is not None:
                found[value] = flat_bytes(parameter.size, machine)
    return sum(found.values())


def task_bytes(task: Task, machine: Machine) -> int:
    """Bytes of every slice that a kernel's parameters take in one block."""
    return sum(flat_bytes(p.size, machine) for p in task.geometry.parameters if p is not None)


def _fit(
    workload: Workload,
    pins: frozenset[int],
    room: int,
    machine: Machine,
    limits: Limits = NONE,
) -> SegmentPlan:
    """Live ranges and tilings whose areas also find addresses.

    Raises:
        CompilationFailure: there are none, or none that keep to the limits: no addresses are sought
            for a plan that does not.
    """
    taken = machine.slice_bytes - room
    below = [Obstacle(0, Interval(taken, 0, len(workload.tasks)))] if taken else []
    for share in CAPACITIES:
        capacity = room * share // 32 // machine.line_bytes * machine.line_bytes
        with held_remarks() as held:
            sram = plan_live_ranges(workload, machine, capacity, pins, limits)
        if limits.cycles < inf:
            limits.check_cycles(run_cycles(workload, sram, machine))
        if limits.stays and _spills(workload, sram):
            raise CompilationFailure("something leaves SRAM that has to stay")
        buffers = tuple(
            Buffer(s.shape, s.element, layout.slices, layout.order, None, layout.images, False)
            for s, layout in zip(workload.storages, workload.layouts, strict=True)
        )
        areas = sram_areas(MemoryPlan(buffers, sram.live_ranges), sram.kernels, machine)
        if fit_areas(areas, machine, below):
            return SegmentPlan(sram, capacity, room, held)
    raise CompilationFailure("no SRAM addresses were found for the plan")


def is_resident(workload: Workload, plan: SegmentPlan) -> bool:
    """Whether nothing leaves SRAM before its last use, and all parameters stay."""
    return not _spills(workload, plan.sram) and all(
        kernel.pinned or not any(workload.tasks[k].geometry.parameters)
        for k, kernel in plan.sram.kernels.items()
    )


def parameter_bytes(workload: Workload, machine: Machine) -> int:
    """Bytes of every slice that all parameters take."""
    return _least_bytes(workload, frozenset(workload.tasks), machine)


def _any_spills(workloads: Sequence[Workload], plans: Sequence[SegmentPlan]) -> bool:
    """Whether something that a kernel makes leaves SRAM before its last use."""
    return any(_spills(w, p.sram) for w, p in zip(workloads, plans, strict=True))


def _spills(workload: Workload, plan: SramPlan) -> bool:
    made = {b for b, storage in enumerate(workload.storages) if storage.made}
    results = {b for b, storage in enumerate(workload.storages) if storage.stored}
    if any(
        (live.spilled and live.buffer not in results) or (live.filled and live.buffer in made)
        for live in plan.live_ranges
    ):
        return True
    return any(
        isinstance(binding, OperandBinding) and binding.stage is not None and binding.buffer in made
        for kernel in plan.kernels.values()
        for binding in kernel.operands
    )


def _knapsacks(
    workloads: Sequence[Workload],
    plans: Sequence[SegmentPlan],
    machine: Machine,
    tried: set[tuple[frozenset[int], ...]],
) -> Iterator[list[frozenset[int]]]:
    """Kernels to pin of each segment: those of most benefit a byte that fit into some sizes.

    Args:
        workloads: the segments.
        plans: of them, without anything pinned.
        machine: the target.
        tried: choices that are not given; those that are, are added.
    """
    ranked: list[tuple[float, int, tuple[int, ...], int]] = []
    for number, (workload, plan) in enumerate(zip(workloads, plans, strict=True)):
        for kernels in _sharing(workload):
            size = task_bytes(workload.tasks[kernels[0]], machine)
            if size:
                tasks = (workload.tasks[k] for k in kernels)
                benefit = sum(_benefit(t, plan.sram.kernels, workload, machine) for t in tasks)
                ranked.append((-benefit / size, number, kernels, size))
    ranked.sort()
    for share in SHARES:
        left = machine.slice_bytes * share // 16
        chosen: list[set[int]] = [set() for _ in workloads]
        for _, number, kernels, size in ranked:
            if size <= left:
                left -= size
                chosen[number].update(kernels)
        pins = [frozenset(each) for each in chosen]
        if tuple(pins) not in tried:
            tried.add(tuple(pins))
            yield pins


def _sharing(workload: Workload) -> list[tuple[int, ...]]:
    """The kernels, those together that read the same parameters."""
    found: dict[object, list[int]] = {}
    for k, task in workload.tasks.items():
        inputs, parameters = task.op.inputs, task.geometry.parameters
        mine = tuple(v for v, p in zip(inputs, parameters, strict=True) if p is not None)
        found.setdefault(mine or k, []).append(k)
    return [tuple(kernels) for kernels in found.values()]


def _benefit(
    task: Task, plans: Mapping[int, KernelPlan], workload: Workload, machine: Machine
) -> float:
    """Cycles that a run saves if the kernel's parameters are there."""
    loading = sum(
        dma_cost(p.size, machine).occupancy for p in task.geometry.parameters if p is not None
    )
    npu, _ = kernel_cycles(task, plans[task.number], workload, machine)
    return max(loading - npu, 0) + HIDDEN * loading
