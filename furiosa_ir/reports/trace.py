"""A run as Chrome's trace events, which Perfetto and chrome://tracing open.

The format is the "Trace Event Format" of Chromium's catapult project. A thread is an engine or one
of its units; arrows are tokens; counters are the bandwidth of DRAM and the bytes of memory in use.

Perfetto's importer (src/trace_processor/importers/json) asks for more than the format does: it cuts
times to whole nanoseconds, so that what only touches in half ones would overlap; a string is an
identity only if it is a hexadecimal number; process and thread 0 are the kernel's idle task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.execution import Event, Execution
from furiosa_ir.reports.profile import Profile

_LONGEST = 4000
"""Characters of a name."""

_PROCESS = 1


@dataclass(frozen=True, slots=True)
class _Clock:
    """Cycles as the trace's times, in microseconds."""

    hz: int

    def nanoseconds(self, cycle: int) -> int:
        """A cycle's time, whole."""
        return cycle * 1_000_000_000 // self.hz

    def at(self, cycle: int, less: int = 0) -> float:
        """When a cycle is, or so many nanoseconds before; cut to nanoseconds it is that one."""
        return round((self.nanoseconds(cycle) - less + 0.1) / 1000, 4)

    def between(self, start: int, end: int) -> float:
        """How long it takes from cycle to cycle, so that the end is where the next one starts."""
        return (self.nanoseconds(end) - self.nanoseconds(start)) / 1000


def trace_events(profile: Profile) -> dict[str, Any]:
    """The trace; times in microseconds.

    Raises:
        FuriosaError: its backend does not say what runs when.
    """
    execution = profile.execution
    if execution is None:
        raise FuriosaError(f"there is no timeline of programs for '{profile.program.target}'")
    clock = _Clock(execution.clock_hz)
    threads: dict[str, int] = {}
    events: list[dict[str, Any]] = [_about("process_name", 0, name=_text(profile.title))]

    def thread(key: str, title: str) -> None:
        threads[key] = number = len(threads) + 1
        events.append(_about("thread_name", number, name=title))
        events.append(_about("thread_sort_index", number, sort_index=number))

    for engine in execution.engines:
        thread(engine.name, engine.title)
        for unit, title in engine.units.items() if len(engine.units) > 1 else ():
            thread(f"{engine.name}/{unit}", title)
    critical = {step.event for step in profile.critical}
    tokens = 0
    for index, event in enumerate(execution.events):
        common = {
            "ph": "X",
            "pid": _PROCESS,
            "ts": clock.at(event.start),
            "name": _text(profile.layers[event.layer].short),
            "cat": event.kind,
        }
        events.append(
            common
            | {
                # A thread takes one thing at a time: until its engine takes the next command.
                "dur": clock.between(event.start, event.free),
                "tid": threads[event.engine],
                "args": _arguments(profile, execution, event, is_critical=index in critical),
            }
        )
        for unit, busy in event.busy.items():
            number = threads.get(f"{event.engine}/{unit}")
            if number is not None:
                dur = clock.between(event.start, event.start + busy)
                events.append(common | {"dur": dur, "tid": number})
        for token in event.waits:
            tokens += 1
            events += _arrow(execution, threads, token, index, tokens, clock)
    events += _counters(profile, execution, clock)
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _text(name: str) -> str:
    return readable(name, _LONGEST)


def _about(what: str, thread: int, **arguments: str | int) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": thread, "name": what, "args": arguments}


def _arguments(
    profile: Profile, execution: Execution, event: Event, *, is_critical: bool
) -> dict[str, Any]:
    layer = profile.layers[event.layer]
    return {
        "layer": _text(layer.name),
        "operator": _text(layer.operator),
        "command": event.command,
        "segment": _text(profile.program.segments[event.segment].name),
        "bound by": execution.bounds[event.bound].title,
        "critical path": is_critical,
        "start cycle": event.start,
        "end cycle": event.end,
        "DRAM read": event.dram_read,
        "DRAM written": event.dram_written,
    }


def _arrow(
    execution: Execution,
    threads: dict[str, int],
    token: int,
    index: int,
    number: int,
    clock: _Clock,
) -> list[dict[str, Any]]:
    source, event = execution.events[token], execution.events[index]
    arrow = {"pid": _PROCESS, "cat": "token", "name": "token", "id": number}
    # An arrow starts within the slice that it comes from.
    inside = max(clock.at(source.start), clock.at(source.free, less=1))
    begin = {"ph": "s", "tid": threads[source.engine], "ts": inside}
    end = {"ph": "f", "bp": "e", "tid": threads[event.engine], "ts": clock.at(event.start)}
    return [arrow | begin, arrow | end]


def _counters(profile: Profile, execution: Execution, clock: _Clock) -> list[dict[str, Any]]:
    counters: list[dict[str, Any]] = []
    rates: dict[int, float] = {}
    for event in execution.events:
        moved = event.dram_read + event.dram_written
        if moved:
            rate = moved / (event.free - event.start)
            rates[event.start] = rates.get(event.start, 0.0) + rate
            rates[event.free] = rates.get(event.free, 0.0) - rate
    rate = 0.0
    for time in sorted(rates):
        rate += rates[time]
        value = {"bytes/cycle": round(rate, 3) + 0.0}
        counters.append(
            {"ph": "C", "pid": _PROCESS, "ts": clock.at(time), "name": "DRAM", "args": value}
        )
    memory = () if profile.memory is None else profile.memory.live
    for time, size in memory:
        value = {"bytes": size}
        counters.append(
            {"ph": "C", "pid": _PROCESS, "ts": clock.at(time), "name": "SRAM", "args": value}
        )
    return counters
