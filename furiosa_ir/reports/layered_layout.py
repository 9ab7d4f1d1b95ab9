"""Places the nodes of a graph in layers, so that edges lead downwards: Sugiyama's method.

Ranks by the longest path from the sources; crossings fewer by barycentres (Sugiyama, Tagawa, Toda
1981); places within a rank as near to a node's neighbours as order and distances allow, which is
isotonic regression (pool adjacent violators), exact for each rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 6
"""Down and up again; later ones change little."""

_BEND = 0.25
"""How hard a bend pulls, against a node's 1: the main chain is straight, and what skips goes round
it. It is the same for who pulls and who is pulled, or a chain of branches would drift sideways."""

_MOST_BENDS = 40_000
"""Places that edges pass between their ends; edges beyond are straight."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where nodes are.

    Attributes:
        x: of each node's middle, in units of a node's width and the gap beside it.
        rank: of each node, 0 at the top.
        bends: for each edge, the x at each rank that it passes between its ends.
    """

    x: tuple[float, ...]
    rank: tuple[int, ...]
    bends: tuple[tuple[float, ...], ...]


def layered_layout(count: int, edges: Sequence[tuple[int, int]]) -> Layout:
    """The layout of a graph of `count` nodes; an edge that closes a circle leads upwards."""
    down = _without_circles(count, edges)
    rank = _ranks(count, down)
    # Each rank that an edge passes has a place of its own for it: a node with two neighbours.
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    ranks = list(rank)
    passed: list[list[int]] = []
    for a, b in down:
        bends: list[int] = []
        if rank[b] - rank[a] - 1 + len(ranks) - count <= _MOST_BENDS:
            for at in range(rank[a] + 1, rank[b]):
                bends.append(len(ranks))
                ranks.append(at)
                above.append([])
                below.append([])
        passed.append(bends)
        for upper, lower in zip([a, *bends], [*bends, b], strict=True):
            below[upper].append(lower)
            above[lower].append(upper)
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for node, at in enumerate(ranks):
        rows[at].append(node)
    x = _places(rows, above, below, count)
    routes: list[tuple[float, ...]] = []
    for (a, _), (c, _), bends in zip(edges, down, passed, strict=True):
        route = [x[bend] for bend in bends]
        routes.append(tuple(route if a == c else reversed(route)))
    return Layout(tuple(x[:count]), tuple(rank), tuple(routes))


def _without_circles(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The edges, turned round where they lead back to where a walk along them came from."""
    after: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        after[a].append(b)
    order = [0] * count  # when the walk left a node: later ones come first
    state = [0] * count
    left = 0
    for root in range(count):
        stack = [(root, iter(after[root]))] if not state[root] else []
        state[root] = state[root] or 1
        while stack:
            node, rest = stack[-1]
            following = next((n for n in rest if not state[n]), None)
            if following is None:
                stack.pop()
                left += 1
                order[node] = left
            else:
                state[following] = 1
                stack.append((following, iter(after[following])))
    return [(a, b) if order[a] >= order[b] else (b, a) for a, b in edges]


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest path from a source; sources as low as their readers let them be."""
    after: list[list[int]] = [[] for _ in range(count)]
    missing = [0] * count
    for a, b in edges:
        if a != b:
            after[a].append(b)
            missing[b] += 1
    sources = [node for node in range(count) if not missing[node]]
    rank = [0] * count
    ready = list(sources)
    while ready:
        node = ready.pop()
        for following in after[node]:
            rank[following] = max(rank[following], rank[node] + 1)
            missing[following] -= 1
            if not missing[following]:
                ready.append(following)
    for node in sources:
        if after[node]:
            rank[node] = min(rank[following] for following in after[node]) - 1
    return rank


def _places(
    rows: list[list[int]], above: list[list[int]], below: list[list[int]], count: int
) -> list[float]:
    """The x of each node; `rows` are put in order on the way."""
    x = [0.0] * len(above)
    weight = [1.0] * count + [_BEND] * (len(above) - count)
    for row in rows:
        for at, node in enumerate(row):
            x[node] = float(at)
    for sweep in range(2 * _SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        for row in rows if downwards else reversed(rows):
            wanted = {
                node: sum(x[n] * weight[n] for n in near) / sum(weight[n] for n in near)
                if (near := neighbours[node])
                else x[node]
                for node in row
            }
            row.sort(key=lambda node: (wanted[node], x[node]))
            gaps = [_gap(a, b, count) for a, b in pairwise(row)]
            places = spread([wanted[node] for node in row], gaps, [weight[node] for node in row])
            for node, place in zip(row, places, strict=True):
                x[node] = place
    least = min(x, default=0.0)
    return [place - least for place in x]


def _gap(a: int, b: int, count: int) -> float:
    """How far the middles of two neighbours are apart; an edge needs less room than a node."""
    return 0.5 * (a < count) + 0.5 * (b < count) + 0.12 * ((a >= count) + (b >= count))


def spread(wanted: Sequence[float], gaps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Places as near to the wanted ones as can be, in order and with the gaps between them.

    Args:
        wanted: a place for each.
        gaps: at least so much between each and the next.
        weights: how much it matters how near each comes.

    Returns:
        The places with the least weighted sum of squared distances.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    # Without the gaps the places only have to ascend: blocks that would not are joined.
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for place, offset, weight in zip(wanted, offsets, weights, strict=False):
        mean, total, size = place - offset, weight, 1
        while blocks and blocks[-1][0] >= mean:
            other, other_weight, other_size = blocks.pop()
            mean = (mean * total + other * other_weight) / (total + other_weight)
            total += other_weight
            size += other_size
        blocks.append((mean, total, size))
    means = [mean for mean, _, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]
