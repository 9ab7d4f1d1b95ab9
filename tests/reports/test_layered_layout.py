"""Layouts: edges lead downwards, nothing overlaps, and places are the best there are."""

from __future__ import annotations

import itertools
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.reports.layered_layout import layered_layout, spread

_EDGES = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40)


@given(_EDGES)
def test_nodes_of_any_graph_do_not_overlap(edges: list[tuple[int, int]]) -> None:
    layout = layered_layout(15, edges)
    rows: dict[int, list[float]] = defaultdict(list)
    for x, rank in zip(layout.x, layout.rank, strict=True):
        assert rank >= 0
        rows[rank].append(x)
    for row in rows.values():
        row.sort()
        assert all(b - a >= 1 - 1e-6 for a, b in itertools.pairwise(row))
    for (a, b), bends in zip(edges, layout.bends, strict=True):
        assert len(bends) == max(0, abs(layout.rank[a] - layout.rank[b]) - 1)


@given(_EDGES)
def test_edges_lead_downwards_where_there_is_no_circle(edges: list[tuple[int, int]]) -> None:
    forward = [(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]
    layout = layered_layout(15, forward)
    assert all(layout.rank[a] < layout.rank[b] for a, b in forward)


def test_a_chain_with_a_skip_is_straight() -> None:
    layout = layered_layout(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert layout.rank == (0, 1, 2, 3)
    assert abs(layout.x[1] - layout.x[2]) < 0.05
    assert len(layout.bends[3]) == 2


def test_a_long_chain_of_branches_does_not_drift() -> None:
    edges: list[tuple[int, int]] = []
    for block in range(0, 900, 3):
        edges += [(block + i, block + i + 1) for i in range(3)] + [(block, block + 3)]
    layout = layered_layout(901, edges)
    assert max(layout.x) - min(layout.x) < 0.5


@given(
    st.lists(
        st.tuples(st.floats(-9, 9), st.floats(0.1, 2), st.floats(0.5, 4)), min_size=1, max_size=8
    ),
    st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=8),
)
def test_spread_is_optimal(rows: list[tuple[float, float, float]], moves: list[float]) -> None:
    wanted, gaps, weights = [r[0] for r in rows], [r[1] for r in rows[1:]], [r[2] for r in rows]
    places = spread(wanted, gaps, weights)

    def cost(at: list[float]) -> float:
        return sum(w * (a - b) ** 2 for a, b, w in zip(at, wanted, weights, strict=True))

    assert all(b - a >= g - 1e-9 for a, b, g in zip(places, places[1:], gaps, strict=False))
    # No other places that keep the gaps are better; the problem is convex, so near ones tell.
    other = [p + m for p, m in zip(places, moves, strict=False)]
    for i, gap in enumerate(gaps):
        other[i + 1] = max(other[i + 1], other[i] + gap)
    assert cost(places) <= cost(other) + 1e-9
