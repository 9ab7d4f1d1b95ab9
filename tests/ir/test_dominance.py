"""Dominator trees against xDSL's sets of dominators, and against the definition."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects import test
from xdsl.ir import Block, Region

from furiosa_ir.ir.dominance import dominator_tree


def region_of(edges: Sequence[Sequence[int]]) -> Region:
    blocks = [Block() for _ in edges]
    for block, targets in zip(blocks, edges, strict=True):
        block.add_op(test.TestTermOp(successors=[blocks[t] for t in targets]))
    return Region(blocks)


def reachable(edges: Sequence[Sequence[int]], without: int | None) -> set[int]:
    """The blocks that the entry leads to if one is taken out."""
    seen: set[int] = set()
    pending = [] if without == 0 else [0]
    while pending:
        block = pending.pop()
        if block not in seen:
            seen.add(block)
            pending += [t for t in edges[block] if t != without]
    return seen


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    count = draw(st.integers(1, 8))
    block = st.integers(0, count - 1)
    return [draw(st.lists(block, max_size=3)) for _ in range(count)]


@given(graphs())
def test_a_block_dominates_what_is_not_reached_without_it(edges: list[list[int]]) -> None:
    region = region_of(edges)
    blocks = list(region.blocks)
    roots, tree = dominator_tree(region)
    dominators: dict[Block, set[Block]] = {}
    pending = [(root, set[Block]()) for root in roots]
    while pending:
        block, above = pending.pop()
        assert block not in dominators  # it is a tree
        dominators[block] = above | {block}
        pending += [(child, dominators[block]) for child in tree[block]]
    assert dominators.keys() == set(blocks)
    assert roots[0] is blocks[0]
    alive = reachable(edges, None)
    for a in alive:
        dominated = alive - reachable(edges, a)
        assert {b for b in alive if blocks[a] in dominators[blocks[b]]} == dominated


def test_a_region_without_blocks() -> None:
    assert dominator_tree(Region()) == ([], {})


def test_many_blocks_take_linear_time() -> None:
    count = 20_000
    region = region_of([[i + 1, (7 * i) % (i + 1)] if i + 1 < count else [] for i in range(count)])
    started = time.process_time()
    roots, _ = dominator_tree(region)
    assert len(roots) == 1
    assert time.process_time() - started < 5
