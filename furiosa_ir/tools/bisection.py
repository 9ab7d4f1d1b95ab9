"""`furiosa bisect`: from a wrong result to the pass, rule and operation that makes it wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.tools.arguments import INPUT, OUTPUT
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.part_options import part_options
from furiosa_ir.tools.pipeline_options import pipeline_options
from furiosa_ir.tools.plugin_options import LOAD
from furiosa_ir.tools.target_options import target_option

if TYPE_CHECKING:
    from furiosa_ir.debugging.bisect import Bisection
    from furiosa_ir.debugging.finding import Finding
    from furiosa_ir.debugging.numerics_test import NumericsTest
    from furiosa_ir.debugging.reduce import Reduction

# What imports numpy and xDSL is imported where it is used.
# ruff: noqa: PLC0415


@click.command("bisect", cls=Program)
@click.argument("source", type=INPUT)
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    help="The reduced test; default: bisect-<pass>.mlir; - prints it.",
)
@target_option("--target-npu", "target", help="Default: what IR text says")
@click.option(
    "-b", "--batch-size", type=click.IntRange(min=1), help="Samples that the inputs hold."
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Inputs to draw: like images, noise, the edges of what an input may be.",
)
@click.option(
    "--verify-inputs",
    type=INPUT,
    help=".npz of inputs in place of drawn ones, samples along the first axis.",
)
@part_options
@pipeline_options
@LOAD
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option("--no-test", is_flag=True, help="Write no reduced test.")
def bisect_command(
    source: Path,
    output: Path | None,
    target: str | None,
    batch_size: int | None,
    count: int,
    verify_inputs: Path | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    pipeline: PipelineRequest,
    dump_pipeline: bool,
    load: tuple[str, ...],
    as_json: bool,
    no_test: bool,
) -> None:
    """Find the first pass, rule and operation that makes the result of SOURCE wrong.

    SOURCE, a network or IR text, is compiled once. Its values behind each pass, and the program's
    on the simulator, are compared with those that SOURCE has; the pass that is found runs again
    with ever fewer applications of its rules. A test of a few operations that shows it is left
    behind. Exit code 1 where no value differs.
    """
    with reported_errors():
        from furiosa_ir.network_part import part_of_options

        part = part_of_options(input_shape, dim, inputs, outputs)
        if dump_pipeline:
            from furiosa_ir.tools.compilation import dump_pipeline_of

            dump_pipeline_of(source, pipeline, target, None, batch_size, part, load)
            return
        from furiosa_ir.debugging.bisect import bisect
        from furiosa_ir.driver import garbage_collection_paused

        try:
            with garbage_collection_paused():
                bisection = bisect(
                    source,
                    passes=pipeline,
                    target=target,
                    batch_size=batch_size,
                    part=part,
                    plugins=load,
                    count=count,
                    inputs=verify_inputs,
                )
        except FuriosaError as error:
            raise error.at(file=str(source)) from error.__cause__
        finding = bisection.finding
        if finding is None:
            raise _nothing(bisection, source)
        found: dict[str, Any] = finding.as_json()
        for line in () if as_json else finding.lines():
            click.echo(line)
        if not no_test:
            written = _write_test(bisection, output, load)
            found["test"] = None if written is None else str(written[0])
            found["operations"] = None if written is None else written[1].after
            if not as_json:
                click.echo(_told(written, finding))
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False, indent=2))


def _nothing(bisection: Bisection, source: Path) -> FuriosaError:
    if bisection.source is not None:
        layer, hint = bisection.source.layer, bisection.source.hint
        message = "no pass changes a value, but what is read from the file, or how it is lowered, "
        message += f"is not what its framework computes: {bisection.source.message}"
        return FuriosaError(message, file=str(source), layer=layer, hint=hint)
    inputs = f"{bisection.inputs} input{'s' if bisection.inputs > 1 else ''}"
    hint = "--count runs more inputs, --verify-inputs those of a file"
    if bisection.idle:
        names = " and ".join(f"'{name}'" for name in bisection.idle)
        hint = f"{names} changed nothing; {hint}"
    return FuriosaError(
        f"no pass changes a value on {inputs}, and the program computes what the source does",
        file=str(source),
        hint=hint,
    )


def _write_test(
    bisection: Bisection, output: Path | None, plugins: tuple[str, ...]
) -> tuple[Path, Reduction] | None:
    from furiosa_ir.debugging.reduced_test import reduced_test
    from furiosa_ir.ir.text import write_module

    assert bisection.finding is not None
    reduced = reduced_test(bisection)
    if reduced is None:
        return None
    reduction, test = reduced
    path = output or Path(f"bisect-{bisection.finding.what.name}.mlir")
    header = test_header(test, plugins, bisection.finding.lines())
    write_module(reduction.module, path, header=header)
    return path, reduction


def test_header(test: NumericsTest, plugins: tuple[str, ...], lines: list[str]) -> str:
    """What stands in front of a reduced test: how to run it, and what it shows."""
    from furiosa_ir.ir.passes import pipeline_text

    words = ["furiosa-opt", "%s"]
    for plugin in plugins:
        words += ["--load", plugin]
    words += ["-p", pipeline_text(test.passes), f"--check-numerics={test.count}"]
    run = " ".join(word if word == "%s" else shlex.quote(word) for word in words)
    told = "".join(f"// {readable(line)}\n" for line in lines)
    return f"// RUN: {run}\n//\n{told}\n"


def _told(written: tuple[Path, Reduction] | None, finding: Finding) -> str:
    if not finding.is_repeatable:
        return "test       none: the pass does something else each time it runs"
    if written is None:
        return "test       none: no part of the module shows it on inputs of its own"
    path, reduction = written
    count = f"{reduction.after} operation{'s' if reduction.after > 1 else ''}"
    return f"test       {path}: {count}"
