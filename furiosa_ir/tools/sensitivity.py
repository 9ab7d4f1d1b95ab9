"""`furiosa sensitivity`: what the rounding of each layer costs a quantised network."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.tools.arguments import INPUT
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.part_options import shape_options
from furiosa_ir.tools.plugin_options import LOAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from furiosa_ir.layer_sensitivity import LayerSensitivity, Sensitivity
    from furiosa_ir.network_part import Part

# What imports numpy and xDSL is imported where it is used.
# ruff: noqa: PLC0415


@click.command("sensitivity", cls=Program)
@click.argument("source", type=INPUT)
@click.option(
    "--inputs",
    type=INPUT,
    help=".npz (or .npy) of inputs, samples along the first axis; default: drawn ones, which are "
    "like images and noise.",
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Samples to run at most, from all over the file.",
)
@click.option(
    "--layers",
    multiple=True,
    metavar="LAYER,...",
    help="Only these layers ('*' as in file names).",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Layers to show; --json and --csv have all.",
)
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="The layers as CSV.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), help="Layers at once; default: a processor each."
)
@click.option("-b", "--batch-size", type=click.IntRange(min=1), help="Samples an input holds.")
@shape_options
@LOAD
def sensitivity_command(
    source: Path,
    inputs: Path | None,
    count: int,
    layers: tuple[str, ...],
    top: int,
    as_json: bool,
    as_csv: bool,
    jobs: int | None,
    batch_size: int | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    load: tuple[str, ...],
) -> None:
    """Tell which layers of SOURCE, a network that is quantised, its rounding hurts most.

    SOURCE, ONNX, TFLite or IR text of the graph level, is run in real numbers with the weights that
    it has; then with one layer's result rounded to its integers, and with all but that one's, for
    each layer. The table has the SNR of the worst output of both, what is wrong with the layer's
    scale and zero point, and what to do.
    """
    with reported_errors():
        from furiosa_ir.network_part import part_of_options

        if as_json and as_csv:
            raise FuriosaError("--json and --csv cannot be given together")
        part = part_of_options(input_shape, dim)
        try:
            found = _analysed(source, inputs, count, layers, jobs, batch_size, part, load)
        except FuriosaError as error:
            raise error.at(file=str(source)) from error.__cause__
        if as_json:
            click.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
        elif as_csv:
            click.echo(found.csv(), nl=False)
        else:
            _print(found, top)


def _analysed(
    source: Path,
    inputs: Path | None,
    count: int,
    layers: Sequence[str],
    jobs: int | None,
    batch_size: int | None,
    part: Part,
    plugins: Sequence[str],
) -> Sensitivity:
    from furiosa_ir.arrays import require_readable

    if inputs is not None:
        require_readable(inputs)  # before what may take long
    with _one_thread_for_products(jobs != 1):
        from furiosa_ir.importers import load
        from furiosa_ir.layer_sensitivity import analyse
        from furiosa_ir.plugins import load_plugins
        from furiosa_ir.quantization.layers import some_of
        from furiosa_ir.runtime.session import usable_processors
        from furiosa_ir.verification.inputs import drawn_inputs, given_inputs, network_inputs

    load_plugins(plugins)
    module = load(source, batch_size, part)
    needed = network_inputs(module)
    if inputs is None:
        samples = drawn_inputs(needed)[:count]
        click.echo(
            "WARNING: the inputs are drawn, and ranges are calibrated on others: give typical ones "
            "with --inputs",
            err=True,
        )
    else:
        samples = some_of(given_inputs(inputs, needed), count)
    return analyse(
        module, samples, layers=layers, jobs=jobs or usable_processors(), on_step=_show_progress
    )


@contextmanager
def _one_thread_for_products(is_wanted: bool) -> Generator[None]:
    """numpy, if it is not there yet, multiplies matrices in the thread that asks for it.

    Several layers at once, each with a thread, are done sooner than each by all processors.
    """
    name = "OPENBLAS_NUM_THREADS"
    if not is_wanted or name in os.environ or "numpy" in sys.modules:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r🔍   Layers {done}/{total}", nl=done == total, err=True)


def _print(found: Sensitivity, top: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from furiosa_ir.layer_sensitivity.report import db

    samples = f"{found.samples} sample{'s' if found.samples > 1 else ''}"
    for output in found.outputs:
        agree = "" if output.arg_max is None else f", arg-max equal {output.arg_max * 100:.4g} %"
        name = readable(output.name)
        click.echo(f"{name}: {db(output.snr)}{agree} with every layer rounded ({samples})")
    shown = found.layers[:top]
    title = f"The {len(shown)} of {len(found.layers)} layers whose rounding alone costs most"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="bold")
    table.add_column("layer", overflow="fold", ratio=3)
    table.add_column("operator", overflow="fold", ratio=2)
    table.add_column("scale:zero", justify="right", overflow="fold", ratio=2)
    for column in ("alone", "without", "RMSE", "clips", "used"):
        table.add_column(column, justify="right", no_wrap=True)
    for layer in shown:
        # Text, not markup: names may contain brackets.
        table.add_row(*(Text(readable(cell)) for cell in _cells(layer)))
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    for layer in [each for each in found.layers if each.fault or each in shown][:top]:
        if layer.finding:
            click.echo(f"{readable(layer.name)}: {layer.finding}")
    if found.kept:
        names = ", ".join(map(readable, found.kept[:3]))
        more = f" and {len(found.kept) - 3} more" if len(found.kept) > 3 else ""
        click.echo(f"Computed in integers throughout, as that is all they mean: {names}{more}")
    click.echo(readable(found.advice, 2000))


def _cells(layer: LayerSensitivity) -> tuple[str, ...]:
    from furiosa_ir.layer_sensitivity.report import db, worst_output

    q, local = layer.written, layer.local
    scales = f"{q.scale:.3g}:{q.zero_point}" if q.axis is None else f"{len(q.scales)} scales"
    return (
        layer.name,
        layer.operator,
        f"{q.storage} {scales}",
        db(worst_output(layer.alone).snr),
        db(worst_output(layer.without).snr),
        f"{local.error:.2f}",
        f"{local.saturated * 100:.2g} %" if local.saturated else "",
        f"{local.used * 100:.3g} %",
    )
