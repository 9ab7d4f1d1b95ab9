"""Placements of many blocks: orders for best fit, and a seeded hill climb over them.

Blocks are placed one after the other, each into the smallest gap that takes it; what is looked for
is the order. The climb takes a block at the peak and places it before one that is in its way, as
the "HillClimb" allocator of Vela does (ethos-u-vela); what gets no worse is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from furiosa_ir.backends.warboy.planning.intervals import (
    Interval,
    Obstacle,
    greatest_needs,
    meetings,
    walls,
)

SEED = 1
"""Of the climb. The same blocks have the same addresses everywhere."""

EXCHANGED = 0.2
"""How often two more blocks change places."""


@dataclass
class BlockProblem:
    """Blocks to place.

    Attributes:
        blocks: each of at least one byte.
        meeting: for each block those that it meets.
        walls: for each block the (address, end) of the obstacles that it meets.
        needs: for each block the most bytes that are needed in one of its steps.
        ground: where the last obstacle ends.
        bound: no peak is smaller.
        random: of the climb.
    """

    blocks: Sequence[Interval]
    meeting: list[list[int]]
    walls: list[list[tuple[int, int]]]
    needs: list[int]
    ground: int
    bound: int
    random: Random


@dataclass(frozen=True, slots=True)
class Fit:
    """Blocks in an order, and where they lie then.

    Attributes:
        order: numbers of the blocks.
        placed: (address, end) of each block.
        peak: the greatest end, of obstacles as well.
    """

    order: list[int]
    placed: list[tuple[int, int]]
    peak: int


def block_problem(
    blocks: Sequence[Interval], obstacles: Sequence[Obstacle], bound: int
) -> BlockProblem:
    """Says once what each step of a climb asks for.

    Args:
        blocks: at least one, each of at least one byte.
        obstacles: what lies already.
        bound: a peak at which a climb ends: a lower bound.
    """
    return BlockProblem(
        blocks=blocks,
        meeting=meetings(blocks),
        walls=[walls(block, obstacles) for block in blocks],
        needs=greatest_needs(blocks, obstacles),
        ground=max((obstacle.end for obstacle in obstacles), default=0),
        bound=bound,
        random=Random(SEED),  # noqa: S311  # a search keeps no secrets
    )


def first_fits(problem: BlockProblem) -> list[Fit]:
    """Placements to begin with; the last one is the only one that may reach the bound.

    What lives in the steps that need most goes first: the longest lived of it, or the largest.
    """
    blocks, most = problem.blocks, problem.needs
    lasting = [block.last - block.first + 1 for block in blocks]
    keys: list[Callable[[int], tuple[int, ...]]] = [
        lambda i: (-most[i], -lasting[i]),
        lambda i: (-most[i], -blocks[i].size),
        lambda i: (-blocks[i].size * lasting[i],),
        lambda i: (-blocks[i].size,),
    ]
    fits: list[Fit] = []
    for key in keys:
        fit, _ = _fit(problem, sorted(range(len(blocks)), key=key), None)
        assert fit is not None
        fits.append(fit)
        if fit.peak <= problem.bound:
            break
    return fits


def climb(problem: BlockProblem, fits: Sequence[Fit], effort: int) -> list[Fit]:
    """Climbs from all placements in turn; none of them gets worse.

    Args:
        problem: what is placed.
        fits: where the climbs begin.
        effort: how many blocks of an order, and others that they meet, are looked at.

    Returns:
        Where the climbs end; some one of them at the bound, if that is reached.
    """
    climbs = list(fits)
    while True:
        for number, before in enumerate(climbs):
            if effort <= 0:
                return climbs
            after, looked = _fit(problem, _changed(problem, before), before.peak)
            effort -= looked
            if after is not None:
                climbs[number] = after
                if after.peak <= problem.bound:
                    return climbs


def best_addresses(fits: Sequence[Fit]) -> list[int]:
    """Those of the placement with the smallest peak."""
    return [address for address, _ in min(fits, key=lambda fit: fit.peak).placed]


def _changed(problem: BlockProblem, fit: Fit) -> list[int]:
    """A block at the peak goes before one that it meets; sometimes two more change places."""
    order, random = list(fit.order), problem.random
    highest = [i for i in order if fit.placed[i][1] == fit.peak] or order
    block = highest[int(random.random() * len(highest))]
    met = problem.meeting[block]
    rank = {i: n for n, i in enumerate(order)}
    before = [i for i in met if rank[i] < rank[block]]
    if before:
        at = rank[before[int(random.random() * len(before))]]
        del order[rank[block]]
        order.insert(at, block)
    if met and random.random() < EXCHANGED:
        one, other = order.index(block), order.index(met[int(random.random() * len(met))])
        order[one], order[other] = order[other], order[one]
    return order


def _fit(problem: BlockProblem, order: list[int], most: int | None) -> tuple[Fit | None, int]:
    """Places the blocks in an order, as long as the peak is not greater than `most`.

    Returns:
        (the placement; what it took, in units of `climb`).
    """
    placed: list[tuple[int, int] | None] = [None] * len(order)
    peak, looked = problem.ground, len(order)
    for i in order:
        size, meeting = problem.blocks[i].size, problem.meeting[i]
        looked += len(meeting) + 8
        near = [place for j in meeting if (place := placed[j]) is not None]
        near += problem.walls[i]
        near.sort()
        low, best, gap = 0, -1, 1 << 63
        for start, end in near:
            if size <= start - low < gap:
                best, gap = low, start - low
            if end > low:  # noqa: PLR1730  # what a compile does most often here
                low = end
        if best < 0:
            best = low
        end = best + size
        if end > peak:
            peak = end
            if most is not None and peak > most:
                return None, looked
        placed[i] = best, end
    return Fit(order, [place for place in placed if place is not None], peak), looked
