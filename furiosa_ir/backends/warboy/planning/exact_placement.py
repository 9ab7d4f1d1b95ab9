"""The placement of few intervals that has the smallest peak: depth-first branch and bound.

In some best placement no interval can be moved down: each lies on the ground, on another one or on
an obstacle. Taken by address, each then lies at the lowest place above those before it, so that the
search is over orders. That, the inference from sections (the steps with the most intervals) and the
rule of dominance are facts from Moffitt, "MiniMalloc: A Lightweight Memory Allocator for
Hardware-Accelerated Machine Learning" (ASPLOS 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd
from operator import add

from furiosa_ir.backends.warboy.planning.intervals import Interval, Obstacle, meetings, walls

_PLACED = 1 << 63
"""Where an interval would lie that lies already."""


@dataclass
class _Frame:
    """A partial placement whose next interval is chosen.

    Attributes:
        choices: the intervals that may be next, the best last.
        floor: the address of the interval placed last: none that follows lies lower.
        peak: of what is placed.
        last: the interval placed last.
        undo: (interval, where it would have lain) before it was placed, that one first.
    """

    choices: list[int]
    floor: int
    peak: int
    last: int = -1
    undo: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


class _Search:
    """A problem, in units of what divides all sizes and addresses, and a partial placement.

    Args:
        items: the intervals.
        obstacles: what lies already.
        unit: bytes.
        limit: the greatest peak that is looked for.
    """

    def __init__(
        self, items: Sequence[Interval], obstacles: Sequence[Obstacle], unit: int, limit: int
    ) -> None:
        self.limit = limit
        self.sizes = [item.size // unit for item in items]
        self.meeting = meetings(items)
        self.walls = [[(a // unit, e // unit) for a, e in walls(i, obstacles)] for i in items]
        # Equal intervals are placed in their order.
        self.twins = [i - 1 if i and items[i - 1] == item else -1 for i, item in enumerate(items)]
        self.sections = _sections(items)
        self.inside: list[list[int]] = [[] for _ in items]
        for number, section in enumerate(self.sections):
            for i in section:
                self.inside[i].append(number)
        # What each section still has to place.
        self.needed = [sum(self.sizes[i] for i in section) for section in self.sections]
        # Where each interval would lie now.
        self.lows = [self._lowest(i, 0) for i in range(len(items))]
        self.placed: list[tuple[int, int]] = []

    def _lowest(self, item: int, above: int) -> int:
        """The first address from `above` on where no obstacle is in an interval's way."""
        for address, end in self.walls[item]:
            if address < above + self.sizes[item] and above < end:
                above = end
        return above

    def choices(self, floor: int, last: int) -> list[int]:
        """The intervals that may be placed next."""
        lows, twins = self.lows, self.twins
        # What fits wholly below the next one could be moved down there.
        ceiling = min(map(add, lows, self.sizes))
        found = [i for i, low in enumerate(lows) if floor <= low < ceiling]
        # Intervals of one address never meet: their order is that of their numbers.
        found = [
            i
            for i in found
            if (lows[i] > floor or i > last) and (twins[i] < 0 or lows[twins[i]] == _PLACED)
        ]
        return sorted(found, key=lambda i: (-lows[i], -i))

    def place(self, item: int, peak: int) -> tuple[_Frame, bool]:
        """Places an interval; whether the rest may fit below the limit, as far as is seen."""
        lows, sizes, limit = self.lows, self.sizes, self.limit
        low = lows[item]
        top = low + sizes[item]
        frame = _Frame([], low, max(peak, top), item, [(item, low)])
        self.placed.append((item, low))
        lows[item] = _PLACED
        touched = set(self.inside[item])
        for section in self.inside[item]:
            self.needed[section] -= sizes[item]
        if top > limit or max(self.needed) + low > limit:
            return frame, False
        for other in self.meeting[item]:
            before = lows[other]
            if before < top:
                after = self._lowest(other, top) if self.walls[other] else top
                frame.undo.append((other, before))
                lows[other] = after
                if after + sizes[other] > limit:
                    return frame, False
                touched.update(self.inside[other])
        for section in touched:
            needed = self.needed[section]
            if needed and needed + min(lows[i] for i in self.sections[section]) > limit:
                return frame, False
        return frame, True

    def take_back(self, frame: _Frame) -> None:
        """Undoes `place`."""
        self.placed.pop()
        for item, low in frame.undo:
            self.lows[item] = low
        for section in self.inside[frame.last]:
            self.needed[section] += self.sizes[frame.last]


def exact_placement(
    intervals: Sequence[Interval],
    obstacles: Sequence[Obstacle],
    *,
    below: int,
    target: int,
    nodes: int,
) -> tuple[list[int] | None, bool]:
    """Looks for the smallest peak, if it is smaller than `below`.

    Args:
        intervals: at least one, each of at least one byte.
        obstacles: what lies already.
        below: a peak that is known.
        target: a peak at which the search ends: a lower bound.
        nodes: how many partial placements are looked at at most.

    Returns:
        (addresses of the best placement found, None if there is none below `below`; whether no
        placement has a smaller peak).
    """
    unit = gcd(*(i.size for i in intervals), *(n for o in obstacles for n in (o.address, o.end)))
    order = sorted(range(len(intervals)), key=lambda i: _key(intervals[i]))
    search = _Search([intervals[i] for i in order], obstacles, unit, (below - 1) // unit)
    ground = max((obstacle.end // unit for obstacle in obstacles), default=0)
    least = -(-target // unit)
    best: list[tuple[int, int]] | None = None
    frames = [_Frame(search.choices(0, -1), 0, ground)]
    while frames and search.limit >= least and nodes > 0:
        frame = frames[-1]
        if not frame.choices:
            frames.pop()
            if frames:
                search.take_back(frame)
            continue
        nodes -= 1
        after, may_fit = search.place(frame.choices.pop(), frame.peak)
        if may_fit and len(search.placed) < len(order):
            after.choices = search.choices(after.floor, after.last)
            frames.append(after)
            continue
        if may_fit:
            best, search.limit = list(search.placed), after.peak - 1
        search.take_back(after)
    is_best = search.limit < least or not frames
    if best is None:
        return None, is_best
    addresses = [0] * len(intervals)
    for item, address in best:
        addresses[order[item]] = address * unit
    return addresses, is_best


def _key(interval: Interval) -> tuple[int, int, int]:
    return -interval.size * (interval.last - interval.first + 1), interval.first, interval.last


def _sections(items: Sequence[Interval]) -> list[list[int]]:
    """What lives in each step, without steps whose intervals are among another one's.

    The most live where an interval begins.
    """
    found: list[frozenset[int]] = []
    alive: list[int] = []
    by_start = sorted(range(len(items)), key=lambda i: items[i].first)
    for number, i in enumerate(by_start):
        alive = [j for j in alive if items[j].last >= items[i].first]
        alive.append(i)
        if number + 1 < len(items) and items[by_start[number + 1]].first == items[i].first:
            continue
        now = frozenset(alive)
        while found and found[-1] <= now:
            found.pop()
        found.append(now)
    return [sorted(section) for section in found]
