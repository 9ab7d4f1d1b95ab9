"""Things that one thread at a time can use: as many as there are threads using them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Lends things, each to one thread at a time, and makes another when all are lent.

    How many there come to be is bounded by how many threads ask at once, which is the caller's
    business.

    Args:
        make: makes one.
        single: make only one, for which threads wait: it remembers what it did.
        is_usable: whether one that has lain idle still can be lent; default: all can.
    """

    def __init__(
        self,
        make: Callable[[], T],
        *,
        single: bool = False,
        is_usable: Callable[[T], bool] | None = None,
    ) -> None:
        self._make = make
        self._is_usable = is_usable
        self._idle: list[T] = []
        self._turn = threading.Lock() if single else nullcontext()

    @contextmanager
    def lend(self) -> Generator[T]:
        """One of them, for the caller alone; one that failed is not used again."""
        with self._turn:
            thing = self._take()
            yield thing
            self._idle.append(thing)

    def _take(self) -> T:
        while True:
            try:
                thing = self._idle.pop()  # atomic, as append is
            except IndexError:
                return self._make()
            if self._is_usable is None or self._is_usable(thing):
                return thing

    def clear(self) -> None:
        """Lets go of those that lie idle."""
        self._idle.clear()
