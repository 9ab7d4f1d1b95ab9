"""A program's profile as tables for a terminal of 100 columns."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.reports.columns import COLUMNS
from furiosa_ir.reports.inspect import summary
from furiosa_ir.reports.profile import LayerProfile, Profile
from furiosa_ir.reports.short_names import LONGEST
from furiosa_ir.reports.units import format_value

WIDTH = 100
"""Columns that the tables need."""

_LONGEST = 2000
"""Characters of a cell."""


def print_profile(profile: Profile, console: Console) -> None:
    """Header, tensors, segments, a row for each layer, memory, host operators and advice."""
    inspection = summary(profile.program)
    header, figures = inspection["header"], inspection["summary"]
    console.print(_facts("Program", _header_rows(inspection, header)))
    console.print(_tensors("Inputs", inspection["inputs"]))
    console.print(_tensors("Outputs", inspection["outputs"]))
    if inspection["variables"]:
        console.print(_tensors("Kept from run to run", inspection["variables"]))
    console.print(_segments(inspection["segments"]))
    console.print(_layers(profile))
    console.print(_facts("Summary", [*figure_rows(figures), *_time_rows(profile)]))
    if figures["host_operators"]:
        console.print(_hosts(figures["host_operators"]))
    # Why operators run on the host stands in a table of its own.
    advice = [
        each.text
        for each in profile.advice
        if each.layer is None or profile.layers[each.layer].placement != "host"
    ]
    if advice:
        table = _table("What would help", "")
        table.show_header = False
        for text in advice:
            _row(table, text)
        console.print(table)


def print_layer(profile: Profile, name: str, console: Console) -> None:
    """All that is known of one layer, and its commands.

    Args:
        profile: of the program.
        name: the layer's name, or its short name.
        console: where to print.

    Raises:
        FuriosaError: there is no such layer.
    """
    for layer in _find(profile, name):
        rows: list[tuple[str, str]] = []
        for column in COLUMNS:
            value = column.value(profile, layer)
            if value is None or value == "":
                continue
            text = value if isinstance(value, str) else format_value(value, column.unit)
            rows.append((column.title, text))
        console.print(_facts(f"Layer {readable(layer.short, _LONGEST)}", rows))
        if profile.execution is not None and layer.start is not None:
            console.print(_commands(profile, layer))


def _find(profile: Profile, name: str) -> list[LayerProfile]:
    for key in ("name", "short"):
        found = [layer for layer in profile.layers if getattr(layer, key) == name]
        if found:
            return found
    # What passes or converters have joined goes by each of its names.
    found = [layer for layer in profile.layers if name in re.split("[+;]", layer.name)]
    if found:
        return found
    known = [layer.short for layer in profile.layers]
    inside = [layer.short for layer in profile.layers if name and name in layer.name]
    near = inside[:3] or difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    named = ", ".join(readable(each, _LONGEST) for each in near)
    hint = f"did you mean {named}?" if near else "furiosa inspect without --layer lists them"
    raise FuriosaError(f"there is no layer '{readable(name, _LONGEST)}'", hint=hint)


def _commands(profile: Profile, layer: LayerProfile) -> Table:
    execution = profile.execution
    assert execution is not None
    table = _table(
        "Commands", "#number", "command", "engine", "#start", "#end", "bound by", "#DRAM"
    )
    titles = {engine.name: engine.title for engine in execution.engines}
    for event in execution.events:
        if event.layer == layer.index:
            moved = event.dram_read + event.dram_written
            times = (format_value(t, "count") for t in (event.start, event.end))
            bound = execution.bounds[event.bound].title
            dram = format_value(moved, "bytes") if moved else ""
            engine = titles.get(event.engine, event.engine)
            _row(table, event.command, event.kind, engine, *times, bound, dram)
    return table


def figure_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a program with their names, for people."""
    return [
        ("MACs on the NPU", format_value(figures["npu_mac_share"], "share")),
        ("estimated latency", format_value(figures["total_latency_us"], "latency")),
        ("on the NPU", format_value(figures["npu_latency_us"], "latency")),
        ("on the host", format_value(figures["host_latency_us"], "latency")),
        ("on the link to the host", format_value(figures["link_latency_us"], "latency")),
        ("cycles", format_value(figures["cycles"], "count")),
        ("SRAM at its peak", _beside_bound(figures, "sram_peak_bytes", "sram_bound_bytes")),
        ("DRAM", _beside_bound(figures, "dram_bytes", "dram_bound_bytes")),
        ("weights", format_value(figures["weight_bytes"], "bytes")),
        ("operators on the host", str(len(figures["host_operators"]))),
    ]


def _beside_bound(figures: Mapping[str, Any], taken: str, bound: str) -> str:
    """Bytes that are taken, and how far from the least that is possible."""
    text = format_value(figures[taken], "bytes")
    if not figures[bound]:
        return text
    return f"{text}, {figures[taken] / figures[bound]:.3f} times the lower bound"


def _header_rows(inspection: Mapping[str, Any], header: Mapping[str, Any]) -> list[tuple[str, str]]:
    options = " ".join(f"{k}={v}" for k, v in header["options"].items())
    rows = [
        ("format", header["format"]),
        ("target", inspection["target"]),
        ("compiler", header["compiler"]),
        ("options", options),
        ("pipeline", header["pipeline"]),
        ("resumed", _resumed(header)),
        ("source", f"{header['source_framework']}, SHA-256 {header['source_hash']}"),
    ]
    return [(name, value) for name, value in rows if value]


def _resumed(header: Mapping[str, Any]) -> str:
    """Where the compile went on from text, in words."""
    return "; ".join(
        f"from {mark['text']} text, passes before it: {mark['passes']}"
        for mark in header["resumed"]
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    for column in columns:
        right = column.startswith("#")
        justify = "right" if right else "left"
        table.add_column(column.lstrip("#"), justify=justify, overflow="fold")
    return table


def _row(table: Table, *cells: object) -> None:
    # Text, not markup: layer names may contain brackets. And no control characters of theirs.
    table.add_row(*(Text("" if c is None else readable(str(c), _LONGEST)) for c in cells))


def _facts(title: str, rows: Sequence[tuple[str, str]]) -> RenderableType:
    table = _table(title, "", "")
    table.show_header = False
    for row in rows:
        _row(table, *row)
    return table


def _tensors(title: str, tensors: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = _table(title, "name", "dtype", "shape", "quantisation")
    for t in tensors:
        quantisation = f"scale {t['scale']:g}, zero point {t['zero_point']}" if "scale" in t else ""
        _row(table, t["name"], t["dtype"], t["shape"], quantisation)
    return table


def _segments(segments: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = _table("Segments", "name", "placement", "#commands", "#constants", "#workspace")
    for s in segments:
        if s["placement"] == "npu":
            sizes = (format_value(s[k], "bytes") for k in ("constant_bytes", "workspace_bytes"))
            _row(table, s["name"], "npu", s["commands"], *sizes)
        else:
            where = f"host ({s['framework']})"
            size = format_value(s["model_bytes"], "bytes")
            _row(table, s["name"], where, s["operators"], size, "")
    return table


def _time_rows(profile: Profile) -> list[tuple[str, str]]:
    """The parts of a run's time, where there is more than the NPU's."""
    rows: list[tuple[str, str]] = []
    if profile.latency.setup_latency_us:
        cold = profile.latency.cold_latency_us
        rows.append(("of a session's first run", format_value(cold, "latency")))
    if profile.utilisation is not None:
        rows.append(("multipliers in use", format_value(profile.utilisation, "share")))
    return rows


def _layers(profile: Profile) -> Table:
    """Durations overlap; what layers add sums to the program's cycles."""
    table = _table("Layers (cycles)", "name", "operator", "place", "#duration", "#adds", "#%")
    table.padding = (0, 1, 0, 0)
    table.add_column("MAC%", justify="right")
    table.add_column("bound by", no_wrap=True, overflow="ellipsis", max_width=19)
    name, operator, place = table.columns[:3]
    name.min_width = name.max_width = LONGEST
    for column, width in ((operator, 11), (place, 7)):
        column.no_wrap, column.overflow, column.max_width = True, "ellipsis", width
    for layer in profile.layers:
        known = (layer.duration, layer.added)
        cycles = ("" if n is None else format_value(n, "count") for n in known)
        share = "" if layer.share is None else f"{100 * layer.share:.1f}"
        has_macs = layer.utilisation is not None and layer.macs
        used = f"{100 * (layer.utilisation or 0):.0f}" if has_macs else ""
        place = profile.program.segments[layer.segment].name
        bound = profile.bound_title(layer)
        _row(table, layer.short, layer.operator, place, *cycles, share, used, bound)
    table.add_section()
    total = format_value(profile.costs.cycles, "count")
    _row(table, "total", "", "", "", total, "100.0" if profile.costs.cycles else "", "", "")
    return table


def _hosts(operators: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = _table("Operators on the host", "operator", "layer", "reason")
    for op in operators:
        _row(table, op["operator"], op["layer"], f"Hint [{op['hint']}]: {op['reason']}")
    return table
