"""What `furiosa_ir.reports.inspect.summary` returns, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from furiosa_ir.errors import readable
from furiosa_ir.reports.units import format_value

_LONGEST = 2000
"""Characters of a cell."""


def print_inspection(inspection: Mapping[str, Any], console: Console) -> None:
    """Header, tensors, segments, a row for each layer, memory and host operators."""
    header, figures = inspection["header"], inspection["summary"]
    console.print(_facts("Program", _header_rows(inspection, header)))
    console.print(_tensors("Inputs", inspection["inputs"]))
    console.print(_tensors("Outputs", inspection["outputs"]))
    if inspection["variables"]:
        console.print(_tensors("Kept from run to run", inspection["variables"]))
    console.print(_segments(inspection["segments"]))
    console.print(_layers(inspection["layers"]))
    console.print(_facts("Summary", figure_rows(figures)))
    if figures["host_operators"]:
        console.print(_hosts(figures["host_operators"]))


def figure_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a program with their names, for people."""
    return [
        ("MACs on the NPU", format_value(figures["npu_mac_share"], "share")),
        ("estimated latency", format_value(figures["latency_us"], "latency")),
        ("cycles", format_value(figures["cycles"], "count")),
        ("SRAM at its peak", format_value(figures["sram_peak_bytes"], "bytes")),
        ("DRAM", format_value(figures["dram_bytes"], "bytes")),
        ("weights", format_value(figures["weight_bytes"], "bytes")),
        ("operators on the host", str(len(figures["host_operators"]))),
    ]


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


def _layers(layers: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = _table("Layers", "name", "operator", "placement", "#tiles", "#cycles", "#MACs")
    for layer in layers:
        cycles = None if layer["cycles"] is None else format_value(layer["cycles"], "count")
        macs = format_value(layer["macs"], "count") if layer["macs"] else ""
        placement = f"{layer['placement']} ({layer['segment']})"
        _row(table, layer["name"], layer["operator"], placement, layer["tiles"], cycles, macs)
    return table


def _hosts(operators: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = _table("Operators on the host", "operator", "layer", "reason")
    for op in operators:
        _row(table, op["operator"], op["layer"], f"Hint [{op['hint']}]: {op['reason']}")
    return table
