"""What needs memory, and when: intervals to place, obstacles that lie already, the lower bound."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Interval:
    """Something that needs `size` bytes from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Interval) -> bool:
        """Whether a step needs both."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An interval that has its address already: what is placed goes around it.

    Obstacles do not overlap one another.
    """

    address: int
    interval: Interval

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.address + self.interval.size


def _needs(intervals: Sequence[Interval]) -> tuple[list[int], list[int]]:
    """(steps in which something begins or has ended, in order; bytes needed from each on)."""
    grown: dict[int, int] = {}
    for interval in intervals:
        grown[interval.first] = grown.get(interval.first, 0) + interval.size
        grown[interval.last + 1] = grown.get(interval.last + 1, 0) - interval.size
    steps = sorted(grown)
    return steps, list(accumulate(grown[step] for step in steps))


def lower_bound(intervals: Sequence[Interval], obstacles: Sequence[Obstacle] = ()) -> int:
    """The most bytes that are needed in one step, or where the last obstacle ends.

    No placement takes fewer.
    """
    _, needed = _needs([*intervals, *(obstacle.interval for obstacle in obstacles)])
    return max([0, *needed, *(obstacle.end for obstacle in obstacles)])


def greatest_needs(intervals: Sequence[Interval], obstacles: Sequence[Obstacle] = ()) -> list[int]:
    """For each interval the most bytes that are needed in one of its steps, its own included."""
    steps, needed = _needs([*intervals, *(obstacle.interval for obstacle in obstacles)])
    return [
        max(needed[bisect_left(steps, i.first) : bisect_right(steps, i.last)]) for i in intervals
    ]


def meetings(intervals: Sequence[Interval]) -> list[list[int]]:
    """For each interval the numbers of those that it meets."""
    met: list[list[int]] = [[] for _ in intervals]
    alive: list[int] = []
    for i in sorted(range(len(intervals)), key=lambda i: (intervals[i].first, i)):
        alive = [j for j in alive if intervals[j].last >= intervals[i].first]
        for j in alive:
            met[j].append(i)
        met[i] += alive
        alive.append(i)
    return met


def walls(interval: Interval, obstacles: Sequence[Obstacle]) -> list[tuple[int, int]]:
    """The (address, end) of the obstacles that an interval meets, by address."""
    return sorted(
        (obstacle.address, obstacle.end)
        for obstacle in obstacles
        if obstacle.interval.size and obstacle.interval.meets(interval)
    )
