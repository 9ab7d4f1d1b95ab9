"""`furiosa reduce`: a module made smaller, as long as what is wrong with it stays.

Each candidate is verified before it is tried; those of a batch are tried at once. A candidate that
is interesting takes the module's place, and the search goes on with it, until none is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from time import monotonic

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.debugging.part import operations_of
from furiosa_ir.debugging.shrinking import SHRINKS
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.verifier import verify_module

Test = Callable[[Sequence[ModuleOp]], Sequence[bool]]
"""Which of some modules are interesting; they are tried at once."""


class NotInteresting(FuriosaError):
    """There is nothing to reduce: what is looked for is not there."""


@dataclass(frozen=True)
class Reduction:
    """What is left of a module.

    Attributes:
        module: it.
        before, after: operations, constants aside.
        tried: candidates.
    """

    module: ModuleOp
    before: int
    after: int
    tried: int


Progress = Callable[[int, int], None]
"""Is told how many operations are left, and how many candidates have been tried."""


def reduce_module(
    module: ModuleOp,
    test: Test,
    *,
    batch: int = 1,
    progress: Progress | None = None,
    until: float = inf,
) -> Reduction:
    """The smallest module that is still interesting, as far as single steps lead.

    Args:
        module: stays as it is.
        test: which of some modules are interesting.
        batch: how many to try at once.
        progress: is told of each module that is interesting.
        until: when to be content with what there is, by `time.monotonic`.

    Raises:
        NotInteresting: the module itself is not.
    """
    if not test([module])[0]:
        raise NotInteresting(
            "the module does not show what is looked for: there is nothing to reduce"
        )
    before, tried, found = len(operations_of(module)), 1, True
    while found:
        found = False
        for shrink in SHRINKS:
            smaller: ModuleOp | None = module
            while smaller is not None:
                smaller, count = _first(shrink(module), test, batch, until)
                tried += count
                if smaller is not None:
                    module, found = smaller, True
                    if progress is not None:
                        progress(len(operations_of(module)), tried)
    return Reduction(module, before, len(operations_of(module)), tried)


def _first(
    candidates: Iterator[ModuleOp], test: Test, batch: int, until: float
) -> tuple[ModuleOp | None, int]:
    """The first candidate that is interesting, and how many were tried."""
    sound = (candidate for candidate in candidates if _is_sound(candidate))
    tried = 0
    while monotonic() < until and (some := list(islice(sound, batch))):
        tried += len(some)
        for candidate, is_interesting in zip(some, test(some), strict=True):
            if is_interesting:
                return candidate, tried
    return None, tried


def _is_sound(module: ModuleOp) -> bool:
    try:
        verify_module(module)
    except FuriosaError:
        return False
    return True
