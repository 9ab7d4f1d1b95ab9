"""What a sweep over the kernels knows of SRAM: what lies there now, and what has been decided."""

from __future__ import annotations

from dataclasses import dataclass, field

from furiosa_ir.backends.warboy.dialect.plan import KernelPlan, LiveRange
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.limits import LeastCycles
from furiosa_ir.backends.warboy.planning.workload import Workload

NEVER = 1 << 30
"""The next use of a buffer that is not used again."""


@dataclass
class OpenRange:
    """A live range that has not come to its end."""

    first: int
    filled: bool


@dataclass
class Sweep:
    """A sweep, at some kernel.

    Attributes:
        workload, machine: what is planned.
        capacity: bytes of every slice to plan with, without those of pinned parameters.
        pins: kernels whose parameters are pinned.
        in_dram: buffers that stay in DRAM from the start.
        least: what the plan takes at least, as far as it goes, so that it may be given up.
        resident: the buffers that lie in SRAM.
        live_ranges: those that have ended.
        used: kernel number -> bytes of every slice that are taken meanwhile.
        plans: kernel number -> its plan.
    """

    workload: Workload
    machine: Machine
    capacity: int
    pins: frozenset[int]
    in_dram: frozenset[int]
    least: LeastCycles
    resident: dict[int, OpenRange] = field(default_factory=dict[int, OpenRange])
    valid: set[int] = field(default_factory=set[int])
    """Buffers whose elements are in DRAM."""
    owed: set[int] = field(default_factory=set[int])
    """Results that are stored once all their parts are there."""
    live_ranges: list[LiveRange] = field(default_factory=list[LiveRange])
    used: dict[int, int] = field(default_factory=dict[int, int])
    plans: dict[int, KernelPlan] = field(default_factory=dict[int, KernelPlan])
    loading: int = 0
    """The kernel during which the last parameters are loaded."""


def last_use(storage: Storage) -> int:
    """The last kernel that reads or writes a buffer; -1: none does."""
    return max((*storage.readers, *storage.writers), default=-1)


def next_use(storage: Storage, after: int) -> int:
    """The next kernel from `after` on that reads or writes a buffer; NEVER: none does."""
    return min((k for k in (*storage.readers, *storage.writers) if k >= after), default=NEVER)


def must_store(sweep: Sweep, buffer: int, k: int) -> bool:
    """Whether a buffer that makes way at kernel k is needed again and not in DRAM yet."""
    return is_used_again(sweep, buffer, k) and buffer not in sweep.valid


def is_used_again(sweep: Sweep, buffer: int, k: int) -> bool:
    """Whether kernel k or one behind it reads or writes a buffer."""
    return next_use(sweep.workload.storages[buffer], k) < NEVER
