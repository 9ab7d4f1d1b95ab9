"""The SRAM areas of a planned function, and when each is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from furiosa_ir.backends.warboy.dialect.plan import (
    KernelPlan,
    MemoryPlan,
    OperandBinding,
    ParameterBinding,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.intervals import Interval
from furiosa_ir.backends.warboy.planning.layouts import flat_bytes, sram_bytes
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
    """

    kind: str
    owner: int
    operand: int
    interval: Interval


def parameter_slots(plan: KernelPlan, operand: int, machine: Machine) -> tuple[int, int]:
    """(bytes of every slice, slots) of a parameter operand; (0, 0) for a tile."""
    parameter = plan.operands[operand]
    if not isinstance(parameter, ParameterBinding):
        return 0, 0
    if not parameter.by_channel:
        return flat_bytes(parameter.size, machine), 1
    channels, block = plan.result.extent[CHANNELS], plan.tile[CHANNELS]
    return flat_bytes(parameter.size // channels * block, machine), 2 if block < channels else 1


def sram_areas(
    memory: MemoryPlan, kernels: Mapping[int, KernelPlan], machine: Machine
) -> list[Area]:
    """All areas: live ranges first, then each kernel's parameters and stages, slot by slot.

    Prefetched parameters are needed from the kernel on during which they are loaded.

    Args:
        memory: the function's buffers and live ranges.
        kernels: kernel number -> its plan.
        machine: the target.
    """
    areas: list[Area] = []
    for number, live in enumerate(memory.live_ranges):
        buffer = memory.buffers[live.buffer]
        size = sram_bytes(buffer.shape, buffer.element, buffer.slices, buffer.order, machine)
        areas.append(Area("live_range", number, 0, Interval(size, live.first, live.last)))
    for k, plan in kernels.items():
        first = k - plan.prefetch
        for operand in range(len(plan.operands)):
            size, slots = parameter_slots(plan, operand, machine)
            areas += [Area("parameter", k, operand, Interval(size, first, k))] * slots
        for operand, binding in enumerate((*plan.operands, plan.result)):
            if isinstance(binding, OperandBinding) and binding.stage is not None:
                s, element = binding.stage, memory.buffers[binding.buffer].element
                size = sram_bytes(s.shape, element, s.slices, s.order, machine)
                areas += [Area("stage", k, operand, Interval(size, k, k))] * s.slots
    return areas
