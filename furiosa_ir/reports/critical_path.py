"""Why a program takes as long as it does: the chain of commands, none of which could start earlier.

Walked backwards from the command that ends last: what it waited for is the token that came last, or
its engine, which took the command before it until then, or whose queue was full. Where it is none
of these (the machine loaded its program, for one), it is what ended last before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from furiosa_ir.execution import Engine, Event


@dataclass(frozen=True, slots=True)
class Step:
    """A command on the critical path.

    Attributes:
        event: its index.
        cycles: from its start to the next one's; those of all steps sum to the program's.
    """

    event: int
    cycles: int


def critical_path(events: Sequence[Event], engines: Sequence[Engine] = ()) -> tuple[Step, ...]:
    """The steps in order; none for a program without commands.

    Args:
        events: in order of issue.
        engines: for the depth of their queues.
    """
    if not events:
        return ()
    depths = {engine.name: engine.depth for engine in engines}
    before: list[list[int]] = []  # the one in front of it; the one whose end makes room
    issued: dict[tuple[int, str], list[int]] = {}
    for index, event in enumerate(events):
        mine = issued.setdefault((event.segment, event.engine), [])
        depth = depths.get(event.engine, 0)
        before.append([*mine[-1:], *(mine[-depth : len(mine) - depth + 1] if depth else ())])
        mine.append(index)
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
        if at is None and until > min(e.start for e in events if e.segment == event.segment):
            at = max(
                (i for i, e in enumerate(events) if e.segment == event.segment and e.end <= until),
                key=lambda i: events[i].end,
                default=None,
            )
        if at is None and event.segment in previous:
            at = ends.get((previous[event.segment], event.start))
    return tuple(reversed(steps))


def _cause(events: Sequence[Event], index: int, before: Sequence[int]) -> int | None:
    """What the event waited for; None if it is not known, or could not have started earlier."""
    event = events[index]
    for token in event.waits:
        if events[token].end == event.start:
            return token
    if before and events[before[0]].free == event.start:
        return before[0]
    return next((i for i in before[1:] if events[i].end == event.start), None)
