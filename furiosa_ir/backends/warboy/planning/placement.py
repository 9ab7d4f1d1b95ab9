"""Addresses from liveness: the smallest peak that is found with bounded work.

Best fit first: where it needs no more than is needed at once, nothing better exists. Where it needs
more, few intervals are searched for the best placement there is, many climb. What is done is
bounded by counts, never by time, so that the same intervals have the same addresses everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from furiosa_ir.backends.warboy.planning.best_fit import best_fit
from furiosa_ir.backends.warboy.planning.exact_placement import exact_placement
from furiosa_ir.backends.warboy.planning.intervals import (
    Interval,
    Obstacle,
    greatest_needs,
    lower_bound,
)
from furiosa_ir.errors import CompilationFailure

FEW = 64
"""Intervals up to which the best placement is searched for."""

NODES = 4000
"""Partial placements that this search looks at: some 60 ms. As a rule a hundred suffice."""

DIVES = 2
"""How often as many partial placements as there are blocks are searched before a climb."""

PLACED = 20_000
"""Blocks that are placed in this search, if that is more."""

EFFORT = 400_000
"""Of a climb: some 30 ms at most, one in ten as a rule."""

HARD = 8
"""Times that much is done where the peak is beyond the capacity: to plan anew costs more."""

FULL = 0.75
"""Blocks are placed together that live in a step which needs more than this share of the bound."""

MOST_BLOCKS = 400
"""Blocks that are placed together: what it takes grows with their number."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where intervals lie.

    Attributes:
        addresses: of each interval.
        peak: the greatest byte used, by obstacles as well.
        bound: the most bytes that are needed at once.
        is_best: whether it is proved that no placement has a smaller peak.
    """

    addresses: tuple[int, ...]
    peak: int
    bound: int
    is_best: bool


def place_intervals(
    intervals: Sequence[Interval],
    obstacles: Sequence[Obstacle] = (),
    *,
    capacity: int | None = None,
) -> Placement:
    """Addresses such that what lives at the same time does not overlap.

    Sizes, and the addresses of obstacles, are taken as they are: make them multiples of the
    alignment first, and so are the addresses then. What needs no bytes lies at 0.

    Args:
        intervals: what is placed.
        obstacles: what lies already, without overlapping: areas that live through the whole program
            at the bottom of the memory, for one.
        capacity: how many bytes there are: more is tried before a peak beyond it is returned.

    Raises:
        CompilationFailure: an edited plan wants more bytes than there are addresses.
    """
    _check_size(intervals, obstacles)
    return _place(tuple(intervals), tuple(obstacles), capacity)


def has_addresses(
    intervals: Sequence[Interval], obstacles: Sequence[Obstacle], capacity: int
) -> bool:
    """Whether `place_intervals` finds addresses below the capacity: it is asked if best fit fails.

    Args:
        intervals, obstacles: as there.
        capacity: how many bytes there are.

    Raises:
        CompilationFailure: as there.
    """
    _check_size(intervals, obstacles)
    _, peak = _best_fit(tuple(intervals), tuple(obstacles))
    return peak <= capacity or (
        place_intervals(intervals, obstacles, capacity=capacity).peak <= capacity
    )


def _check_size(intervals: Sequence[Interval], obstacles: Sequence[Obstacle]) -> None:
    total = sum(interval.size for interval in intervals)
    total += max((obstacle.end for obstacle in obstacles), default=0)
    if total >= 1 << 63:
        raise CompilationFailure(f"the plan takes {total} bytes")


@lru_cache(maxsize=4)
def _best_fit(
    intervals: tuple[Interval, ...], obstacles: tuple[Obstacle, ...]
) -> tuple[Sequence[int], int]:
    return best_fit(intervals, obstacles)


# `plan-tiles` asks whether there are addresses, `allocate` for the same ones.
@lru_cache(maxsize=4)
def _place(
    intervals: tuple[Interval, ...], obstacles: tuple[Obstacle, ...], capacity: int | None
) -> Placement:
    fit, peak = _best_fit(intervals, obstacles)
    addresses = list(fit)
    bound = lower_bound(intervals, obstacles)
    is_best = peak == bound
    if not is_best:
        numbers = [i for i, interval in enumerate(intervals) if interval.size]
        sized = [intervals[i] for i in numbers]
        found, is_best = _improve(sized, obstacles, peak, bound, capacity)
        if found is not None:
            for i, address in zip(numbers, found, strict=True):
                addresses[i] = address
            ends = [address + interval.size for address, interval in zip(found, sized, strict=True)]
            peak = max([*ends, *(obstacle.end for obstacle in obstacles)])
    return Placement(tuple(addresses), peak, bound, is_best)


def forget() -> None:
    """Forgets what has been placed: what comes next is worked out anew."""
    _place.cache_clear()
    _best_fit.cache_clear()


@dataclass
class _Found:
    """The best addresses so far.

    Attributes:
        items: what they are of.
        peak: theirs, without obstacles.
        addresses: None as long as nothing better than what was known before is found.
    """

    items: Sequence[Interval]
    peak: int
    addresses: list[int] | None = None

    def take(self, addresses: list[int] | None) -> None:
        """Takes addresses if they are better."""
        if addresses is not None:
            peak = max(a + item.size for a, item in zip(addresses, self.items, strict=True))
            if peak < self.peak:
                self.addresses, self.peak = addresses, peak


def _improve(
    intervals: Sequence[Interval],
    obstacles: Sequence[Obstacle],
    peak: int,
    bound: int,
    capacity: int | None,
) -> tuple[list[int] | None, bool]:
    """(addresses with a smaller peak, if any are found; whether none have a still smaller one)."""
    found = _Found(intervals, peak)
    if len(intervals) <= FEW:
        exact, is_best = exact_placement(
            intervals, obstacles, below=peak, target=bound, nodes=NODES
        )
        found.take(exact)
        if is_best:
            return found.addresses, True
    # What is needed from and to the same steps, as a kernel's parameters are, lies together: that
    # leaves a third of the intervals, and in practice costs nothing.
    members: dict[tuple[int, int], list[int]] = {}
    for number, interval in enumerate(intervals):
        members.setdefault((interval.first, interval.last), []).append(number)
    steps = sorted(members)
    blocks = [Interval(sum(intervals[i].size for i in members[each]), *each) for each in steps]
    better = _place_blocks(blocks, obstacles, found.peak, bound, capacity)
    if better is not None:
        addresses = [0] * len(intervals)
        for each, address in zip(steps, better, strict=True):
            at = address
            for i in sorted(members[each], key=lambda i: (-intervals[i].size, i)):
                addresses[i] = at
                at += intervals[i].size
        found.take(addresses)
    return found.addresses, found.peak <= bound


def _place_blocks(
    blocks: Sequence[Interval],
    obstacles: Sequence[Obstacle],
    peak: int,
    bound: int,
    capacity: int | None,
) -> list[int] | None:
    """Addresses with a smaller peak, if any are found.

    Where the fullest steps decide, what lives there is placed alone, and the rest goes around it.
    """
    found = _Found(blocks, peak)
    needs = greatest_needs(blocks, obstacles)
    fullest = sorted(range(len(blocks)), key=lambda i: (-needs[i], i))
    count = sum(need > FULL * bound for need in needs)
    for part in sorted({min(n, MOST_BLOCKS) for n in (count, len(blocks))}):
        core = [blocks[i] for i in fullest[:part]]
        better = _place_core(core, obstacles, found.peak, bound, capacity)
        if better is not None:
            lying = [Obstacle(a, block) for a, block in zip(better, core, strict=True)]
            others, _ = best_fit([blocks[i] for i in fullest[part:]], [*obstacles, *lying])
            addresses = [0] * len(blocks)
            for i, address in zip(fullest, [*better, *others], strict=True):
                addresses[i] = address
            found.take(addresses)
        if found.peak <= bound:
            break
    return found.addresses


def _place_core(
    blocks: Sequence[Interval],
    obstacles: Sequence[Obstacle],
    peak: int,
    bound: int,
    capacity: int | None,
) -> list[int] | None:
    """Addresses with a smaller peak, if any are found, of what is placed together."""
    found = _Found(blocks, peak)
    from furiosa_ir.backends.warboy.planning.hill_climb import (  # noqa: PLC0415  # few climb
        best_addresses,
        block_problem,
        climb,
        first_fits,
    )

    problem = block_problem(blocks, obstacles, bound)
    fits = first_fits(problem)
    found.take(best_addresses(fits))
    if found.peak > bound:
        nodes = max(DIVES * len(blocks), PLACED // len(blocks))
        found.take(
            exact_placement(blocks, obstacles, below=found.peak, target=bound, nodes=nodes)[0]
        )
    if found.peak > bound:
        fits = climb(problem, fits, EFFORT)
        found.take(best_addresses(fits))
    if capacity is not None and found.peak > max(bound, capacity):
        found.take(best_addresses(climb(problem, fits, EFFORT * HARD)))
    return found.addresses
