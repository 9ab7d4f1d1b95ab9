"""Which segment each operation runs in, so that there are as few segments as possible."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

KindT = TypeVar("KindT", bound=Hashable)

_WIDTH = 64
"""How many beginnings are followed at once. Two kinds have two; this bounds what three may cost."""


@dataclass(frozen=True)
class _Beginning(Generic[KindT]):
    """The segments so far, each with everything that it can have.

    Attributes:
        kinds: of the segments.
        stages: the segment of each operation; -1 of those that are left.
        missing: how many operands of each operation are not computed yet.
        ready: what could run next.
        left: how many operations are left.
    """

    kinds: tuple[KindT, ...]
    stages: list[int]
    missing: list[int]
    ready: frozenset[int]
    left: int


def fewest_segments(
    kinds: Sequence[KindT | None], operands: Sequence[Sequence[int]]
) -> tuple[list[int], tuple[KindT, ...]]:
    """Cuts operations into the fewest segments of one kind each that can run one after another.

    A segment of the kind that is chosen takes all operations of that kind that can run, and those
    that these make possible: leaving one for later never saves a segment. So only the order of the
    kinds is to be found, breadth first. Of two kinds they alternate and only the first one is open,
    which makes this exact and linear; of more it is exact as long as no more than `_WIDTH`
    beginnings of one length are worth following (the problem is that of shortest common
    supersequences).

    Args:
        kinds: of each operation; None of one that may run in a segment of any kind.
        operands: of each operation, the operations it reads; these stand before it.

    Returns:
        The segment of each operation, and the kind of each segment. Of several ways the one whose
        kinds come first in `kinds`.
    """
    count = len(kinds)
    users: list[list[int]] = [[] for _ in range(count)]
    for user, sources in enumerate(operands):
        for source in set(sources):
            users[source].append(user)
    missing = [len(set(sources)) for sources in operands]
    choices = list(dict.fromkeys(k for k in kinds if k is not None))
    if count and not choices:
        raise ValueError("no operation has a kind")
    start = _Beginning[KindT](
        (), [-1] * count, missing, frozenset(i for i, n in enumerate(missing) if n == 0), count
    )
    beginnings = [start]
    while beginnings[0].left:
        longer: dict[tuple[int, ...], _Beginning[KindT]] = {}
        for beginning in beginnings:
            for kind in choices:
                if beginning.kinds and beginning.kinds[-1] == kind:
                    continue
                made = _with_segment(beginning, kind, kinds, users)
                if made is not None:
                    done = tuple(s >= 0 for s in made.stages)
                    longer.setdefault(done, made)
        # Stable: of equal ones the first choice stays first.
        beginnings = sorted(longer.values(), key=lambda b: b.left)[:_WIDTH]
    return beginnings[0].stages, beginnings[0].kinds


def _with_segment(
    beginning: _Beginning[KindT],
    kind: KindT,
    kinds: Sequence[KindT | None],
    users: Sequence[Sequence[int]],
) -> _Beginning[KindT] | None:
    """One more segment of that kind; None if nothing that is of this kind itself can run."""
    stages, missing = list(beginning.stages), list(beginning.missing)
    worklist, ready, left = list(beginning.ready), set(beginning.ready), beginning.left
    named = False
    while worklist:
        operation = worklist.pop()
        if kinds[operation] not in (kind, None):
            continue
        named = named or kinds[operation] == kind
        stages[operation] = len(beginning.kinds)
        ready.discard(operation)
        left -= 1
        for user in users[operation]:
            missing[user] -= 1
            if missing[user] == 0:
                ready.add(user)
                worklist.append(user)
    if not named:
        return None
    return _Beginning((*beginning.kinds, kind), stages, missing, frozenset(ready), left)
