"""`furiosa-opt`: applies passes to IR, in the manner of mlir-opt. The command line only."""

from __future__ import annotations

if __name__ == "__main__":
    from furiosa_ir.tools import launch  # before the imports that take time

    launch.furiosa_opt()

from pathlib import Path

import click
from click.core import ParameterSource

from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.tools.arguments import COLOR, INPUT, OUTPUT, STDOUT
from furiosa_ir.tools.command_line import Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.part_options import part_options
from furiosa_ir.tools.pipeline_options import pipeline_options
from furiosa_ir.tools.reproducer_options import Reproduction, reproducer_options
from furiosa_ir.tools.target_options import target_option
from furiosa_ir.tools.watch_options import Watch, watch_options
from furiosa_ir.version import __version__

# The modules that do the work are imported in `main`: `--help` and `--version` need none of xDSL.
# ruff: noqa: PLC0415


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", default="-", type=INPUT)
@pipeline_options
@click.option("-o", "--output", type=OUTPUT, help="Default: standard output, as with -.")
@click.option("--from", "first", metavar="PHASE", help="Run the compiler's phases from this one.")
@click.option("--to", "last", metavar="PHASE", help="Run the compiler's phases up to this one.")
@target_option("--target-npu", "target", help="Default: the IR's own")
@click.option(
    "-b", "--batch-size", type=click.IntRange(min=1), help="Samples that the inputs hold."
)
@part_options
@click.option("--list-passes", is_flag=True, help="Passes with options, rules and documentation.")
@watch_options
@reproducer_options
@click.option(
    "--print-debuginfo/--no-print-debuginfo",
    "--mlir-print-debuginfo/--no-mlir-print-debuginfo",
    "debuginfo",
    default=None,
    help="Print locations (layer names). Default: in files written with -o.",
)
@click.option(
    "--print-op-generic",
    "--mlir-print-op-generic",
    "generic",
    is_flag=True,
    help="Print MLIR's generic form, which tools read that do not know these dialects.",
)
@COLOR
@click.option("--split-input-file", is_flag=True, help="Each part between '// -----' lines alone.")
@click.option("--verify-diagnostics", is_flag=True, help="Check 'expected-error {{...}}' comments.")
@click.option(
    "--verify-each/--no-verify-each", default=True, help="Verify after each pass (the default)."
)
@click.option(
    "--load",
    multiple=True,
    metavar="PLUGIN",
    help="Plug-in: a .py file, a package's folder, a module.",
)
@click.option(
    "--constants",
    type=INPUT,
    help="Safetensors file with the constants of text from standard input.",
)
@click.version_option(__version__, prog_name="furiosa-opt")
def main(
    file: Path,
    pipeline: PipelineRequest,
    dump_pipeline: bool,
    reproduction: Reproduction,
    output: Path | None,
    first: str | None,
    last: str | None,
    target: str | None,
    batch_size: int | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    list_passes: bool,
    watch: Watch,
    debuginfo: bool | None,
    generic: bool,
    color: str,
    split_input_file: bool,
    verify_diagnostics: bool,
    verify_each: bool,
    load: tuple[str, ...],
    constants: Path | None,
) -> None:
    """Apply passes to FILE: IR text, an ONNX or a TFLite network; '-' is standard input.

    What FILE is, its content says. Text keeps large constants in a .safetensors file beside it.
    """
    with reported_errors():
        if load:
            from furiosa_ir.plugins import load_plugins

            load_plugins(load)
        if list_passes:
            from furiosa_ir.tools.listing import list_passes as listing

            click.echo(listing())
            return
        from furiosa_ir.network_part import part_of_options
        from furiosa_ir.tools.transform import (
            Settings,
            check_pipeline,
            pipeline_to_run,
            run_reproducer_file,
            transform_file,
        )

        if output == STDOUT:
            output = None
        settings = Settings(
            pipeline=pipeline,
            reproduction=reproduction,
            first=first,
            last=last,
            target=target,
            batch_size=batch_size,
            part=part_of_options(input_shape, dim, inputs, outputs),
            verify_each=verify_each,
            watch=watch,
            debuginfo=bool(output) if debuginfo is None else debuginfo,
            generic=generic,
            color=color,
            split=split_input_file,
            diagnostics=verify_diagnostics,
            constants=constants,
            plugins=load,
        )
        if dump_pipeline:
            source = click.get_current_context().get_parameter_source("file")
            check_pipeline(settings)
            is_given = source is not ParameterSource.DEFAULT
            click.echo(pipeline_to_run(file if is_given else None, settings))
            return
        if reproduction.runs:
            run_reproducer_file(file, output, settings)
            return
        transform_file(file, output, settings)
