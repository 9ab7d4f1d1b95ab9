"""What the page knows of a program, as JSON: columns of numbers, and texts that are made safe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from furiosa_ir.errors import readable
from furiosa_ir.execution import Execution
from furiosa_ir.reports.columns import COLUMNS
from furiosa_ir.reports.layered_layout import layered_layout
from furiosa_ir.reports.network_graph import network_graph
from furiosa_ir.reports.profile import Profile
from furiosa_ir.reports.profiling import union_length
from furiosa_ir.reports.units import format_value

_LONGEST = 4000
"""Characters of a name."""


def page_data(profile: Profile, views: Sequence[str]) -> dict[str, Any]:
    """The program as the page's scripts read it (`assets/data.js`)."""
    program, execution = profile.program, profile.execution
    return {
        "title": readable(profile.title, _LONGEST),
        "facts": [[readable(a, _LONGEST), readable(b, _LONGEST)] for a, b in _facts(profile)],
        "cards": [list(card) for card in _cards(profile)],
        "advice": [[readable(a.text, _LONGEST), a.layer] for a in profile.advice],
        "cycles": profile.costs.cycles,
        "clock_hz": profile.clock_hz,
        "columns": [[c.key, c.title, c.unit, c.description] for c in COLUMNS],
        "layers": [
            [_cell(column.value(profile, layer)) for column in COLUMNS] for layer in profile.layers
        ],
        "segments": [readable(segment.name, _LONGEST) for segment in program.segments],
        "execution": None if execution is None else _execution(profile, execution),
        "graph": _graph(profile) if "graph" in views else None,
        "passes": [
            [p.phase, readable(p.name, _LONGEST), p.seconds, p.before, p.after, p.text is not None]
            for p in profile.passes
        ],
        "has_source_text": profile.source_text is not None,
    }


def _cell(value: str | float | None) -> str | float | None:
    if isinstance(value, str):
        return readable(value, _LONGEST)
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _facts(profile: Profile) -> Iterable[tuple[str, str]]:
    program = profile.program
    yield "target", program.target
    if program.compiler:
        yield "compiler", program.compiler
    for name, text in program.options.items():
        if name != "target":
            yield name, text
    if program.source_framework:
        yield "source", f"{program.source_framework}, SHA-256 {program.source_hash}"
    for tensor, what in (
        *((program.tensors[i], "input") for i in program.inputs),
        *((t, "output") for t in program.output_tensors),
    ):
        yield what, f"{tensor.name}: {tensor.dtype}{list(tensor.shape)}"


def _cards(profile: Profile) -> Iterable[tuple[str, str, str]]:
    """(what, figure, what it means)."""
    latency, costs, memory = profile.latency, profile.costs, profile.memory
    has_npu = bool(costs.layers)
    for name, text in profile.facts.items():
        yield readable(name, 200), readable(text, 200), ""
    cycles = f"{format_value(costs.cycles, 'count')} cycles of the simulator"
    if has_npu:
        yield "NPU", format_value(latency.npu_latency_us, "microseconds"), cycles
    else:
        yield "NPU", "not used", "all of the network runs on the host"
    if latency.host_latency_us:
        meaning = (
            "host segments, as measured on this computer"
            if profile.host_is_measured
            else "estimated by bytes; measured with furiosa report FILE --measure-host"
        )
        yield "host", format_value(latency.host_latency_us, "microseconds"), meaning
    if latency.link_latency_us and profile.execution is not None:
        link = format_value(latency.link_latency_us, "microseconds")
        yield "link", link, f"inputs and outputs over {profile.execution.link_title}"
    total = format_value(latency.total_latency_us, "microseconds")
    yield "total", total, "all of it, one after the other"
    if latency.setup_latency_us:
        cold = format_value(latency.cold_latency_us, "microseconds")
        yield "first run", cold, "with a session's set-up: weights into SRAM"
    yield "MACs on the NPU", format_value(profile.npu_mac_share, "share"), "the rest is the host's"
    if not has_npu:
        return
    if profile.utilisation is not None:
        used = format_value(profile.utilisation, "share")
        yield "utilisation", used, "of the multipliers, over the NPU's time"
    bound = _against(costs.sram_peak_bytes, costs.sram_bound_bytes)
    yield "SRAM", format_value(costs.sram_peak_bytes, "bytes"), f"at its peak, all slices{bound}"
    if memory is not None and memory.used:
        least = format_value(100 * memory.least / memory.used, "count")
        yield "SRAM in use", f"{least} %", "of that, at most at one time of the simulated run"
    bound = _against(costs.dram_bytes, costs.dram_bound_bytes)
    yield "DRAM", format_value(costs.dram_bytes, "bytes"), f"constants and workspace{bound}"
    weights = sum(layer.weight_bytes or 0 for layer in profile.layers)
    yield "weights", format_value(weights, "bytes"), "of the layers on the NPU"


def _against(taken: int, bound: int | None) -> str:
    """How far what is taken is from its lower bound."""
    if not bound:
        return ""
    if taken == bound:
        return "; no addresses take less"
    return f"; {taken / bound:.3f} times the lower bound of {format_value(bound, 'bytes')}"


def _execution(profile: Profile, execution: Execution) -> dict[str, Any]:
    engines = [engine.name for engine in execution.engines]
    bounds = list(execution.bounds)
    kinds = list(dict.fromkeys(event.kind for event in execution.events))
    contents = list(dict.fromkeys(buffer.what for buffer in execution.buffers))
    events, buffers, memory = execution.events, execution.buffers, profile.memory
    assert memory is not None
    units = [unit for engine in execution.engines for unit in engine.units]
    return {
        "engines": [
            [engine.name, engine.title, [[u, t] for u, t in engine.units.items()]]
            for engine in execution.engines
        ],
        "bounds": [[name, execution.bounds[name].title] for name in bounds],
        "kinds": kinds,
        "units": units,
        "events": {
            "segment": [e.segment for e in events],
            "command": [e.command for e in events],
            "kind": [kinds.index(e.kind) for e in events],
            "engine": [engines.index(e.engine) for e in events],
            "layer": [e.layer for e in events],
            "start": _differences([e.start for e in events]),
            "free": [e.free - e.start for e in events],
            "end": [e.end - e.start for e in events],
            "waits": [[index - token for token in e.waits] for index, e in enumerate(events)],
            "bound": [bounds.index(e.bound) for e in events],
            "busy": [[e.busy.get(unit, 0) for e in events] for unit in units],
            "read": [e.dram_read for e in events],
            "written": [e.dram_written for e in events],
        },
        "computation": union_length(
            (e.start, e.end) for e in events if not e.dram_read + e.dram_written
        ),
        "critical": [[step.event, step.cycles] for step in profile.critical],
        "contents": contents,
        "buffers": {
            "what": [contents.index(b.what) for b in buffers],
            "layer": [b.layer for b in buffers],
            "address": [b.address for b in buffers],
            "size": [b.size for b in buffers],
            "start": _differences([b.start for b in buffers]),
            "end": [b.end - b.start for b in buffers],
        },
        "memory": {
            "bytes": execution.memory_bytes,
            "title": execution.memory_title,
            "bound": execution.memory_bound,
            "least": memory.least,
            "used": memory.used,
            "live": [list(point) for point in memory.live],
        },
        "macs_per_cycle": execution.macs_per_cycle,
        "dram_bytes_per_cycle": execution.dram_bytes_per_cycle,
    }


def _differences(numbers: Sequence[int]) -> list[int]:
    """Each less the one before: shorter to write, and the same again when added up."""
    return [b - a for a, b in zip((0, *numbers), numbers, strict=False)]


def _graph(profile: Profile) -> dict[str, Any]:
    graph = network_graph(profile)
    layout = layered_layout(len(graph.nodes), [(e.source, e.target) for e in graph.edges])
    tensors = profile.program.tensors
    return {
        "nodes": [
            [
                readable(node.label, 60),
                readable(node.detail, 60),
                node.kind,
                node.segment,
                node.layer,
                round(layout.x[index], 2),
                layout.rank[index],
            ]
            for index, node in enumerate(graph.nodes)
        ],
        "edges": [
            [
                edge.source,
                edge.target,
                None if edge.tensor is None else readable(tensors[edge.tensor].name, 60),
                [round(x, 2) for x in bends],
            ]
            for edge, bends in zip(graph.edges, layout.bends, strict=True)
        ],
    }
