"""Which blocks dominate which, as a tree.

xDSL's `DominanceInfo` (0.74) keeps a set of dominators for each block: quadratic time and memory,
3.7 GB for 20,000 blocks. The algorithm here is that of Cooper, Harvey and Kennedy, "A Simple, Fast
Dominance Algorithm" (2001).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdsl.ir import Block, Region


def dominator_tree(region: Region) -> tuple[Sequence[Block], Mapping[Block, Sequence[Block]]]:
    """(roots, block -> the blocks that it dominates immediately), both in the region's order.

    The region's first block is a root, and so is a block that nothing leads to: such blocks are
    never executed, and dominate what they lead to among themselves.
    """
    blocks = list(region.blocks)
    if len(blocks) == 1:  # nearly all
        return blocks, {blocks[0]: []}
    numbers = {block: number for number, block in enumerate(blocks)}
    successors = [
        [
            numbers[s]
            for s in (b.last_op.successors if b.last_op is not None else ())
            if s in numbers
        ]
        for b in blocks
    ]
    roots, order = _postorder(successors)
    # What is never executed does not matter to what is: the entry's blocks come first in `order`.
    alive = set(order[: order.index(0) + 1]) if order else set[int]()
    successors = [
        targets if number in alive else [t for t in targets if t not in alive]
        for number, targets in enumerate(successors)
    ]
    parents = _immediate_dominators(successors, roots, order)
    tree: dict[Block, list[Block]] = {block: [] for block in blocks}
    tops: list[Block] = []
    for number, block in enumerate(blocks):
        parent = parents[number]
        (tops if parent == len(blocks) else tree[blocks[parent]]).append(block)
    return tops, tree


def _postorder(successors: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """(roots, all blocks in postorder): every block is reached from a root."""
    led_to = {s for targets in successors for s in targets}
    count = len(successors)
    starts = [0, *(n for n in range(1, count) if n not in led_to), *range(1, count)]
    seen: set[int] = set()
    roots: list[int] = []
    order: list[int] = []
    for start in starts if count else ():
        if start in seen:
            continue  # the last of `starts`: only a cycle that nothing leads to is left for them
        roots.append(start)
        seen.add(start)
        stack = [(start, iter(successors[start]))]
        while stack:
            block, targets = stack[-1]
            following = next((t for t in targets if t not in seen), None)
            if following is None:
                order.append(block)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(successors[following])))
    return roots, order


def _immediate_dominators(
    successors: Sequence[Sequence[int]], roots: Iterable[int], order: Sequence[int]
) -> list[int]:
    """The immediate dominator of each block; the number of blocks stands for "none"."""
    none = len(successors)
    rank = {block: place for place, block in enumerate(order)}
    rank[none] = none
    predecessors: list[list[int]] = [[] for _ in successors]
    for block, targets in enumerate(successors):
        for target in targets:
            predecessors[target].append(block)
    for root in roots:
        predecessors[root].append(none)
    dominators = [-1] * none + [none]
    changed = True
    while changed:
        changed = False
        for block in reversed(order):
            new = -1
            for other in predecessors[block]:
                if dominators[other] < 0:
                    continue
                a, b = other, new if new >= 0 else other
                while a != b:
                    if rank[a] < rank[b]:
                        a = dominators[a]
                    else:
                        b = dominators[b]
                new = a
            if dominators[block] != new:
                dominators[block] = new
                changed = True
    return dominators[:none]
