"""Calls that take no longer than allowed, whatever they wait for.

A socket's time-out bounds each wait for a byte, not a name server that is silent or an answer
that drips in. So a call runs in a thread of its own, and who asked for it stops waiting.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

_T = TypeVar("_T")


class OutOfTime(Exception):
    """A call took longer than it was allowed."""


class _Outcome(Generic[_T]):
    """What became of a call: a value or an exception, once it is done."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: _T | None = None
        self.error: BaseException | None = None


class TimeBudget:
    """Seconds that a row of calls may take together.

    Args:
        seconds: for all of them.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @contextmanager
    def deadline(self) -> Generator[float]:
        """The moment (`time.monotonic`) by which the block has to end, which it sees to itself."""
        started = time.monotonic()
        try:
            yield started + self.left
        finally:
            self.left -= time.monotonic() - started

    def call(self, function: Callable[[], _T]) -> _T:
        """The function's value. A call that is given up goes on in its thread, unheard.

        Raises:
            OutOfTime: it took too long; later calls get what is left then, if anything.
            OSError: the process may have no more threads.
            Exception: what the function raised.
        """
        if self.left <= 0:
            raise OutOfTime
        outcome: _Outcome[_T] = _Outcome()

        def work() -> None:
            try:
                outcome.value = function()
            except BaseException as error:  # noqa: BLE001  # raised again where it belongs
                outcome.error = error
            outcome.done.set()

        with self.deadline():
            try:
                threading.Thread(target=work, name="furiosa-cache", daemon=True).start()
            except RuntimeError:
                raise OSError(errno.EAGAIN, "no thread can be started") from None
            finished = outcome.done.wait(self.left)
        if not finished:
            raise OutOfTime
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # pyright: ignore[reportReturnType]  # None is a value of its own
