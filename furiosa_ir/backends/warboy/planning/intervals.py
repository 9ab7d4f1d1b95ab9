"""Addresses from liveness: greedy best fit over intervals, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from furiosa_ir.errors import CompilationFailure


@dataclass(frozen=True, slots=True)
class Interval:
    """Something that needs `size` bytes from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int


def place_intervals(intervals: Sequence[Interval]) -> tuple[list[int], int]:
    """Addresses such that what lives at the same time does not overlap.

    Sizes are taken as they are: round them up to the alignment first. The largest interval goes
    first, each into the smallest gap that takes it between those it meets.

    Returns:
        (an address for each interval, the greatest byte used).

    Raises:
        CompilationFailure: an edited plan wants more bytes than there are addresses.
    """
    total = sum(interval.size for interval in intervals)
    if total >= 1 << 63:
        raise CompilationFailure(f"the plan takes {total} bytes")
    order = sorted(
        range(len(intervals)),
        key=lambda i: (-intervals[i].size, intervals[i].first, intervals[i].last, i),
    )
    addresses = [0] * len(intervals)
    # What is placed, by address: numpy looks through thousands at once.
    placed = np.empty((4, len(intervals)), np.int64)
    count = peak = 0
    for i in order:
        item = intervals[i]
        if item.size == 0:
            continue
        starts, ends, firsts, lasts = placed[:, :count]
        meets = (firsts <= item.last) & (lasts >= item.first)
        starts, ends = starts[meets], ends[meets]
        below = np.zeros(len(ends) + 1, np.int64)
        np.maximum.accumulate(ends, out=below[1:])
        gaps = starts - below[:-1]
        taking = np.flatnonzero(gaps >= item.size)
        best = int(below[taking[gaps[taking].argmin()]] if taking.size else below[-1])
        addresses[i] = best
        end = best + item.size
        peak = max(peak, end)
        at = int(placed[0, :count].searchsorted(best))
        placed[:, at + 1 : count + 1] = placed[:, at:count]
        placed[:, at] = best, end, item.first, item.last
        count += 1
    return addresses, peak


def lower_bound(intervals: Sequence[Interval]) -> int:
    """The most bytes that are needed in one step: no placement takes fewer."""
    grown: dict[int, int] = {}
    for interval in intervals:
        grown[interval.first] = grown.get(interval.first, 0) + interval.size
        grown[interval.last + 1] = grown.get(interval.last + 1, 0) - interval.size
    needed = most = 0
    for step in sorted(grown):
        needed += grown[step]
        most = max(most, needed)
    return most
