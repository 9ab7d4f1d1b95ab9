"""A run as Chrome's trace events, which Perfetto and chrome://tracing open.

The format is the "Trace Event Format" of Chromium's catapult project. A thread is an engine or one
of its units; arrows are tokens; counters are the bandwidth of DRAM and the bytes of memory in use.
"""

from __future__ import annotations

from typing import Any

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.execution import Event, Execution
from furiosa_ir.reports.profile import Profile

_LONGEST = 4000
"""Characters of a name."""


def trace_events(profile: Profile) -> dict[str, Any]:
    """The trace; times in microseconds.

    Raises:
        FuriosaError: its backend does not say what runs when.
    """
    execution = profile.execution
    if execution is None:
        raise FuriosaError(f"there is no timeline of programs for '{profile.program.target}'")
    scale = 1e6 / execution.clock_hz
    threads: dict[str, int] = {}
    events: list[dict[str, Any]] = [_named("process_name", 0, readable(profile.title, _LONGEST))]
    for engine in execution.engines:
        threads[engine.name] = len(threads)
        events.append(_named("thread_name", threads[engine.name], engine.title))
        for unit, title in engine.units.items() if len(engine.units) > 1 else ():
            threads[f"{engine.name}/{unit}"] = len(threads)
            events.append(_named("thread_name", threads[f"{engine.name}/{unit}"], title))
    critical = {step.event for step in profile.critical}
    for index, event in enumerate(execution.events):
        layer = profile.layers[event.layer]
        name = readable(layer.short, _LONGEST)
        common = {"ph": "X", "pid": 0, "ts": event.start * scale, "name": name, "cat": event.kind}
        events.append(
            common
            | {
                # A thread takes one thing at a time: until its engine takes the next command.
                "dur": (event.free - event.start) * scale,
                "tid": threads[event.engine],
                "args": _arguments(profile, execution, event, is_critical=index in critical),
            }
        )
        for unit, busy in event.busy.items():
            thread = threads.get(f"{event.engine}/{unit}")
            if thread is not None:
                events.append(common | {"dur": busy * scale, "tid": thread})
        events += _arrows(execution, threads, index, scale)
    events += _counters(profile, execution, scale)
    return {"traceEvents": events, "displayTimeUnit": "ns"}


def _named(what: str, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": 0, "tid": thread, "name": what, "args": {"name": name}}


def _arguments(
    profile: Profile, execution: Execution, event: Event, *, is_critical: bool
) -> dict[str, Any]:
    layer = profile.layers[event.layer]
    return {
        "layer": readable(layer.name, _LONGEST),
        "operator": readable(layer.operator, _LONGEST),
        "command": event.command,
        "segment": readable(profile.program.segments[event.segment].name, _LONGEST),
        "bound by": execution.bounds[event.bound].title,
        "critical path": is_critical,
        "start cycle": event.start,
        "end cycle": event.end,
        "DRAM read": event.dram_read,
        "DRAM written": event.dram_written,
    }


def _arrows(
    execution: Execution, threads: dict[str, int], index: int, scale: float
) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    event = execution.events[index]
    for token in event.waits:
        source = execution.events[token]
        arrow = {"pid": 0, "cat": "token", "name": "token", "id": f"{token}-{index}"}
        # An arrow starts within the slice that it comes from.
        begin = max(source.start, source.free - 1) * scale
        made.append(arrow | {"ph": "s", "tid": threads[source.engine], "ts": begin})
        end = {"ph": "f", "bp": "e", "tid": threads[event.engine], "ts": event.start * scale}
        made.append(arrow | end)
    return made


def _counters(profile: Profile, execution: Execution, scale: float) -> list[dict[str, Any]]:
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
        counters.append({"ph": "C", "pid": 0, "ts": time * scale, "name": "DRAM", "args": value})
    memory = () if profile.memory is None else profile.memory.live
    for time, size in memory:
        value = {"bytes": size}
        counters.append({"ph": "C", "pid": 0, "ts": time * scale, "name": "SRAM", "args": value})
    return counters
