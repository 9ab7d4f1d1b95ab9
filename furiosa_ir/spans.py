"""Spans of time: what is worth a line of `--timing` gives itself a name where it is done.

    with span("verification"):
        verify_module(module)

Nobody records as a rule, and then a span costs a tenth of a microsecond. Threads that work beside
the one that records have no spans: the time of the process passes once.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol


class SpanRecorder(Protocol):
    """Who measures."""

    def begin(self, name: str) -> int:
        """A span begins within the one that is open; what `end` is given."""
        ...

    def end(self, mark: int) -> None:
        """That span ends, and with it what an error left open within it."""
        ...


class _Span(AbstractContextManager[None]):
    __slots__ = ("_mark", "_name", "_recorder")

    def __init__(self, recorder: SpanRecorder, name: str) -> None:
        self._recorder, self._name, self._mark = recorder, name, 0

    def __enter__(self) -> None:
        self._mark = self._recorder.begin(self._name)

    def __exit__(self, *_error: object) -> None:
        self._recorder.end(self._mark)


_RECORDER: ContextVar[SpanRecorder | None] = ContextVar("span_recorder", default=None)
_NOTHING = nullcontext()


def span(name: str) -> AbstractContextManager[None]:
    """What is done within it is done under this name."""
    recorder = _RECORDER.get()
    return _NOTHING if recorder is None else _Span(recorder, name)


@contextmanager
def recording_spans(recorder: SpanRecorder) -> Generator[None]:
    """Within it, the recorder hears of every span."""
    token = _RECORDER.set(recorder)
    try:
        yield
    finally:
        _RECORDER.reset(token)
