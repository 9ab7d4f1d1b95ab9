"""What a plan has to keep to: one that does not is given up before it is finished."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from furiosa_ir.backends.warboy.command_cost import dma_cost
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.estimate import buffer_cycles, split_work
from furiosa_ir.backends.warboy.planning.tiles import Split, Task
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.errors import CompilationFailure


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan has to keep to.

    Attributes:
        cycles: a run takes less than these.
        stays: what kernels make stays in SRAM up to its last use.
    """

    cycles: float = inf
    stays: bool = False

    def check_cycles(self, cycles: float) -> None:
        """Refuses a plan whose run takes so many.

        Raises:
            CompilationFailure: they are too many.
        """
        if cycles >= self.cycles:
            raise CompilationFailure("another plan takes no longer")


NONE = Limits()
"""None at all."""


@dataclass(slots=True)
class LeastCycles:
    """What a run takes at least, with what is planned of it so far.

    The NPU and the DMA engine each do one thing at a time, so `run_estimate.run_cycles` is never
    below what either of them has to do.

    Attributes:
        limits: more than these raise `CompilationFailure`.
        workload: kernels and buffers.
        machine: the target.
        npu, dma: cycles of each engine.
    """

    limits: Limits
    workload: Workload
    machine: Machine
    npu: float = 0.0
    dma: float = 0.0

    def add_kernel(self, task: Task, split: Split, *, store: bool, pinned: bool) -> None:
        """Adds a kernel.

        Args:
            task: the kernel.
            split: how its loops are split.
            store: whether its result is stored.
            pinned: whether its parameters are there already.

        Raises:
            CompilationFailure: a run takes too many cycles.
        """
        if self.limits.cycles == inf:
            return
        storages, layouts = self.workload.storages, self.workload.layouts
        last = store and not storages[task.result.buffer].readers
        npu, dma = split_work(task, split, layouts, storages, self.machine, last=last)
        self.npu += npu
        self.dma += dma
        for parameter in () if pinned else task.geometry.parameters:
            if parameter is not None:
                self.dma += dma_cost(parameter.size, self.machine).occupancy
        self.limits.check_cycles(max(self.npu, self.dma))

    def add_move(self, buffer: int) -> None:
        """Adds that a buffer is loaded or stored as a whole."""
        if self.limits.cycles < inf:
            self.dma += buffer_cycles(self.workload.storages[buffer], self.machine)

    def make_way(self, buffer: int, *, used_again: bool) -> None:
        """A buffer leaves SRAM.

        Raises:
            CompilationFailure: it has to stay.
        """
        if self.limits.stays and used_again and self.workload.storages[buffer].made:
            raise CompilationFailure("not all that is made has room up to its last use")
