"""The columns of the table of layers, each once: CSV, JSON and the page show these.

They have what Vela's per-layer CSV has (SRAM usage and share of the peak, cycles of each unit,
share of the network, multiply-accumulates and utilisation), and why.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

from furiosa_ir.reports.profile import LayerProfile, Profile

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: its name in CSV and JSON.
        title: what people call it.
        unit: of `reports.units.format_value`; "text" for what is no number.
        description: what it says, for who points at it.
        value: the cell; None is not known, or does not apply.
    """

    key: str
    title: str
    unit: str
    description: str
    value: Callable[[Profile, LayerProfile], Cell]


def _us(cycles: int | None, profile: Profile) -> float | None:
    return None if cycles is None or not profile.clock_hz else cycles / profile.clock_hz * 1e6


def _mac_share(profile: Profile, layer: LayerProfile) -> float | None:
    total = sum(each.macs for each in profile.layers)
    return layer.macs / total if total else None


def _sram_share(profile: Profile, layer: LayerProfile) -> float | None:
    if layer.sram_used is None or profile.memory is None or not profile.memory.least:
        return None
    return layer.sram_used / profile.memory.least


COLUMNS = (
    Column("short_name", "layer", "text", "a name that tells it from others", lambda _, r: r.short),
    Column("operator", "operator", "text", "the framework's", lambda _, r: r.operator),
    Column("placement", "placement", "text", "where it runs", lambda _, r: r.placement),
    Column(
        "segment",
        "segment",
        "text",
        "the part of the program",
        lambda p, r: p.program.segments[r.segment].name,
    ),
    Column("hint", "hint", "count", "why it runs on the host: docs/hints.md", lambda _, r: r.hint),
    Column(
        "duration_cycles",
        "duration",
        "count",
        "cycles in which it runs; those of layers that run side by side count for both",
        lambda _, r: r.duration,
    ),
    Column(
        "duration_us",
        "duration (µs)",
        "microseconds",
        "the duration in microseconds",
        lambda p, r: _us(r.duration, p),
    ),
    Column(
        "cycles",
        "added",
        "count",
        "cycles that it adds to the program's time: they sum to the program's",
        lambda _, r: r.added,
    ),
    Column("share", "% of total", "share", "what it adds, of the whole", lambda _, r: r.share),
    Column(
        "critical_cycles",
        "critical",
        "count",
        "cycles of the critical path that are its commands'",
        lambda _, r: r.critical,
    ),
    Column(
        "bound_by",
        "bound by",
        "text",
        "what decides how long it takes",
        lambda p, r: p.bound_title(r),
    ),
    Column("tiles", "tiles", "count", "steps that compute something", lambda _, r: r.tiles),
    Column("macs", "MACs", "count", "multiply-accumulates", lambda _, r: r.macs),
    Column("mac_share", "% of MACs", "share", "of the network's", _mac_share),
    Column(
        "utilisation",
        "utilisation",
        "share",
        "of the multipliers while its steps run",
        lambda _, r: r.utilisation,
    ),
    Column("load_cycles", "load", "count", "cycles of its loads", lambda _, r: r.load_cycles),
    Column(
        "operate_cycles", "operate", "count", "cycles of its steps", lambda _, r: r.operate_cycles
    ),
    Column(
        "store_cycles",
        "store",
        "count",
        "cycles of its stores and copies",
        lambda _, r: r.store_cycles,
    ),
    Column(
        "weight_bytes",
        "weights",
        "bytes",
        "its parameters; on the host they are not known",
        lambda _, r: r.weight_bytes,
    ),
    Column("dram_read_bytes", "DRAM read", "bytes", "from DRAM", lambda _, r: r.dram_read),
    Column("dram_written_bytes", "DRAM written", "bytes", "to DRAM", lambda _, r: r.dram_written),
    Column("sram_read_bytes", "SRAM read", "bytes", "from SRAM", lambda _, r: r.sram_read),
    Column("sram_written_bytes", "SRAM written", "bytes", "to SRAM", lambda _, r: r.sram_written),
    Column(
        "sram_used_bytes",
        "SRAM used",
        "bytes",
        "most bytes of a slice in use while it runs",
        lambda _, r: r.sram_used,
    ),
    Column("sram_share", "% of peak", "share", "of the program's peak", _sram_share),
    Column("start_cycle", "start", "count", "when its first command starts", lambda _, r: r.start),
    Column("end_cycle", "end", "count", "when its last command ends", lambda _, r: r.end),
    Column("reason", "reason", "text", "why it runs on the host", lambda _, r: r.reason),
    Column("name", "full name", "text", "the framework's name", lambda _, r: r.name),
)


def layer_row(profile: Profile, layer: LayerProfile) -> dict[str, Cell]:
    """A layer's cells by the columns' keys."""
    return {column.key: column.value(profile, layer) for column in COLUMNS}


def layers_csv(profile: Profile) -> str:
    """The table as CSV with a line of keys; shares are 0 to 1, what is not known is empty."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(column.key for column in COLUMNS)
    for layer in profile.layers:
        table.writerow(_csv_cell(cell) for cell in layer_row(profile, layer).values())
    return text.getvalue()


def _csv_cell(cell: Cell) -> Cell:
    """Names are text even for a spreadsheet, which takes what begins with these for formulas."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return f"{cell:.6g}" if isinstance(cell, float) else cell
