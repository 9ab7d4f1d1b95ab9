"""The table of `furiosa compile --auto-batch-size`, on standard error."""

from __future__ import annotations

from collections.abc import Sequence

import click

from furiosa_ir.batch_figures import TOLERANCE, BatchFigures
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.reports.units import format_value

_COLUMNS = ("batch", "latency", "NPU", "images/s", "an image", "SRAM", "DRAM traffic")
_WIDTHS = (5, 10, 10, 10, 10, 10, 12)


def print_header() -> None:
    """Prints the names of the columns."""
    click.echo("🔍  Comparing batch sizes, by estimates of warm runs", err=True)
    _print(_COLUMNS)


def print_row(row: BatchFigures) -> None:
    """Prints what the network takes at one batch size."""
    _print(
        (
            str(row.batch_size),
            format_value(row.latency.total_latency_us, "microseconds"),
            format_value(row.latency.npu_latency_us, "microseconds"),
            format_value(row.images_per_second, "count"),
            format_value(row.image_us, "microseconds"),
            format_value(row.sram_bytes, "bytes"),
            format_value(row.dram_bytes, "bytes"),
        )
    )


def print_end(rows: Sequence[BatchFigures], chosen: int, obstacle: FuriosaError | None) -> None:
    """Prints which one is taken, and what kept larger ones from being compared."""
    if obstacle is not None:
        reason = readable(str(obstacle), 2000)
        click.echo(f"·   batch {2 * rows[-1].batch_size} cannot be compiled: {reason}", err=True)
    click.echo(
        f"✨  Batch size {chosen}: the smallest within {TOLERANCE:.0%} of the most images/s",
        err=True,
    )


def print_batches(rows: Sequence[BatchFigures], chosen: int) -> None:
    """Prints the whole table, of a program that the cache had."""
    print_header()
    for row in rows:
        print_row(row)
    print_end(rows, chosen, None)


def _print(cells: Sequence[str]) -> None:
    line = "  ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    click.echo(line, err=True)
