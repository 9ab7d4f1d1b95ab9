"""What `furiosa quantize` does around the quantiser: progress, report, table."""

from __future__ import annotations

import io
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from furiosa_ir.errors import readable
from furiosa_ir.files import check_writable, refuse_terminal, write_whole
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.quantization import OutputAccuracy, QuantizationReport, quantize
from furiosa_ir.quantization.calibration import calibration_files
from furiosa_ir.quantization.layers import LayerAccuracy, worst
from furiosa_ir.reports.units import format_value
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown


def quantize_file(
    source: Path,
    calibration: Path,
    output: Path,
    *,
    method: str,
    per_channel: bool,
    activation: str,
    exclude: Sequence[str],
    samples: int | None,
    report: Path | None,
    part: Part = WHOLE,
    plugins: Sequence[Plugin] = (),
) -> None:
    """Quantises a file to a file, and says how near the result is to the source.

    Raises:
        FuriosaError: it cannot be done; no output file is left then.
    """
    outputs = [output] if report is None else [output, report]
    streams = [check_writable(path) for path in outputs]
    refuse_terminal(streams[0])
    read = [*calibration_files(calibration), *plugin_files(plugins)]
    check_outputs(outputs, source, read)
    progress = _Progress()
    result = quantize(
        source,
        calibration,
        output,
        method=method,
        per_channel=per_channel,
        activation=activation,
        exclude=exclude,
        limit=samples,
        plugins=plugins,
        input_shapes=dict(part.input_shapes),
        dims=dict(part.dims),
        inputs=part.inputs,
        outputs=part.outputs,
        on_step=progress.step,
    )
    if report is not None:
        write_whole((json.dumps(result.as_json(), indent=2) + "\n").encode(), report)
    # A network or a report that goes there is for a program.
    taken = any(stream is not None and stream.descriptor == 1 for stream in streams)
    _print(result, sys.stderr if taken else sys.stdout)
    click.echo(f"Written to {shown(output)}", err=True)


class _Progress:
    """`🔍   Calibrating ... 12/100` on stderr: one line a step, rewritten on a terminal."""

    def __init__(self) -> None:
        if isinstance(sys.stderr, io.TextIOWrapper):
            sys.stderr.reconfigure(errors="replace")  # not every terminal knows the symbols
        self._started = time.perf_counter()
        self._terminal = sys.stderr.isatty()

    def step(self, what: str, done: int, total: int) -> None:
        """So much of a step is done."""
        count = f" {done}/{total}" if total > 1 else ""
        if done == 0:
            self._started = time.perf_counter()
            click.echo(f"🔍   {what}", nl=not self._terminal, err=True)
        elif done == total:
            seconds = time.perf_counter() - self._started
            start = f"\r🔍   {what}{count}\n" if self._terminal else ""
            click.echo(f"{start}Done in {seconds:.3g}s", err=True)
        elif self._terminal:
            click.echo(f"\r🔍   {what}{count}", nl=False, err=True)


def _print(result: QuantizationReport, stream: TextIO) -> None:
    title = f"Accuracy against the float network, {result.samples} calibration samples"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    table.add_column("output", overflow="fold")
    for column in ("SNR", "arg-max equal", "greatest error", "peak"):
        table.add_column(column, justify="right")
    for output in result.outputs:
        # Text, not markup: output names may contain brackets.
        table.add_row(*(Text(readable(cell)) for cell in _cells(output)))
    console = Console(file=stream, width=None if stream.isatty() else 100)
    console.print(table)
    for output in result.outputs:
        if output.reshaped:
            click.echo(
                f"Of '{readable(output.name)}' {output.reshaped} of {result.samples} samples are "
                "not compared: their shape depends on the data, and differs",
                err=True,
            )
    if result.layers:
        console.print(_of_layers(result.layers))
    sizes = [format_value(n, "bytes") for n in (result.source_bytes, result.output_bytes)]
    click.echo(f"Size: {sizes[0]} to {sizes[1]}", err=True)
    if result.float_operators:
        text = ", ".join(f"{count} {name}" for name, count in result.float_operators.items())
        click.echo(f"Left in float: {readable(text, 5000)}", err=True)


_SHOWN = 8
"""Layers that are shown; `--report` has all of them."""


def _of_layers(layers: Sequence[LayerAccuracy]) -> Table:
    shown = worst(layers, _SHOWN)
    title = f"The {len(shown)} of {len(layers)} layers whose own rounding costs most"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    table.add_column("layer", overflow="fold")
    for column in ("SNR alone", "accumulated", "range"):
        table.add_column(column, justify="right")
    table.add_column("which is that wide for", overflow="fold")
    for layer in shown:
        ends = f"{layer.low:.3g} to {layer.high:.3g}"
        cells = (layer.name, _db(layer.alone), _db(layer.accumulated), ends, layer.dominated)
        table.add_row(*(Text(readable(cell)) for cell in cells))
    return table


def _db(snr: float) -> str:
    return "equal" if snr == math.inf else "" if math.isnan(snr) else f"{snr:.1f} dB"


def _cells(output: OutputAccuracy) -> tuple[str, ...]:
    return (
        output.name,
        _db(output.snr),
        "" if output.arg_max is None else f"{output.arg_max * 100:.4g} %",
        "" if math.isnan(output.snr) else f"{output.max_error:.4g}",
        "" if math.isnan(output.snr) else f"{output.peak:.4g}",
    )
