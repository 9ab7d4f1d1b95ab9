"""Which groups of kernels work band by band, and in how many bands, so that activations fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.workload import Workload

COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16)
"""Numbers of bands."""

MAX_GROUP = 40
"""Kernels of a group."""

HALO = 1.15
"""What a band takes over its share: halos, and lines that are not full."""

BAND_CYCLES = 400
"""What a further band of a kernel takes: the kernel's start, and two copies of what is kept."""


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """Kernels that work band by band.

    Attributes:
        kernels: which, in order; those between them come behind.
        count: how many bands.
    """

    kernels: tuple[int, ...]
    count: int

    def times(self, factor: int, most: int) -> GroupChoice:
        """The same kernels in more bands."""
        return replace(self, count=min(self.count * factor, most))


@dataclass(frozen=True, slots=True)
class _Life:
    """A buffer, its bytes of a slice, and which kernels need it.

    Attributes:
        size: bytes of a slice.
        first, last: the kernels between which it is there.
        readers: those that read it.
    """

    size: int
    first: int
    last: int
    readers: frozenset[int]


def choose_groups(
    workload: Workload,
    fits: Collection[int],
    leaves: Collection[int],
    capacity: int,
    machine: Machine,
) -> list[GroupChoice]:
    """The groups with the fewest further steps with which all that is live fits.

    Dynamic programming over the kernels: up to each of them the least cost of single kernels, which
    pay for what does not fit by its way to DRAM and back, and of groups, which pay for their bands.

    Args:
        workload: kernels and buffers.
        fits: kernels that can work band by band.
        leaves: others, which may come behind a group that they stand in: no kernel reads what they
            make.
        capacity: bytes of every slice for activations.
        machine: the target.
    """
    kernels = len(workload.tasks) + len(workload.copies)
    lives = list(_lives(workload))
    live = _live_bytes(lives, kernels)
    best = [0.0] + [inf] * kernels
    taken: list[GroupChoice | None] = [None] * (kernels + 1)
    for begin in range(kernels):
        spilled = max(live[begin] - capacity, 0) * machine.slices / machine.dram_bytes_per_cycle
        if best[begin] + spilled < best[begin + 1]:
            best[begin + 1], taken[begin + 1] = best[begin] + spilled, None
        for group in _groups(lives, live, fits, leaves, begin, capacity):
            end = group.kernels[-1] + 1
            cost = best[begin] + (group.count - 1) * len(group.kernels) * BAND_CYCLES
            if cost < best[end]:
                best[end], taken[end] = cost, group
    groups: list[GroupChoice] = []
    end = kernels
    while end:
        group = taken[end]
        if group is not None:
            groups.append(group)
        end = end - 1 if group is None else group.kernels[0]
    return groups[::-1]


def _lives(workload: Workload) -> Iterator[_Life]:
    """All buffers that kernels read: what is only stored goes by tiles."""
    for storage, layout in zip(workload.storages, workload.layouts, strict=True):
        if storage.readers:
            first = min(storage.writers or storage.readers)
            last = max(*storage.writers, *storage.readers, first)
            yield _Life(layout.slice_bytes, first, last, frozenset(storage.readers))


def _live_bytes(lives: Collection[_Life], kernels: int) -> list[int]:
    """What whole tensors take of a slice during each kernel, if all of them stay."""
    change = [0] * (kernels + 1)
    for life in lives:
        change[life.first] += life.size
        change[life.last + 1] -= life.size
    total = 0
    return [total := total + each for each in change]


def _groups(
    lives: Collection[_Life],
    live: Sequence[int],
    fits: Collection[int],
    leaves: Collection[int],
    begin: int,
    capacity: int,
) -> Iterator[GroupChoice]:
    """The groups from a kernel on that make something fit which does not, in the fewest bands.

    What comes from before is there as a whole, and so is what other kernels read; of the rest there
    is a band.
    """
    before = sum(life.size for life in lives if life.first < begin <= life.last)
    kernels: list[int] = []
    others: set[int] = set()
    inner: list[_Life] = []
    peak, overfull = 0, False
    for k in range(begin, min(begin + MAX_GROUP, len(live) - 1)):
        overfull = overfull or live[k] > capacity
        if k not in fits:
            if k not in leaves or not kernels:
                return
            others.add(k)
            continue
        kernels.append(k)
        inner += [life for life in lives if life.first == k]
        peak = max(peak, sum(life.size for life in inner if life.last >= k))
        kept = (life for life in inner if life.last > k or not life.readers.isdisjoint(others))
        whole = before + sum(life.size for life in kept)
        if not overfull or k == begin:
            continue
        for count in COUNTS:
            if whole + peak * HALO / count <= capacity:
                yield GroupChoice(tuple(kernels), count)
                break
