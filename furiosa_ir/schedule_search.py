"""A seeded search among the decisions of a schedule, spread over workers (`furiosa_ir.workers`).

It knows no machine: a state is a number for each decision, and a worker's job "chain" walks from
one state to neighbours of it for so many candidates. Chains are independent within a round; between
rounds, the worse half of them goes on from the best state of all. What is found depends on
the work, the budget and the seed alone: the budget counts candidates, not time, and chains and
rounds are as many however many workers there are.

The chains accept what is not much worse than where they are, less and less of it: threshold
accepting (Dueck and Scheuer, 1990), which is simulated annealing without exponentials, that differ
between processors.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from furiosa_ir.workers import Item, Work, open_workers

CHAINS = 8
"""Items of a round: as many workers as can be busy at once."""

ROUNDS = 4

RATE = 50_000
"""Candidates for each second of a budget: half of what a process does, the rest for the end."""

State = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """How far a search is.

    Attributes:
        done: candidates so far.
        total: of all.
        first: cycles of what it began with, by the search's own estimate.
        best: of the best state so far.
    """

    done: int
    total: int
    first: float
    best: float


def _nobody_asks(_step: Step) -> None:
    """Progress that nobody wants to know."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Surroundings:
    """Where a search runs, and who watches it: what has no influence on its result.

    Attributes:
        processes: of this machine; 0: this one alone.
        scheduler: the address of a Dask scheduler, whose workers are used instead.
        on_step: told the progress.
        is_stopped: whether to end now, with the best so far.
        on_end: told (cycles without the search, cycles with it, cycles that no state goes below)
            when all is over.
        agrees: what has to be the same in the workers of a scheduler, as of `workers.Work`.
    """

    processes: int = 0
    scheduler: str | None = None
    on_step: Callable[[Step], None] = _nobody_asks
    is_stopped: Callable[[], bool] = _never
    on_end: Callable[[int, int, int], None] = lambda _before, _after, _least: None
    agrees: Callable[[], str] | None = None


_SURROUNDINGS: ContextVar[Surroundings] = ContextVar("surroundings")
_SURROUNDINGS.set(Surroundings())


def surroundings() -> Surroundings:
    """Those of this context."""
    return _SURROUNDINGS.get(Surroundings())


@contextmanager
def searching(within: Surroundings) -> Generator[None]:
    """Searches in this context run so."""
    token = _SURROUNDINGS.set(within)
    try:
        yield
    finally:
        _SURROUNDINGS.reset(token)


def search(
    work: Work, start: Sequence[int], cost: float, *, seconds: int, seed: int
) -> list[tuple[float, State]]:
    """The best states that the chains found, the best one first; states that are better alone.

    Args:
        work: whose job "chain" takes `seed` (a text), `start`, `candidates` and `heat`
            ([from, to], 1 to 0) and answers with `best`, `cost` and `end`.
        start: the state to begin with.
        cost: of that.
        seconds: the budget, times `RATE` candidates.
        seed: any number.

    Raises:
        FuriosaError: workers cannot be had.
    """
    around = surroundings()
    each = max(1, seconds * RATE // (CHAINS * ROUNDS))
    found: dict[State, float] = {}
    at: list[State] = [tuple(start)] * CHAINS
    reached: list[float] = [cost] * CHAINS
    best, done = (cost, tuple(start)), 0
    with open_workers(work, processes=around.processes, scheduler=around.scheduler) as workers:
        for number in range(ROUNDS):
            heat = [1 - number / ROUNDS, 1 - (number + 1) / ROUNDS]
            items = [
                Item(
                    "chain",
                    {
                        "seed": f"{seed}/{number}/{chain}",
                        "start": list(at[chain]),
                        "candidates": each,
                        "heat": heat,
                    },
                )
                for chain in range(CHAINS)
            ]
            for chain, answer in enumerate(workers.map(items)):
                state, value = tuple(answer.value["best"]), answer.value["cost"]
                at[chain], reached[chain] = tuple(answer.value["end"]), value
                if value < cost:
                    found[state] = value
                best = min(best, (value, state))
                done += each
                around.on_step(Step(done, each * CHAINS * ROUNDS, cost, best[0]))
                if around.is_stopped():
                    return _ranked(found)
            order = sorted(range(CHAINS), key=lambda chain: (reached[chain], chain))
            for chain in order[CHAINS // 2 :]:
                at[chain] = best[1]
    return _ranked(found)


def _ranked(found: dict[State, float]) -> list[tuple[float, State]]:
    return sorted((value, state) for state, value in found.items())
