"""How many cycles a planned segment's run takes, kernel by kernel, before there are commands."""

from __future__ import annotations

from math import prod

from furiosa_ir.backends.warboy.command_cost import dma_cost
from furiosa_ir.backends.warboy.dialect.attributes import GROUP
from furiosa_ir.backends.warboy.dialect.plan import CopyPlan, KernelPlan, OperandBinding, Stage
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.estimate import buffer_cycles, split_work
from furiosa_ir.backends.warboy.planning.live_ranges import SramPlan
from furiosa_ir.backends.warboy.planning.overlap import first_load
from furiosa_ir.backends.warboy.planning.tiles import Split, Task, steps
from furiosa_ir.backends.warboy.planning.workload import Workload


def kernel_cycles(
    task: Task, plan: KernelPlan, workload: Workload, machine: Machine
) -> tuple[float, float]:
    """(cycles on the NPU, cycles of DMA for its tiles) of one planned kernel."""
    split = Split(plan.tile, _stages(plan), 0, 0)
    last = plan.store and not workload.storages[task.result.buffer].readers
    return split_work(task, split, workload.layouts, workload.storages, machine, last=last)


def _stages(plan: KernelPlan) -> tuple[Stage | None, ...]:
    bindings = (*plan.operands, plan.result)
    return tuple(b.stage if isinstance(b, OperandBinding) else None for b in bindings)


def run_cycles(workload: Workload, plan: SramPlan, machine: Machine) -> float:
    """An estimate of a run in cycles: DMA and NPU work through the kernels, each in order.

    A kernel's parameters are loaded ahead as far as the plan says, pinned ones not at all; what is
    filled or spilled takes DMA's time before or after its kernel. Groups that are planned as if
    there were no others come one after the other.

    Args:
        workload: kernels and buffers.
        plan: of them.
        machine: the target.
    """
    fills: dict[int, float] = {}
    spills: dict[int, float] = {}
    for live in plan.live_ranges:
        moved = buffer_cycles(workload.storages[live.buffer], machine)
        if live.filled:
            fills[live.first] = fills.get(live.first, 0.0) + moved
        if live.spilled:
            spills[live.last] = spills.get(live.last, 0.0) + moved
    dma = npu = 0.0
    starts: dict[int, float] = {}
    group: object = None
    for k in sorted({*workload.tasks, *workload.copies}):
        known = workload.tasks[k].op.attributes.get(GROUP) if k in workload.tasks else None
        if known is not None and known != group:
            group, dma = known, max(dma, npu)
            npu = dma
        filled = fills.get(k, 0.0)
        dma += filled
        ready = dma
        if k in workload.copies:
            dma = max(dma, npu) + _copy_cycles(workload.copies[k], workload, machine)
            npu = starts[k] = dma
            continue
        task, kernel = workload.tasks[k], plan.kernels[k]
        if not kernel.pinned:
            dma = max(dma, starts.get(k - kernel.prefetch, 0.0) if kernel.prefetch else npu)
            for parameter in task.geometry.parameters:
                if parameter is not None:
                    dma += dma_cost(parameter.size, machine).occupancy
            ready = dma + machine.dma_latency_cycles
        work, moved = kernel_cycles(task, kernel, workload, machine)
        count = steps(task.geometry, kernel.tile)
        later = filled * (1 - first_load(task, workload, kernel.tile, machine)) if filled else 0.0
        free = starts[k - 1] if kernel.beside else npu
        starts[k] = start = max(free, ready - later)
        work = max(work, later + work / count)
        # Nobody waits for the store of what lies in SRAM.
        waits = moved if any(_stages(kernel)) else 0.0
        end = start + max(work, waits) + min(work, waits) / count
        npu = max(npu, end) if kernel.beside else end
        if moved:
            dma = max(dma, start) + moved
        if k in spills:
            dma = max(dma, npu) + spills[k]
    return max(dma, npu)


def _copy_cycles(copy: CopyPlan, workload: Workload, machine: Machine) -> float:
    element = workload.storages[copy.result].element
    moved = sum(2 * prod(move.extent) * element for move in copy.moves)
    return len(copy.moves) * dma_cost(0, machine).cycles + moved / machine.dram_bytes_per_cycle
