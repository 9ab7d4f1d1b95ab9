"""What `furiosa compile` does around the compiler: progress, output file, summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from furiosa_ir.arrays import check_writable
from furiosa_ir.backends.warboy.enf.records import Program
from furiosa_ir.backends.warboy.enf.writer import save_program
from furiosa_ir.compiler import LEVELS, compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.text import is_ir_text, write_module
from furiosa_ir.reports.html import format_value
from furiosa_ir.reports.inspect import summary
from furiosa_ir.tools.progress import Progress


def compile_file(
    source: Path,
    output: Path,
    *,
    target: str,
    target_ir: str,
    batch_size: int | None,
    verify: bool,
    verbose: bool,
) -> None:
    """Compiles a file to a file.

    Raises:
        FuriosaError: it cannot be compiled, or verified, or written; no output file is left then.
    """
    check_writable(output)
    if verify and target_ir == "warboy":
        raise FuriosaError(
            "--verify does not go with --target-ir warboy", hint="verify the program"
        )
    levels = LEVELS[: LEVELS.index(target_ir) + 1]
    progress = Progress(_kind(source), levels, verbose=verbose)
    result = compile_source(
        source,
        target=target,
        batch_size=batch_size,
        target_ir=target_ir,
        instrumentation=(progress,),
        on_phase=progress.phase,
    )
    progress.finished()
    if verify:
        # Imported here: the frameworks that it compares with take longer than most compiles.
        from furiosa_ir.reports.agreement import verify_result  # noqa: PLC0415

        agreements = verify_result(result, source, batch_size=batch_size)
        for agreement in agreements:
            mark = "❌" if not agreement.passed else "✅" if agreement.required else "· "
            click.echo(f"{mark}  {agreement}", err=True)
        failed = [a for a in agreements if not a.passed]
        if failed:
            raise FuriosaError(f"the result does not agree: {failed[0]}", file=str(source))
    if result.program is None:
        write_module(result.module, output)
    else:
        _save(result.program, output)
        _print_summary(summary(result.program)["summary"])
    click.echo(f"Written to {output}", err=True)


def _save(program: Program, output: Path) -> None:
    try:
        save_program(program, output)
    except OSError as error:
        raise FuriosaError(f"cannot be written: {error.strerror}", file=str(output)) from None


def _kind(source: Path) -> str:
    """What the source seems to be, for the progress lines; the importer decides."""
    try:
        with source.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return "file"
    if head[4:8] == b"TFL3":
        return "tflite"
    return "ir" if is_ir_text(head) else "onnx"


def _print_summary(figures: dict[str, Any]) -> None:
    share = format_value(figures["npu_mac_share"], "share")
    latency = format_value(figures["latency_us"], "microseconds")
    cycles = format_value(figures["cycles"], "count")
    click.echo(f"MACs on the NPU: {share}", err=True)
    click.echo(f"Estimated latency: {latency} ({cycles} cycles)", err=True)
    hosts = figures["host_operators"]
    if not hosts:
        click.echo("Operators on the host: none", err=True)
        return
    click.echo(f"Operators on the host: {len(hosts)}", err=True)
    reasons: dict[tuple[int, str], list[str]] = {}
    for op in hosts:
        reasons.setdefault((op["hint"], op["reason"]), []).append(op["layer"] or op["operator"])
    for (hint, reason), layers in sorted(reasons.items()):
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        click.echo(f"  Hint [{hint}]: {reason} ({', '.join(layers[:3])}{more})", err=True)
