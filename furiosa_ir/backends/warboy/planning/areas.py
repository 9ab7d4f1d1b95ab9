"""The SRAM areas of a planned function, and when each is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from furiosa_ir.backends.warboy.dialect.plan import (
    KernelPlan,
    MemoryPlan,
    OperandBinding,
    ParameterBinding,
)
from furiosa_ir.backends.warboy.dialect.plan_rules import pinned_slots
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.intervals import Interval, Obstacle
from furiosa_ir.backends.warboy.planning.layouts import flat_bytes, sram_bytes
from furiosa_ir.backends.warboy.planning.placement import (
    Placement,
    has_addresses,
    place_intervals,
)
from furiosa_ir.backends.warboy.planning.tiles import CHANNELS


@dataclass(frozen=True, slots=True)
class Area:
    """One contiguous piece of every slice.

    Attributes:
        kind: "live_range" (number `owner` of the memory plan), "parameter" or "stage" (of kernel
            `owner`).
        owner: see `kind`.
        operand: number of the operand; one more than the last for the result.
        interval: how much, and from which kernel to which.
        takes: number of the area whose place it takes, which ends where this one begins; None: it
            has a place of its own.
    """

    kind: str
    owner: int
    operand: int
    interval: Interval
    takes: int | None = None


def parameter_slots(plan: KernelPlan, operand: int, machine: Machine) -> tuple[int, int]:
    """(bytes of every slice, slots) of a parameter operand; (0, 0) for a tile.

    A pinned one has a slot for each block of channels; otherwise two take turns.
    """
    parameter = plan.operands[operand]
    if not isinstance(parameter, ParameterBinding):
        return 0, 0
    if not parameter.by_channel:
        return flat_bytes(parameter.size, machine), 1
    channels, block = plan.result.extent[CHANNELS], plan.tile[CHANNELS]
    blocks = pinned_slots(plan, parameter) if plan.pinned else 2 if block < channels else 1
    return flat_bytes(parameter.size // channels * block, machine), blocks


def pinned_places(
    plans: Mapping[int, KernelPlan],
    inputs: Callable[[int], Sequence[object]],
    machine: Machine,
) -> tuple[dict[tuple[int, int], tuple[int, ...]], int]:
    """Where pinned parameters lie, one behind the other from address 0 on, and where they end.

    Kernels that read one constant in blocks of one size read it in one place.

    Args:
        plans: kernel number -> its plan.
        inputs: of a kernel by its number: its operands, equal where they are one value.
        machine: the target.

    Returns:
        (kernel, operand) -> the address of each slot; bytes of every slice that all take.
    """
    known: dict[tuple[object, int, int], tuple[int, ...]] = {}
    places: dict[tuple[int, int], tuple[int, ...]] = {}
    end = 0
    for k, plan in plans.items():
        for operand, value in enumerate(inputs(k)) if plan.pinned else ():
            size, count = parameter_slots(plan, operand, machine)
            if not count:
                continue
            key = (value, size, count)
            if key not in known:
                known[key] = tuple(end + slot * size for slot in range(count))
                end += size * count
            places[k, operand] = known[key]
    return places, end


def sram_areas(
    memory: MemoryPlan, kernels: Mapping[int, KernelPlan], machine: Machine
) -> list[Area]:
    """All areas of a run: live ranges, then each kernel's parameters and stages, slot by slot.

    Prefetched parameters are needed from the kernel on during which they are loaded; pinned ones
    are no areas of a run (`pinned_places`). What one of two kernels that run at the same time needs
    is needed during both.

    Args:
        memory: the function's buffers and live ranges.
        kernels: kernel number -> its plan.
        machine: the target.
    """
    beside = {k for k, plan in kernels.items() if plan.beside}

    def during(size: int, first: int, last: int) -> Interval:
        return Interval(size, first - (first in beside), last + (last + 1 in beside))

    areas: list[Area] = []
    taken = _taken(memory, kernels)
    for number, live in enumerate(memory.live_ranges):
        buffer = memory.buffers[live.buffer]
        shape = (-(-buffer.shape[0] // buffer.images), *buffer.shape[1:])
        size = sram_bytes(shape, buffer.element, buffer.slices, buffer.order, machine)
        interval = during(size, live.first, live.last)
        areas.append(Area("live_range", number, 0, interval, taken.get(number)))
    for k, plan in kernels.items():
        first = k - plan.prefetch
        for operand in () if plan.pinned else range(len(plan.operands)):
            size, slots = parameter_slots(plan, operand, machine)
            areas += [Area("parameter", k, operand, during(size, first, k))] * slots
        for operand, binding in enumerate((*plan.operands, plan.result)):
            if isinstance(binding, OperandBinding) and binding.stage is not None:
                s, element = binding.stage, memory.buffers[binding.buffer].element
                size = sram_bytes(s.shape, element, s.slices, s.order, machine)
                areas += [Area("stage", k, operand, during(size, k, k))] * s.slots
    return areas


def _taken(memory: MemoryPlan, kernels: Mapping[int, KernelPlan]) -> dict[int, int]:
    """Live range -> the one whose place it takes, for results that kernels make in place."""
    begins = {(live.buffer, live.first): n for n, live in enumerate(memory.live_ranges)}
    ends = {(live.buffer, live.last): n for n, live in enumerate(memory.live_ranges)}
    taken: dict[int, int] = {}
    for k, plan in kernels.items():
        if plan.in_place is not None:
            operand = plan.operands[plan.in_place]
            assert isinstance(operand, OperandBinding), "verify_memory has looked"
            taken[begins[plan.result.buffer, k]] = ends[operand.buffer, k]
    return taken


def place_areas(
    areas: Sequence[Area], machine: Machine, obstacles: Sequence[Obstacle] = ()
) -> tuple[list[int], Placement]:
    """(the address of each area, the placement of what has a place of its own).

    An area and those that take its place, one after the other, are placed as one.

    Args:
        areas: what is placed.
        machine: how much there is.
        obstacles: what lies in SRAM already.
    """
    roots, intervals = _own_places(areas)
    placement = place_intervals(list(intervals.values()), obstacles, capacity=machine.slice_bytes)
    addresses = dict(zip(intervals, placement.addresses, strict=True))
    return [addresses[root] for root in roots], placement


def fit_areas(areas: Sequence[Area], machine: Machine, obstacles: Sequence[Obstacle] = ()) -> bool:
    """Whether `place_areas` finds addresses that there are."""
    _, intervals = _own_places(areas)
    return has_addresses(list(intervals.values()), obstacles, machine.slice_bytes)


def _own_places(areas: Sequence[Area]) -> tuple[list[int], dict[int, Interval]]:
    """(the area in whose place each one lies, what of those has a place of its own)."""
    roots = [_root(areas, number) for number in range(len(areas))]
    last = [area.interval.last for area in areas]
    for number, root in enumerate(roots):
        last[root] = max(last[root], areas[number].interval.last)
    own = [number for number, root in enumerate(roots) if number == root]
    return roots, {n: replace(areas[n].interval, last=last[n]) for n in own}


def _root(areas: Sequence[Area], number: int) -> int:
    """The first of those whose place an area takes: it may have taken its own from another one."""
    while (taken := areas[number].takes) is not None:
        number = taken
    return number
