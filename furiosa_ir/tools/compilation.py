"""What `furiosa compile` does around the compiler: cache, progress, output file, summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from furiosa_ir.cache.compilation import Compiled, compile_cached, describe
from furiosa_ir.cache.entry import Metadata
from furiosa_ir.cache.key import Inputs
from furiosa_ir.cache.settings import NO_CACHE, CacheSettings
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.files import check_writable, refuse_terminal, replacing, write_failure
from furiosa_ir.ir.text_format import constants_path, is_ir_text
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.reports.units import format_value
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown

if TYPE_CHECKING:
    from furiosa_ir.compiler import CompileResult
    from furiosa_ir.ir.pipeline import Instrumentation
    from furiosa_ir.plugins import Plugin
    from furiosa_ir.tools.verification import Verification

# The compiler and what else imports numpy and xDSL is imported where it is used: a program that
# the cache has needs none of it.
# ruff: noqa: PLC0415


def compile_file(
    source: Path,
    output: Path,
    *,
    target: str | None,
    target_ir: str,
    batch_size: int | None,
    verify: bool,
    verbose: bool,
    verify_inputs: Path | None = None,
    part: Part = WHOLE,
    passes: str | None = None,
    plugins: Sequence[Plugin] = (),
    cache: bool = True,
    verify_each: bool = False,
) -> None:
    """Compiles a file to a file; the options of `furiosa compile` document the arguments.

    Raises:
        FuriosaError: it cannot be compiled, or verified, or written; no output file is left then.
    """
    stream = check_writable(output)
    if target_ir == "enf":
        refuse_terminal(stream)
    # Text that is written to a stream has no constants beside it.
    is_alone = target_ir == "enf" or stream is not None
    outputs = [output] if is_alone else [output, constants_path(output)]
    others = [*plugin_files(plugins), *([verify_inputs] if verify_inputs is not None else [])]
    check_outputs(outputs, source, others)
    if verify_inputs is not None and not verify:
        raise FuriosaError("--verify-inputs are inputs for --verify", hint="give --verify, too")
    if passes is not None and target_ir != "enf":
        raise FuriosaError("--pass-pipeline ends at a program", hint="use furiosa-opt -p for IR")

    def compile_(*instrumentation: Instrumentation) -> CompileResult:
        return _compile(
            source,
            target=target,
            target_ir=target_ir,
            batch_size=batch_size,
            part=part,
            passes=passes,
            plugins=plugins,
            verbose=verbose,
            verify_each=verify_each,
            instrumentation=instrumentation,
        )

    verification = None
    if verify:
        from furiosa_ir.tools.verification import Verification

        verification = Verification(source, compile_, verify_inputs, part)
    run = compile_ if verification is None else verification.compile

    if target_ir == "enf":
        inputs = Inputs(source, target, batch_size, passes, tuple(plugins), part)
        # What the cache has, no pass would make again.
        settings = None if cache and not verify_each else NO_CACHE
        _compile_program(inputs, output, run, settings, verification)
    else:
        from furiosa_ir.ir.text import write_module

        module = run().module
        if verification is not None:
            verification.verify_module()
        write_module(module, output)
    click.echo(f"Written to {shown(output)}", err=True)


def separated_inputs(
    inputs: tuple[str, ...], verify_inputs: Path | None, *, verify: bool
) -> tuple[tuple[str, ...], Path | None]:
    """`--inputs`, which once was the file of inputs for --verify, and `--verify-inputs`.

    Returns:
        The names of values, and the file.
    """
    if not verify or verify_inputs is not None or len(inputs) != 1:
        return inputs, verify_inputs
    path = Path(inputs[0])
    if not path.exists() or path.is_dir():
        return inputs, None
    click.echo(
        f"WARNING: --inputs {inputs[0]} is a file: --inputs are names of values now, and files "
        "of inputs for --verify are --verify-inputs",
        err=True,
    )
    return (), path


def _compile(
    source: Path,
    *,
    target: str | None,
    target_ir: str,
    batch_size: int | None,
    part: Part,
    passes: str | None,
    plugins: Sequence[Plugin],
    verbose: bool,
    verify_each: bool,
    instrumentation: Sequence[Instrumentation] = (),
) -> CompileResult:
    from furiosa_ir.compiler import LEVELS, compile_source
    from furiosa_ir.tools.progress import Progress

    # Own passes are one step to the last level of IR.
    levels = LEVELS[: LEVELS.index(target_ir) + 1] if passes is None else LEVELS[-2:]
    progress = Progress(_kind(source), levels, verbose=verbose)
    result = compile_source(
        source,
        target=target,
        batch_size=batch_size,
        part=part,
        target_ir=target_ir,
        passes=passes,
        plugins=plugins,
        instrumentation=(progress, *instrumentation),
        on_phase=progress.phase,
        verify_each=verify_each,
    )
    progress.finished()
    return result


def _compile_program(
    inputs: Inputs,
    output: Path,
    compile_: Callable[[], CompileResult],
    settings: CacheSettings | None,
    verification: Verification | None,
) -> None:
    started = time.perf_counter()
    try:
        with replacing(output) as file:

            def compile_to_file() -> Compiled:
                from furiosa_ir.backends.warboy.enf.writer import write_sections

                try:
                    program = compile_().program
                except OSError as error:  # not of the output
                    reason = error.strerror or type(error).__name__
                    file_ = str(error.filename or inputs.source)
                    raise FuriosaError(f"cannot be compiled: {reason}", file=file_) from error
                assert program is not None
                with file.open("r+b") as opened:
                    write_sections(program, opened)
                return Compiled(file, program.source_hash, describe(program))

            result = compile_cached(inputs, compile_to_file, settings, file)
            if result.from_cache:
                seconds = time.perf_counter() - started
                click.echo(f"✨  Found in the cache, finished in {seconds:.3g}s", err=True)
            if verification is not None:
                verification.verify_program(file)
    except OSError as error:
        raise write_failure(output, error) from None
    _print_summary(result.metadata)


def _kind(source: Path) -> str:
    """What the source seems to be, for the progress lines; the importer decides."""
    if not source.is_file():  # opening a pipe would wait
        return "file"
    try:
        with source.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return "file"
    if head[4:8] == b"TFL3":
        return "tflite"
    return "ir" if is_ir_text(head) else "onnx"


def _print_summary(figures: Metadata) -> None:
    share = format_value(figures.npu_mac_share, "share")
    latency = format_value(figures.latency_us, "latency")
    cycles = f" ({format_value(figures.cycles, 'count')} cycles)" if figures.latency_us else ""
    click.echo(f"MACs on the NPU: {share}", err=True)
    click.echo(f"Estimated latency: {latency}{cycles}", err=True)
    hosts = figures.host_operators
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
