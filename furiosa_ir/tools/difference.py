"""`furiosa diff`: two programs, networks, texts or pipelines side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.tools.arguments import INPUT
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.part_options import part_options
from furiosa_ir.tools.pipeline_options import pipeline_options
from furiosa_ir.tools.plugin_options import LOAD
from furiosa_ir.tools.target_options import target_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from furiosa_ir.debugging.difference import Difference, TensorError

# What imports numpy and xDSL is imported where it is used.
# ruff: noqa: PLC0415

_ROWS = 20
"""Of layers that differ; --json has all."""

_NAMES = {
    "cycles": "cycles",
    "npu_latency_us": "latency on the NPU",
    "host_latency_us": "latency on the host",
    "link_latency_us": "latency of the link",
    "setup_latency_us": "set-up of a session",
    "total_latency_us": "latency",
    "sram_peak_bytes": "SRAM at its peak",
    "dram_bytes": "DRAM traffic",
    "weight_bytes": "weights",
    "macs": "MACs",
    "npu_mac_share": "MACs on the NPU",
}


@click.command("diff", cls=Program)
@click.argument("a", type=INPUT)
@click.argument("b", type=INPUT, required=False)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Inputs to run: like images, noise, the edges of what an input may be.",
)
@target_option("--target-npu", "target", help="Default: what IR text says")
@click.option(
    "-b", "--batch-size", type=click.IntRange(min=1), help="Samples that the inputs hold."
)
@part_options
@pipeline_options
@LOAD
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
def diff_command(
    a: Path,
    b: Path | None,
    count: int,
    target: str | None,
    batch_size: int | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    pipeline: PipelineRequest,
    dump_pipeline: bool,
    load: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare A with B: values, cycles, memory, traffic and placement.

    Each is a program, a network or IR text. Pipelines and edits of them are B's; without B, A is
    compared with itself compiled so. Layers are found by their names; of two programs the tensors
    between segments are compared, and layers' times.
    """
    with reported_errors():
        from furiosa_ir.network_part import part_of_options

        part = part_of_options(input_shape, dim, inputs, outputs)
        edited = pipeline.text is not None or bool(pipeline.edits)
        if b is None and not edited:
            raise FuriosaError("there is nothing to compare", hint="give B, or a pipeline for it")
        if dump_pipeline:
            from furiosa_ir.tools.compilation import dump_pipeline_of

            dump_pipeline_of(b or a, pipeline, target, None, batch_size, part, load)
            return
        from furiosa_ir.debugging.difference import compare, side_of
        from furiosa_ir.plugins import load_plugins

        load_plugins(load)
        one = side_of(a, target=target, batch_size=batch_size, part=part, plugins=load)
        other = side_of(
            b or a,
            name=f"{b or a}{_edits(pipeline)}",
            passes=pipeline,
            target=target,
            batch_size=batch_size,
            part=part,
            plugins=load,
        )
        difference = compare(one, other, count)
        if as_json:
            click.echo(json.dumps(difference.as_json(), ensure_ascii=False, indent=2))
        else:
            for line in _lines(difference):
                click.echo(readable(line, 200))


def _edits(pipeline: PipelineRequest) -> str:
    """What is asked of a pipeline, behind a file's name."""
    text = [f"-p {pipeline.text}"] if pipeline.text is not None else []
    text += [
        f"--{edit.kind.value} {edit.at}{f'={edit.passes}' if edit.passes else ''}"
        for edit in pipeline.edits
    ]
    return f" {' '.join(text)}" if text else ""


def _lines(difference: Difference) -> Iterator[str]:
    for letter, name in zip("AB", difference.sides, strict=True):
        yield f"{letter}  {name}"
    yield from difference.notes
    if len(set(difference.compilers) - {None}) > 1:
        yield f"made by {difference.compilers[0]} and {difference.compilers[1]}"
    for letter, alone in zip("AB", difference.passes, strict=True):
        if alone:
            yield f"passes of {letter} alone: {', '.join(alone)}"
    yield ""
    yield from _values(difference)
    yield ""
    yield from _figures(difference)
    yield ""
    if difference.placement:
        yield "placement"
        for layer, (mine, other) in difference.placement.items():
            yield f"  {layer}: {mine} -> {other}"
    elif difference.figures["cycles"] != (None, None):
        yield "placement: the same"
    changed = sorted(
        ((b or 0) - (a or 0), layer, a, b) for layer, (a, b) in difference.durations.items()
    )
    slowest = sorted(changed, key=lambda row: (-abs(row[0]), row[1]))[:_ROWS]
    if slowest:
        verb = "differs" if len(changed) == 1 else "differ"
        yield f"time of layers, in cycles ({len(changed)} {verb})"
        for apart, layer, a, b in slowest:
            yield f"  {apart:+,} {layer}: {_count(a)} -> {_count(b)}"


def _count(number: int | None) -> str:
    return "none" if number is None else f"{number:,}"


def _values(difference: Difference) -> Iterator[str]:
    outputs = [t for t in difference.tensors if t.is_output]
    others = [t for t in difference.tensors if not t.is_output]
    differing = [t for t in others if t.differing or t.note]
    inputs = f"{difference.inputs} input{'s' if difference.inputs > 1 else ''}"
    alone = difference.alone
    only = f"; only A has {alone[0]}, only B {alone[1]}" if any(alone) else ""
    shared = f"{len(others) - len(differing)} of {len(others)} shared tensors are equal{only}"
    if not others:  # two programs of one segment
        shared = f"no tensors but the outputs are on both sides{only}"
    yield f"values on {inputs}: {shared}"
    yield f"  {'':<40} {'max error':>12} {'mean error':>12} {'differ':>8}"
    for tensor in outputs:
        yield _row(f"output {tensor.name}", tensor)
    for tensor in differing[:_ROWS]:
        yield _row(tensor.name, tensor)
    if len(differing) > _ROWS:
        yield f"  ... and {len(differing) - _ROWS} more"


def _row(name: str, tensor: TensorError) -> str:
    name = name if len(name) <= 40 else f"{name[:18]}...{name[-19:]}"
    if tensor.note:
        return f"  {name:<40} {tensor.note}"
    if not tensor.differing:
        return f"  {name:<40} {'equal':>12}"
    mean = tensor.total / tensor.elements
    share = f"{tensor.differing / tensor.elements * 100:.3g} %"
    return f"  {name:<40} {tensor.greatest:>12.4g} {mean:>12.4g} {share:>8}"


def _figures(difference: Difference) -> Iterator[str]:
    from furiosa_ir.debugging.difference import FIGURES
    from furiosa_ir.reports.units import format_value

    yield f"  {'':<18} {'A':>14} {'B':>14} {'change':>9}"
    for name, (mine, other) in difference.figures.items():
        unit = FIGURES[name]
        a, b = (
            format_value(value, "microseconds" if unit == "latency" else unit)
            for value in (mine, other)
        )
        change = ""
        if mine and other is not None:
            change = "same" if mine == other else f"{(other - mine) / mine * 100:+.3g} %"
        yield f"  {_NAMES[name]:<18} {a:>14} {b:>14} {change:>9}"
