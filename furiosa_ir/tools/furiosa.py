"""`furiosa`: compiles, runs and inspects networks. The command line only."""

from __future__ import annotations

if __name__ == "__main__":
    from furiosa_ir.tools import launch  # before the imports that take time

    launch.furiosa()

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import click

from furiosa_ir.batch_figures import AUTO
from furiosa_ir.errors import FuriosaError
from furiosa_ir.pipeline_request import AS_EVER, PipelineRequest
from furiosa_ir.tools.arguments import COLOR, INPUT, OUTPUT
from furiosa_ir.tools.command_line import Command, OptionalValue, Program
from furiosa_ir.tools.errors import reported_errors
from furiosa_ir.tools.part_options import part_options, shape_options
from furiosa_ir.tools.pipeline_options import pipeline_options
from furiosa_ir.tools.plugin_options import LOAD
from furiosa_ir.tools.report_options import Reports, report_options
from furiosa_ir.tools.reproducer_options import Reproduction, reproducer_options
from furiosa_ir.tools.search_options import Search, search_options
from furiosa_ir.tools.target_options import LevelName, target_option
from furiosa_ir.tools.watch_options import Watch, watch_options
from furiosa_ir.version import __version__

# The modules that do the work are imported by each command: `--help` needs none of them.
# ruff: noqa: PLC0415


class _Commands(Program, click.Group):
    """The commands below, and those that are imported when they are called."""

    groups: ClassVar = {
        "bisect": "furiosa_ir.tools.bisection:bisect_command",
        "cache": "furiosa_ir.tools.cache:cache",
        "completion": "furiosa_ir.tools.completion:completion_command",
        "diff": "furiosa_ir.tools.difference:diff_command",
        "doctor": "furiosa_ir.tools.doctor:doctor_command",
        "evaluate": "furiosa_ir.tools.evaluation:evaluate_command",
        "example": "furiosa_ir.tools.example:example_command",
        "list": "furiosa_ir.tools.listing_of_names:list_command",
        "reduce": "furiosa_ir.tools.reduction:reduce_command",
        "report": "furiosa_ir.tools.report:report",
        "sensitivity": "furiosa_ir.tools.sensitivity:sensitivity_command",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.groups])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.groups:
            module, _, name = self.groups[cmd_name].partition(":")
            return getattr(import_module(module), name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="furiosa")
def main() -> None:
    """Compile int8 networks for an NPU, run and inspect them."""


@main.command("compile", cls=Command)
@click.argument("source", type=INPUT)
@click.option(
    "-o", "--output", type=OUTPUT, help="Default: output.<target-ir>; - is standard output."
)
@target_option("--target-npu", help="Default: what IR text says")
@click.option(
    "--target-ir",
    type=LevelName(),
    help="The level to compile to, as text. Default: the program, which is the last one.",
)
@click.option(
    "-b",
    "--batch-size",
    "--batch",
    type=click.IntRange(min=1),
    help="Samples that the inputs hold; default: as the file has it, an open batch as 1.",
)
@click.option(
    "--auto-batch-size",
    is_flag=True,
    help="Compare batches of 1, 2, 4, ... samples and take the best (docs/batch-size.md).",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Compare every tensor with the source, layer by layer, and the outputs end to end.",
)
@click.option(
    "--verify-inputs",
    type=INPUT,
    help=".npz of inputs for --verify, samples along the first axis; default: drawn ones.",
)
@click.option(
    "--print-op-generic",
    is_flag=True,
    help="With --target-ir: MLIR's generic form, for tools that do not know these dialects.",
)
@COLOR
@part_options
@pipeline_options
@LOAD
@click.option("--no-cache", is_flag=True, help="Neither look into the compiler cache nor fill it.")
@click.option(
    "--verify-each", is_flag=True, help="Verify the IR after each pass, without the compiler cache."
)
@click.option("--report", type=OUTPUT, help="Also: a page to look at it with (furiosa report).")
@report_options
@watch_options
@reproducer_options
@search_options
@click.option("-v", "--verbose", is_flag=True, help="Show every pass.")
@click.option("-q", "--quiet", is_flag=True, help="Neither progress nor summary on stderr.")
@click.option(
    "--json",
    "summary",
    cls=OptionalValue,
    alone="-",
    type=OUTPUT,
    metavar="FILE",
    help="Also: the summary as JSON, on standard output or in a file.",
)
@click.version_option(__version__, prog_name="furiosa")
def compile_command(
    source: Path,
    output: Path | None,
    target_npu: str | None,
    target_ir: str | None,
    batch_size: int | None,
    auto_batch_size: bool,
    verify: bool,
    verify_inputs: Path | None,
    print_op_generic: bool,
    color: str,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    pipeline: PipelineRequest,
    dump_pipeline: bool,
    reproduction: Reproduction,
    search: Search | None,
    load: tuple[str, ...],
    no_cache: bool,
    verify_each: bool,
    report: Path | None,
    reports: Reports,
    watch: Watch,
    verbose: bool,
    quiet: bool,
    summary: Path | None,
) -> None:
    """Compile SOURCE, an ONNX or TFLite network or one of our IRs, to a program.

    What SOURCE is, its content says. Progress and the summary go to standard error. Programs are
    kept in the compiler cache (FC_CACHE_ENABLED, FC_CACHE_STORE_URL, FC_CACHE_LIFETIME; see
    `furiosa cache`), and found there by what is in SOURCE and by every option; whatever is to be
    seen of a compile (--print-ir-..., --timing, ...) compiles without it.

    With --inputs and --outputs, values by their names, the part of the network between them is
    compiled; SOURCE may then have anything outside of it.
    """
    with reported_errors():
        from furiosa_ir.network_part import part_of_options
        from furiosa_ir.tools.compilation import (
            compile_file,
            compile_reproducer,
            dump_pipeline_of,
            separated_inputs,
        )

        if auto_batch_size and batch_size is not None:
            raise FuriosaError(
                "--auto-batch-size looks for the batch size that --batch-size gives",
                hint="give one of them",
            )
        if reproduction.runs:
            asked = (target_npu, target_ir, batch_size, verify, input_shape, dim, inputs, outputs)
            is_alone = pipeline == AS_EVER and not any(asked) and summary is None
            is_alone = is_alone and not auto_batch_size and search is None
            compile_reproducer(source, output, reproduction, watch, load, is_alone=is_alone)
            return
        if dump_pipeline:
            part = part_of_options(input_shape, dim, inputs, outputs)
            dump_pipeline_of(source, pipeline, target_npu, target_ir, batch_size, part, load)
            return
        inputs, verify_inputs = separated_inputs(inputs, verify_inputs, verify=verify)
        compile_file(
            source,
            output,
            target=target_npu,
            target_ir=target_ir,
            batch_size=AUTO if auto_batch_size else batch_size,
            verify=verify,
            verify_inputs=verify_inputs,
            part=part_of_options(input_shape, dim, inputs, outputs),
            verbose=verbose,
            pipeline=pipeline,
            reproduction=reproduction,
            search=search,
            plugins=load,
            cache=not no_cache,
            verify_each=verify_each,
            watch=watch,
            reports=replace(reports, page=report),
            generic=print_op_generic,
            color=color,
            quiet=quiet,
            summary=summary,
        )


@main.command("run")
@click.argument("file", type=INPUT)
@click.option("--inputs", type=INPUT, required=True, help=".npz (or .npy) of the inputs.")
@click.option("-o", "--outputs", type=OUTPUT, help=".npz to write; default: print what they are.")
@click.option(
    "--dump",
    multiple=True,
    metavar="LAYER,...",
    help="Write what these layers make ('*' as in file names) in place of the outputs.",
)
@click.option(
    "--until", metavar="LAYER", help="Run up to this layer, and write what it, or --dump, makes."
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run N times, and say what the first run of a session takes and what further ones.",
)
@target_option("--target-npu", help="Default: the program's or IR text's")
@click.option("-b", "--batch-size", "--batch", type=click.IntRange(min=1))
@shape_options
@LOAD
def run_command(
    file: Path,
    inputs: Path,
    outputs: Path | None,
    dump: tuple[str, ...],
    until: str | None,
    repeat: int | None,
    target_npu: str | None,
    batch_size: int | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    load: tuple[str, ...],
) -> None:
    """Run FILE on the simulator: a program, or a network, which is compiled first.

    Arrays of --inputs go by the names of the network's inputs; without such names, in order. A
    network that keeps state (TFLite) is run once for each entry along a further first axis.

    With --dump or --until, FILE is not compiled: the interpreter runs the network, or the IR, as it
    is, and several samples may lie along the first axis. Of a program there are the tensors
    between segments; what is inside of them lies in the device's memory in tiles.
    """
    with reported_errors():
        from furiosa_ir.network_part import part_of_options

        if dump or until is not None:
            if repeat is not None:
                raise click.UsageError("--repeat is for whole runs, without --dump and --until")
            from furiosa_ir.tools.tensor_dump import dump_tensors

            part = part_of_options(input_shape, dim)
            dump_tensors(
                file,
                inputs,
                outputs,
                dump,
                until,
                batch_size=batch_size,
                part=part,
                plugins=load,
            )
            return
        from furiosa_ir.tools.execution import run_file

        run_file(
            file,
            inputs,
            outputs,
            target=target_npu,
            batch_size=batch_size,
            part=part_of_options(input_shape, dim),
            plugins=load,
            repeat=repeat,
        )


@main.command("inspect")
@click.argument("file", type=INPUT)
@click.option(
    "--json", "as_json", is_flag=True, help="Everything as JSON; with --disassemble that, too."
)
@click.option("--csv", "as_csv", is_flag=True, help="The table of layers as CSV, all columns.")
@click.option("--layer", metavar="NAME", help="One layer whole, by its name or its short name.")
@click.option("--disassemble", is_flag=True, help="Every command of the program.")
@LOAD
def inspect_command(
    file: Path,
    as_json: bool,
    as_csv: bool,
    layer: str | None,
    disassemble: bool,
    load: tuple[str, ...],
) -> None:
    """Show what a compiled program is: segments, layers, cycles, memory.

    Durations of layers overlap; what each of them adds sums to the program's cycles.
    """
    with reported_errors():
        from furiosa_ir.tools.inspection import inspect_file

        inspect_file(
            file,
            as_json=as_json,
            as_csv=as_csv,
            layer=layer,
            disassembled=disassemble,
            plugins=load,
        )


@main.command("quantize")
@click.argument("source", type=INPUT)
@click.option(
    "--calibration",
    type=INPUT,
    required=True,
    help=".npz or .npy of samples along the first axis, or a folder of such files.",
)
@click.option("-o", "--output", type=OUTPUT, required=True, help="- is standard output.")
@click.option(
    "--method",
    type=click.Choice(("minmax", "entropy", "percentile")),
    default="minmax",
    show_default=True,
    help="How a tensor's range follows from its values.",
)
@click.option("--per-tensor", is_flag=True, help="One scale for a weight, not one a channel.")
@click.option(
    "--activation", type=click.Choice(("int8", "uint8")), default="int8", show_default=True
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="NODE",
    help="A layer that stays in float, by its name or its output's; may be repeated.",
)
@click.option("--samples", type=click.IntRange(min=1), help="At most that many samples.")
@click.option("--report", type=OUTPUT, help="JSON of the accuracy against the float network.")
@part_options
@LOAD
def quantize_command(
    source: Path,
    calibration: Path,
    output: Path,
    method: str,
    per_tensor: bool,
    activation: str,
    exclude: tuple[str, ...],
    samples: int | None,
    report: Path | None,
    input_shape: tuple[str, ...],
    dim: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    load: tuple[str, ...],
) -> None:
    """Quantise SOURCE, a float ONNX or TFLite network, to int8.

    Prints how near the result is to SOURCE on the calibration samples, output by output.
    """
    with reported_errors():
        from furiosa_ir.network_part import part_of_options
        from furiosa_ir.tools.quantization import quantize_file

        quantize_file(
            source,
            calibration,
            output,
            method=method,
            per_channel=not per_tensor,
            activation=activation,
            exclude=exclude,
            samples=samples,
            report=report,
            part=part_of_options(input_shape, dim, inputs, outputs),
            plugins=load,
        )
