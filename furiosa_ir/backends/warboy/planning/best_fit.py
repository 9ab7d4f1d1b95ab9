"""Greedy best fit over intervals, the largest first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furiosa_ir.backends.warboy.planning.intervals import Interval, Obstacle


def best_fit(
    intervals: Sequence[Interval], obstacles: Sequence[Obstacle] = ()
) -> tuple[list[int], int]:
    """Addresses such that what lives at the same time does not overlap.

    The largest interval goes first, each into the smallest gap that takes it between those it
    meets. What needs nothing lies at 0.

    Returns:
        (an address for each interval, the greatest byte used).
    """
    order = sorted(
        range(len(intervals)),
        key=lambda i: (-intervals[i].size, intervals[i].first, intervals[i].last, i),
    )
    addresses = [0] * len(intervals)
    # What is placed, by address: numpy looks through thousands at once.
    placed = np.empty((4, len(intervals) + len(obstacles)), np.int64)
    count = peak = 0
    for obstacle in sorted(obstacles, key=lambda obstacle: obstacle.address):
        where = obstacle.interval
        placed[:, count] = obstacle.address, obstacle.end, where.first, where.last
        peak = max(peak, obstacle.end)
        count += 1
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
