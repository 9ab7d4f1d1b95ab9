"""What `furiosa compile --verify` does around `furiosa_ir.verification`: what it prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import CompileResult, garbage_collection_paused
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.verification import CompileTrace, Report, verify_compile


class Verification:
    """Compiles with a record of what became what, then verifies.

    Args:
        source: the file compiled.
        compile_: compiles it; its arguments watch the passes.
        inputs: a file of inputs; None: they are drawn.
        part: which part of the network is compiled.
    """

    def __init__(
        self,
        source: Path,
        compile_: Callable[..., CompileResult],
        inputs: Path | None,
        part: Part = WHOLE,
    ) -> None:
        self._source, self._compile, self._inputs = source, compile_, inputs
        self._part = part
        self._trace: CompileTrace | None = None
        self._result: CompileResult | None = None

    def compile(self) -> CompileResult:
        """Compiles, and keeps the record."""
        trace = CompileTrace()
        with trace.recording():
            result = self._compile(trace)
        trace.finish(result.module)
        self._trace, self._result = trace, result
        return result

    def verify_module(self) -> None:
        """Verifies the IR that `compile` made.

        Raises:
            FuriosaError: it does not agree with the source.
        """
        self._verify(None)

    def verify_program(self, file: Path) -> None:
        """Verifies a program file; one from the cache is compiled again for the record.

        Raises:
            FuriosaError: it does not agree with the source.
        """
        self._verify(file)

    def _verify(self, file: Path | None) -> None:
        if self._trace is None:
            self.compile()
        assert self._trace is not None
        program = None if file is None else read_program(file)
        try:
            with garbage_collection_paused():  # the IR of two levels is searched time and again
                report = verify_compile(
                    self._trace, self._source, program, inputs=self._inputs, part=self._part
                )
        except FuriosaError as error:
            raise error.at(file=str(self._source)) from error.__cause__
        _print(report)
        failed = [a for a in report.outputs if not a.passed]
        if failed:
            raise FuriosaError(f"the result does not agree: {failed[0]}", file=str(self._source))


def _print(report: Report) -> None:
    done = report.coverage
    commands = f", {done.commands} commands of the program" if done.commands else ""
    click.echo(
        f"✅  layer by layer: {report.compared_values} of {report.source_values} values "
        f"on {report.inputs} inputs{commands}: all {done.elements} elements equal "
        f"to {report.reference}",
        err=True,
    )
    if report.file_values:
        click.echo(
            f"✅  layer by layer: {report.file_values} quantised values equal to onnxruntime's "
            "on the file, as far as float32 tells",
            err=True,
        )
    for note in report.notes:
        click.echo(f"·   {readable(note)}", err=True)
    for agreement in report.outputs:
        mark = "❌" if not agreement.passed else "✅" if agreement.required else "· "
        click.echo(f"{mark}  {readable(str(agreement))}", err=True)
