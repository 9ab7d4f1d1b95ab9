"""Addresses from liveness: greedy best fit over intervals, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
    """
    order = sorted(
        range(len(intervals)),
        key=lambda i: (-intervals[i].size, intervals[i].first, intervals[i].last, i),
    )
    addresses = [0] * len(intervals)
    placed: list[tuple[int, int, int, int]] = []  # (address, end, first, last)
    # Most of thousands of intervals never meet: numpy finds the few that do.
    firsts, lasts = np.empty((2, len(intervals)), np.int64)
    peak = 0
    for i in order:
        item = intervals[i]
        if item.size == 0:
            continue
        best, best_gap, low = -1, 1 << 62, 0
        count = len(placed)
        meets = (firsts[:count] <= item.last) & (lasts[:count] >= item.first)
        for address, end, _, _ in sorted(placed[n] for n in np.flatnonzero(meets)):
            gap = address - low
            if item.size <= gap < best_gap:
                best, best_gap = low, gap
            low = max(low, end)
        if best < 0:
            best = low
        addresses[i] = best
        end = best + item.size
        peak = max(peak, end)
        firsts[count], lasts[count] = item.first, item.last
        placed.append((best, end, item.first, item.last))
    return addresses, peak
