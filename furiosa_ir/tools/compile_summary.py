"""The figures of a compile: the lines on standard error, and `--json` for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from furiosa_ir.cache.entry import Metadata
from furiosa_ir.errors import readable
from furiosa_ir.files import write_whole
from furiosa_ir.reports.units import format_value


def print_summary(figures: Metadata) -> None:
    """Prints what a program takes, and what stays on the host and why."""
    share = format_value(figures.npu_mac_share, "share")
    click.echo(f"MACs on the NPU: {share}", err=True)
    hosts = figures.host_operators
    click.echo(f"Estimated latency: {_latency(figures)}", err=True)
    if not hosts:
        click.echo("Operators on the host: none", err=True)
        return
    click.echo(f"Operators on the host: {len(hosts)}", err=True)
    reasons: dict[tuple[int, str], list[str]] = {}
    for op in hosts:
        reasons.setdefault((op.hint, op.reason), []).append(op.layer or op.operator)
    for (hint, reason), layers in sorted(reasons.items()):
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        line = f"  Hint [{hint}]: {reason} ({', '.join(layers[:3])}{more})"
        # Names come from models, and hits from stores that others may write to.
        click.echo(readable(line, 2000), err=True)


def _latency(figures: Metadata) -> str:
    """The total and its parts; a session's set-up, where it has one."""
    latency = figures.latency
    if not latency.npu_latency_us:
        return format_value(0.0, "latency")  # in words; the host's part alone is no latency of ours
    parts = [
        f"{name} {format_value(us, 'latency')}{more}"
        for name, us, more in (
            ("NPU", latency.npu_latency_us, f" in {format_value(figures.cycles, 'count')} cycles"),
            ("host", latency.host_latency_us, ""),
            ("link", latency.link_latency_us, ""),
        )
        if us
    ]
    setup = latency.setup_latency_us
    first = f"; a session's first run {format_value(latency.cold_latency_us, 'latency')}"
    total = format_value(latency.total_latency_us, "latency")
    return total + (f" ({', '.join(parts)})" if parts else "") + (first if setup else "")


def write_summary(
    file: Path,
    *,
    source: Path,
    output: Path,
    level: str,
    seconds: float,
    figures: Metadata | None = None,
    size: int | None = None,
    from_cache: bool = False,
) -> None:
    """Writes one JSON object (docs/command-line.md has its fields).

    Args:
        file: where to; `-` is standard output.
        source: what was compiled.
        output: what it became.
        level: of that; what programs are called, or a level of IR.
        seconds: how long it took.
        figures: of a program; None of IR, whose fields are left out then.
        size: bytes of the program.
        from_cache: whether the cache had it.

    Raises:
        FuriosaError: the file cannot be written.
    """
    summary: dict[str, Any] = {
        "source": str(source),
        "output": str(output),
        "level": level,
        "seconds": round(seconds, 6),
    }
    if figures is not None:
        known = asdict(figures) | figures.latency.figures()
        del known["latency"]
        if figures.batch_size is None:  # none was looked for
            del known["batches"], known["batch_size"]
        else:
            known["batches"] = [row.figures() for row in figures.batches]
        summary |= {"bytes": size, "from_cache": from_cache, **known}
    write_whole((json.dumps(summary, indent=2) + "\n").encode(), file)
