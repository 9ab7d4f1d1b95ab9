"""What is the same wherever the work goes: which items are under way, and the order of answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from itertools import count
from types import TracebackType
from typing import Self

from furiosa_ir.native_process import Answer
from furiosa_ir.workers.work import Item

_AHEAD = 2
"""Items under way for each worker: while one is done, the next is on its way."""
_HELD = 4
"""Answers for each worker that wait for an earlier one, at most."""

Outcome = Answer | Exception


class Workers(ABC):
    """Workers that do items of one work, until they are closed.

    A map that is left before its end, by an exception or Ctrl-C, takes its items back; what workers
    are amidst is forgotten. One map at a time.
    """

    def __init__(self) -> None:
        self._tickets = count()
        self._is_mapping = False

    @property
    @abstractmethod
    def count(self) -> int:
        """How many items are done at the same time; a cluster grows and shrinks."""

    @abstractmethod
    def begin(self, ticket: int, item: Item) -> None:
        """Sets out to do an item."""

    @abstractmethod
    def next_outcome(self) -> tuple[int, Outcome]:
        """Waits for an item to be done; its ticket, and what came of it.

        Raises:
            FuriosaError: there is nobody left who could do it.
        """

    @abstractmethod
    def take_back(self) -> None:
        """Takes back what is not done; the outcome of what is being done may still arrive."""

    @abstractmethod
    def close(self) -> None:
        """Ends the workers that are ours, and leaves those that are not."""

    def map(self, items: Iterable[Item]) -> Generator[Answer]:
        """Does items, and gives their answers in the order of the items.

        Args:
            items: any number; they are taken as there is room, some for each worker.

        Raises:
            FuriosaError: a job raised it (the first in the order of the items), or workers cannot
                be had.
            NativeRefusal: a job raised another exception; in this process, that itself.
        """
        early: dict[int, Outcome] = {}
        due = 0
        for index, outcome in self._outcomes(items, lambda: len(early)):
            early[index] = outcome
            while due in early:
                yield _answer(early.pop(due))
                due += 1

    def map_unordered(self, items: Iterable[Item]) -> Generator[tuple[int, Answer]]:
        """As `map`, each answer as soon as it is there, with the number of its item."""
        for index, outcome in self._outcomes(items, lambda: 0):
            yield index, _answer(outcome)

    def _outcomes(
        self, items: Iterable[Item], held: Callable[[], int]
    ) -> Generator[tuple[int, Outcome]]:
        """(number of the item, what came of it), as they come.

        Args:
            items: what is done.
            held: how many of the outcomes that were given are still waited with.
        """
        if self._is_mapping:
            raise RuntimeError("one map at a time")
        self._is_mapping = True
        source = enumerate(items)
        under_way: dict[int, int] = {}  # ticket -> number of the item
        is_more = True
        try:
            while True:
                workers = max(1, self.count)
                while is_more and len(under_way) < _AHEAD * workers and held() < _HELD * workers:
                    item = next(source, None)
                    if item is None:
                        is_more = False
                        break
                    ticket = next(self._tickets)
                    under_way[ticket] = item[0]
                    self.begin(ticket, item[1])
                if not under_way:
                    return
                ticket, outcome = self.next_outcome()
                index = under_way.pop(ticket, None)
                if index is not None:  # else of a map that was left
                    yield index, outcome
        finally:
            self.take_back()
            self._is_mapping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _answer(outcome: Outcome) -> Answer:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
