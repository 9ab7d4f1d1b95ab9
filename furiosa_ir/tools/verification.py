"""What `furiosa compile --verify` does around `furiosa_ir.verification`: what it prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from typing_extensions import override

from furiosa_ir.backends import read_program
from furiosa_ir.driver import CompileResult, garbage_collection_paused
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.spans import span
from furiosa_ir.tools.file_compile import FileCompile
from furiosa_ir.verification import CompileTrace, Report, verify_compile


@dataclass
class VerifiedCompile(FileCompile):
    """A compile with a record of what became what, by which its result is verified.

    Attributes:
        verify_inputs: a file of inputs; None: they are drawn.
    """

    verify_inputs: Path | None = None
    _trace: CompileTrace | None = None

    @property
    @override
    def is_watched(self) -> bool:
        return True  # by its trace

    @override
    def compile(self) -> CompileResult:
        trace = CompileTrace()
        with trace.recording():
            result = self.run((trace,))
        trace.finish(result.module)
        self._trace = trace
        return result

    @override
    def verify(self, file: Path | None) -> None:
        """Verifies a program's file, or the IR that was made.

        A program from the cache is compiled again for the record.

        Raises:
            FuriosaError: it does not agree with the source.
        """
        if self._trace is None:
            self.compile()
        assert self._trace is not None
        source, part = self.source, self.inputs.part
        program = None if file is None else read_program(file)
        try:
            # The IR of two levels is searched time and again.
            with span("comparison with the source"), garbage_collection_paused():
                report = verify_compile(
                    self._trace, source, program, inputs=self.verify_inputs, part=part
                )
        except FuriosaError as error:
            raise error.at(file=str(source)) from error.__cause__
        _print(report)
        failed = [a for a in report.outputs if not a.passed]
        if failed:
            raise FuriosaError(f"the result does not agree: {failed[0]}", file=str(source))


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
