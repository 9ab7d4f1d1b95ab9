"""The SRAM areas of a planned function, and when each is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from furiosa_ir.backends.warboy.dialect.plan import KernelPlan, MemoryPlan
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.geometry import Geometry
from furiosa_ir.backends.warboy.planning.intervals import Interval
from furiosa_ir.backends.warboy.planning.layouts import flat_bytes, sram_bytes
from furiosa_ir.backends.warboy.planning.tiles import CHANNELS


@dataclass(frozen=True, slots=True)
class PlannedKernel:
    """A kernel with its plan.

    Attributes:
        number: its place in the program.
        geometry: its loops.
        plan: how it is cut.
        elements: bytes of an element of each operand, then of the result.
    """

    number: int
    geometry: Geometry
    plan: KernelPlan
    elements: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Area:
    """One contiguous piece of every slice.

    Attributes:
        kind: "live_range" (number `owner` of the memory plan), "parameter" or "stage" (of kernel
            `owner`).
        owner: see `kind`.
        operand: number of the operand; one more than the last for the result.
        interval: how much, and from which kernel to which.
    """

    kind: str
    owner: int
    operand: int
    interval: Interval


def parameter_slots(kernel: PlannedKernel, operand: int, machine: Machine) -> tuple[int, int]:
    """(bytes of every slice, slots) of a parameter operand; (0, 0) for a tile."""
    geometry, tile = kernel.geometry, kernel.plan.tile
    size = geometry.parameter_bytes[operand]
    if not size:
        return 0, 0
    if geometry.parameter_axis[operand] != CHANNELS:
        return flat_bytes(size, machine), 1
    channels = geometry.result[CHANNELS]
    slots = 2 if tile[CHANNELS] < channels else 1
    return flat_bytes(size // channels * tile[CHANNELS], machine), slots


def sram_areas(
    memory: MemoryPlan, kernels: Sequence[PlannedKernel], machine: Machine
) -> list[Area]:
    """All areas: live_ranges first, then each kernel's parameters and stages, slot by slot.

    Prefetched parameters are needed from the kernel on during which they are loaded.
    """
    areas: list[Area] = []
    for number, live in enumerate(memory.live_ranges):
        buffer = memory.buffers[live.buffer]
        size = sram_bytes(buffer.shape, buffer.element, buffer.slices, buffer.order, machine)
        areas.append(Area("live_range", number, 0, Interval(size, live.first, live.last)))
    for kernel in kernels:
        k, plan = kernel.number, kernel.plan
        first = k - plan.prefetch
        for operand in range(len(plan.operands)):
            size, slots = parameter_slots(kernel, operand, machine)
            areas += [Area("parameter", k, operand, Interval(size, first, k))] * slots
        for operand, binding in enumerate((*plan.operands, plan.result)):
            if binding is not None and binding.stage is not None:
                s = binding.stage
                size = sram_bytes(s.shape, kernel.elements[operand], s.slices, s.order, machine)
                areas += [Area("stage", k, operand, Interval(size, k, k))] * s.slots
    return areas
