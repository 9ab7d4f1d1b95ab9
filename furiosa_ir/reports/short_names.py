"""Short names for layers: of the hundreds of characters that frameworks give, few tell them apart.

A name is what its first operator is called ("a;b" in TFLite, "a+b" for operators that were fused),
without the folders that most layers are in, as far as tells it from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from re import split

from furiosa_ir.errors import readable

LONGEST = 28
"""Characters of a short name."""

_SHORTEST = 3
"""Characters that say anything, if there are more."""


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """A short name for each name, in order; different ones even for names that are the same."""
    paths = _without_shared([_path(name) for name in names])
    begins = Counter(begin for path in paths for begin in accumulate(path, "{}/{}".format))
    short = [_cut(_telling(path, begins)) for path in paths]
    found, taken = Counter(short), set(short)
    seen: Counter[str] = Counter()
    for index, name in enumerate(short):
        if found[name] > 1:
            seen[name] += 1
            numbered = _numbered(name, seen[name])
            while seen[name] > 1 and numbered in taken:
                seen[name] += 1
                numbered = _numbered(name, seen[name])
            short[index] = numbered
            taken.add(numbered)
    return tuple(short)


def _numbered(name: str, number: int) -> str:
    mark = f" #{number}"
    return name if number == 1 else name[: LONGEST - len(mark)] + mark


def _path(name: str) -> tuple[str, ...]:
    first = split(r"[;+]", name, maxsplit=1)[0] or name
    return tuple(part for part in readable(first, 2000).split("/") if part) or ("unnamed",)


def _without_shared(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without the outer folders that most layers are in."""
    while True:
        heads = Counter(path[0] for path in paths if len(path) > 1)
        head, count = next(iter(heads.most_common(1)), ("", 0))
        if 2 * count <= len(paths):
            return paths
        paths = [path[1:] if path[0] == head and len(path) > 1 else path for path in paths]


def _telling(path: tuple[str, ...], begins: Counter[str]) -> str:
    """The least beginning that no other layer has; all of the path if there is none."""
    whole = list(accumulate(path, "{}/{}".format))
    telling = (b for b in whole if begins[b] == 1 and len(b) >= _SHORTEST)
    return next(telling, whole[-1])


def _cut(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    front = LONGEST // 3
    return f"{name[:front]}…{name[front + 1 - LONGEST :]}"
