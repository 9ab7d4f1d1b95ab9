"""Why a program takes as long as it does: the chain of commands, none of which could start earlier.

Walked backwards from the command that ends last: what it waited for is the token that came last, or
its engine, which took the command before it until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from furiosa_ir.execution import Event


@dataclass(frozen=True, slots=True)
class Step:
    """A command on the critical path.

    Attributes:
        event: its index.
        cycles: from its start to the next one's; those of all steps sum to the program's.
    """

    event: int
    cycles: int


def critical_path(events: Sequence[Event]) -> tuple[Step, ...]:
    """The steps in order; none for a program without commands."""
    if not events:
        return ()
    before: list[int | None] = []
    last: dict[tuple[int, str], int] = {}
    for index, event in enumerate(events):
        before.append(last.get((event.segment, event.engine)))
        last[event.segment, event.engine] = index
    ends: dict[tuple[int, int], int] = {}  # of a segment: who ends when
    for index, event in enumerate(events):
        ends.setdefault((event.segment, event.end), index)
    segments = sorted({event.segment for event in events})
    previous = dict(zip(segments[1:], segments, strict=False))

    at: int | None = max(range(len(events)), key=lambda i: (events[i].end, -i))
    until = events[at].end
    steps: list[Step] = []
    while at is not None:
        event = events[at]
        steps.append(Step(at, until - event.start))
        until = event.start
        at = _cause(events, at, before[at])
        if at is None and event.segment in previous:
            at = ends.get((previous[event.segment], event.start))
    return tuple(reversed(steps))


def _cause(events: Sequence[Event], index: int, before: int | None) -> int | None:
    """What the event waited for; None if it could not have started earlier."""
    event = events[index]
    for token in event.waits:
        if events[token].end == event.start:
            return token
    return before if before is not None and events[before].free == event.start else None
