"""From a program to its profile: what the backend counts and knows, put together layer by layer."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from furiosa_ir.backends import backend_for
from furiosa_ir.costs import Costs, npu_mac_share
from furiosa_ir.execution import Buffer, Event, Execution
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.reports.advice import give_advice
from furiosa_ir.reports.critical_path import Step, critical_path
from furiosa_ir.reports.profile import LayerProfile, MemoryUse, PassProfile, Profile
from furiosa_ir.reports.short_names import short_names


def profile_program(
    program: Program,
    *,
    title: str = "program",
    host_us: float | None = None,
    passes: Sequence[PassProfile] = (),
    source_text: str | None = None,
    facts: Mapping[str, str] | None = None,
) -> Profile:
    """The profile of a program.

    Args:
        program: it.
        title: what people call it.
        host_us: what its host segments take, where somebody has measured that; else the backend's
            model tells.
        passes: the compile; without, the passes that the program names.
        source_text: the IR before the first pass.
        facts: see `Profile`.

    Raises:
        FuriosaError: its backend is not known.
    """
    backend = backend_for(program.target)
    costs = backend.costs(program)
    execution = None if backend.execution is None else backend.execution(program)
    critical = () if execution is None else critical_path(execution.events, execution.engines)
    memory = None if execution is None else memory_use(execution.buffers)
    layers = _layers(program, costs, execution, critical, memory)
    latency = costs.latency
    if host_us is not None:
        latency = replace(latency, host_latency_us=host_us)
    named = (PassProfile("", name) for name in split_pipeline(program.pipeline))
    return Profile(
        program=program,
        title=title,
        costs=costs,
        npu_mac_share=npu_mac_share(program, costs),
        layers=layers,
        latency=latency,
        host_is_measured=host_us is not None,
        execution=execution,
        critical=critical,
        memory=memory,
        utilisation=_utilisation(
            sum(c.macs for c in costs.layers.values()), costs.cycles, execution
        ),
        advice=give_advice(layers, latency, costs, execution, critical, samples_of(program)),
        passes=tuple(passes) or tuple(named),
        source_text=source_text,
        facts=dict(facts or {}),
    )


def samples_of(program: Program) -> int:
    """How many samples a run has: the first extent that all inputs and outputs share, else 1."""
    first = {program.tensors[i].shape[:1] for i in (*program.inputs, *program.outputs)}
    extent = first.pop() if len(first) == 1 else ()
    return max(1, extent[0]) if extent else 1


def memory_use(buffers: Sequence[Buffer]) -> MemoryUse:
    """How much of the on-chip memory is in use when."""
    changes: Counter[int] = Counter()
    for buffer in buffers:
        changes[buffer.start] += buffer.size
        changes[buffer.end] -= buffer.size
    live: list[tuple[int, int]] = []
    size = 0
    for time in sorted(changes):
        size += changes[time]
        live.append((time, size))
    return MemoryUse(
        live=tuple(live),
        least=max((size for _, size in live), default=0),
        used=max((b.address + b.size for b in buffers), default=0),
    )


def union_length(intervals: Iterable[tuple[int, int]]) -> int:
    """How much of the line the intervals [start, end) cover."""
    covered, reached = 0, None
    for start, end in sorted(intervals):
        if reached is None or start > reached:
            covered += end - start
            reached = end
        elif end > reached:
            covered += end - reached
            reached = end
    return covered


def split_pipeline(text: str) -> list[str]:
    """The passes of a pipeline's text: what stands between commas outside of brackets."""
    parts: list[str] = []
    depth = begin = 0
    for at, character in enumerate(text):
        depth += (character in "{([") - (character in "})]")
        if character == "," and depth == 0:
            parts.append(text[begin:at].strip())
            begin = at + 1
    return [part for part in (*parts, text[begin:].strip()) if part]


def _utilisation(macs: int, cycles: int, execution: Execution | None) -> float | None:
    if execution is None or not execution.macs_per_cycle or not cycles:
        return None
    return macs / (cycles * execution.macs_per_cycle)


def _layers(
    program: Program,
    costs: Costs,
    execution: Execution | None,
    critical: Sequence[Step],
    memory: MemoryUse | None,
) -> tuple[LayerProfile, ...]:
    events: defaultdict[int, list[Event]] = defaultdict(list)
    decided: defaultdict[int, Counter[str]] = defaultdict(Counter)
    if execution is not None:
        for event in execution.events:
            events[event.layer].append(event)
        for step in critical:
            event = execution.events[step.event]
            decided[event.layer][event.bound] += step.cycles
    short = short_names([layer.name for layer in program.layers])
    rows: list[LayerProfile] = []
    for index, layer in enumerate(program.layers):
        segment = program.segments[layer.segment]
        cost = costs.layers.get(index)
        hint, reason, most = None, "", layer.weight_bytes
        if isinstance(segment, HostSegment):
            hint, reason = _why_on_host(segment, layer.name)
            most = len(segment.model)  # whatever the file says
        row = LayerProfile(
            index=index,
            name=layer.name,
            short=short[index],
            operator=layer.operator,
            placement="host" if cost is None else "npu",
            segment=layer.segment,
            hint=hint,
            reason=reason,
            macs=layer.macs if cost is None else cost.macs,
            # A host layer's are in its sub-model; a row that says 0 does not say that it has none.
            weight_bytes=min(layer.weight_bytes, most) or None
            if cost is None
            else cost.weight_bytes,
        )
        if cost is not None:
            row = replace(
                row,
                tiles=cost.tiles,
                added=cost.cycles,
                share=cost.cycles / costs.cycles if costs.cycles else 0.0,
                load_cycles=cost.load_cycles,
                operate_cycles=cost.operate_cycles,
                store_cycles=cost.store_cycles,
                utilisation=_utilisation(cost.macs, cost.operate_cycles, execution),
            )
        if events[index]:
            on_path = sum(decided[index].values())
            row = _with_events(row, events[index], decided[index], memory)
            row = replace(row, critical=on_path)
        rows.append(row)
    return tuple(rows)


def _why_on_host(segment: HostSegment, layer: str) -> tuple[int | None, str]:
    found = ((hint, reason) for _, name, hint, reason in segment.operators if name == layer)
    return next(found, (None, ""))


def _with_events(
    row: LayerProfile, events: Sequence[Event], decided: Counter[str], memory: MemoryUse | None
) -> LayerProfile:
    """The layer with what its commands tell."""
    if not decided:  # it runs beside others: what its own time is bound by
        for event in events:
            decided[event.bound] += event.end - event.start
    start, end = min(e.start for e in events), max(e.end for e in events)
    return replace(
        row,
        start=start,
        end=end,
        duration=union_length((e.start, e.end) for e in events),
        bound=max(decided, key=lambda name: decided[name]),
        dram_read=sum(e.dram_read for e in events),
        dram_written=sum(e.dram_written for e in events),
        sram_read=sum(e.sram_read for e in events),
        sram_written=sum(e.sram_written for e in events),
        sram_used=None if memory is None else _most_live(memory.live, start, end),
    )


def _most_live(live: Sequence[tuple[int, int]], start: int, end: int) -> int:
    first = max(bisect_right(live, (start, 1 << 62)) - 1, 0)
    last = bisect_left(live, (end, -1))
    return max((size for _, size in live[first:last]), default=0)
