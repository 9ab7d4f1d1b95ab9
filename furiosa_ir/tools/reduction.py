"""`furiosa reduce`: a module made as small as it can be while what is wrong with it stays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_writable
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.tools.arguments import INPUT, OUTPUT
from furiosa_ir.tools.bisection import test_header
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.pipeline_options import pipeline_options
from furiosa_ir.tools.plugin_options import LOAD
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown
from furiosa_ir.tools.target_options import target_option

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from furiosa_ir.debugging.numerics_test import NumericsTest

# What imports numpy and xDSL is imported where it is used.
# ruff: noqa: PLC0415


@click.command("reduce", cls=Program)
@click.argument("file", type=INPUT)
@click.option(
    "--test",
    "command",
    metavar="CMD",
    help="A command that gets a file behind its words and ends with 0 if that is interesting (as "
    "iree-reduce's).",
)
@click.option(
    "--numerics", is_flag=True, help="Interesting is what has a value that a pass changes."
)
@click.option("-o", "--output", type=OUTPUT, help="Default: FILE with .reduced.mlir; - prints it.")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Inputs to run with --numerics.",
)
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Candidates at once.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="After so long, CMD has not found its candidate interesting.",
)
@target_option("--target-npu", "target", help="Default: what IR text says")
@pipeline_options
@LOAD
def reduce_command(
    file: Path,
    command: str | None,
    numerics: bool,
    output: Path | None,
    count: int,
    jobs: int | None,
    timeout: float,
    target: str | None,
    pipeline: PipelineRequest,
    dump_pipeline: bool,
    load: tuple[str, ...],
) -> None:
    """Make FILE, IR text or a network, smaller while it stays interesting.

    Operations, functions and results go, operands stand in for results, extents become 1 or 2 and
    constants one number. Each candidate is verified before it is tried. With --numerics the passes
    of -p (default: those that are left of the compiler's) are what is to change a value.
    """
    with reported_errors():
        if (command is None) != numerics:
            raise FuriosaError(
                "say what is interesting", hint="--test CMD, or --numerics with -p PASSES"
            )
        if dump_pipeline:
            from furiosa_ir.network_part import WHOLE
            from furiosa_ir.tools.compilation import dump_pipeline_of

            dump_pipeline_of(file, pipeline, target, None, None, WHOLE, load)
            return
        output = output or file.with_name(f"{file.stem}.reduced.mlir")
        check_writable(output)
        check_outputs([output], file, plugin_files(load))
        _reduce(file, command, output, count, jobs, timeout, target, pipeline, load)


def _reduce(
    file: Path,
    command: str | None,
    output: Path,
    count: int,
    jobs: int | None,
    timeout: float,
    target: str | None,
    pipeline: PipelineRequest,
    load: tuple[str, ...],
) -> None:
    from furiosa_ir.debugging.command_test import CommandTest
    from furiosa_ir.debugging.reduce import Test, reduce_module
    from furiosa_ir.debugging.workers import ParallelTest
    from furiosa_ir.importers import load as load_module
    from furiosa_ir.ir.text import write_module
    from furiosa_ir.plugins import load_plugins
    from furiosa_ir.runtime.session import usable_processors

    load_plugins(load)
    module = load_module(file)
    most = jobs or usable_processors()
    numerics = None
    test: Test
    if command is None:
        numerics = _numerics_test(module, pipeline, target, count)
        test = ParallelTest(numerics, load, most)
    else:
        test = CommandTest.of(command, most, timeout)

    def told(operations: int, tried: int) -> None:
        plural = "s" if operations > 1 else ""
        click.echo(f"{operations} operation{plural} after {tried} candidates", err=True)

    try:
        reduction = reduce_module(module, test, batch=most, progress=told)
    except FuriosaError as error:
        raise error.at(file=str(file)) from error.__cause__
    header = f"// RUN: {command} %s\n\n" if command is not None else ""
    if numerics is not None:
        finding = numerics.finding(reduction.module)
        assert finding is not None
        header = test_header(numerics, load, finding.lines())
    write_module(reduction.module, output, header=header)
    left = f"{reduction.before} operations reduced to {reduction.after}"
    click.echo(f"{left} with {reduction.tried} candidates", err=True)
    click.echo(f"Written to {shown(output)}", err=True)


def _numerics_test(
    module: ModuleOp, pipeline: PipelineRequest, target: str | None, count: int
) -> NumericsTest:
    from furiosa_ir.backends import backend_for
    from furiosa_ir.backends.target import backend_of
    from furiosa_ir.debugging.numerics_test import NumericsTest
    from furiosa_ir.passes.assign_target import with_target
    from furiosa_ir.pipeline_selection import phases_asked_for

    backend = backend_of(module) if target is None else backend_for(target)
    phases = phases_asked_for(pipeline, module, None, backend)
    phases = with_target(phases, module, target)
    passes = tuple(what for phase in phases for what in phase.resolve())
    whole = NumericsTest(passes, None, count)
    finding = whole.finding(module)
    if finding is None:
        return whole
    # What is behind the pass that is wrong shows nothing more.
    names = [what.name for what in passes]
    last = names.index(finding.what.name) + 1
    return NumericsTest(passes[:last], finding.what.name, count)
