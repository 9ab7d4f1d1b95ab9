"""What the planner of a segment works on: kernels, copies, buffers, and a layout for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from furiosa_ir.backends.warboy.dialect.plan import CopyPlan
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.tiles import Task


@dataclass(frozen=True, slots=True)
class Workload:
    """The planner's input: tasks and copies in order, and the buffers they use.

    Attributes:
        tasks: kernel number -> task.
        copies: kernel number -> copy in DRAM.
        storages: all buffers.
        layouts: of each buffer.
        cycles: kernel number -> cycles in one step, with its buffers in SRAM.
        pairs: kernel number -> the one in front of it that may run at the same time.
        overlap: whether loads of inputs and stores of outputs may be hidden (`overlap`).
    """

    tasks: dict[int, Task]
    copies: dict[int, CopyPlan]
    storages: Sequence[Storage]
    layouts: Sequence[Layout]
    cycles: Mapping[int, int]
    pairs: Mapping[int, int]
    overlap: bool = True

    def worked(self, k: int) -> int:
        """Cycles for which the NPU works on kernel k and not on the one in front of it as well."""
        return 0 if k in self.pairs else self.cycles.get(k, 0)
