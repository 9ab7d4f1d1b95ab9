"""What `furiosa report` does: programs that are read, networks that are compiled, files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from furiosa_ir.backends import backend_for, backend_of_content, default_backend
from furiosa_ir.cache.key import Inputs
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.formats import HEAD_BYTES
from furiosa_ir.input_files import open_input
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.program import Program
from furiosa_ir.reports.pass_recorder import PassRecorder
from furiosa_ir.reports.profiling import profile_program
from furiosa_ir.tools.file_compile import FileCompile
from furiosa_ir.tools.report_options import Reports
from furiosa_ir.tools.sources import check_outputs, plugin_files, shown


def report_file(
    file: Path,
    reports: Reports,
    *,
    other: Path | None = None,
    measure_host: bool = False,
    target: str | None = None,
    batch_size: int | None = None,
    part: Part = WHOLE,
    plugins: Sequence[Plugin] = (),
) -> None:
    """Writes the reports of a program or a network; the options of the command say the rest.

    Raises:
        FuriosaError: a file cannot be read, compiled or written.
    """
    beside = [] if other is None else [other]
    check_outputs(reports.files, file, [*plugin_files(plugins), *beside])
    recorder = reports.recorder()
    program = _program(file, plugins)
    given = (target, batch_size, part)
    if program is None:
        inputs = Inputs(file, target, batch_size, plugins=tuple(plugins), part=part)
        program = _compiled(inputs, () if recorder is None else (recorder,))
    elif given != (None, None, WHOLE):
        raise FuriosaError("is compiled already", file=str(file), hint="give the network instead")
    profile = None
    if other is not None:
        second = _program(other, plugins)
        if second is None:
            second = _compiled(Inputs(other, target, batch_size, plugins=tuple(plugins), part=part))
        time = _host_us(second, is_wanted=measure_host)
        profile = profile_program(second, title=other.name, host_us=time)
    time = _host_us(program, is_wanted=measure_host)
    reports.write(program, file.name, recorder, profile, time)
    for path in reports.files:
        click.echo(f"Written to {shown(path)}", err=True)


def _program(file: Path, plugins: Sequence[Plugin]) -> Program | None:
    """The program that a file is; None if it is none."""
    try:
        with open_input(file) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(file)) from None
    backend = backend_of_content(head, further=True, plugins=plugins)
    if backend is None:
        return None
    try:
        return backend.container.read(file)
    except FormatFailure as error:
        raise error.at(file=str(file)) from error.__cause__


def _host_us(program: Program, *, is_wanted: bool) -> float | None:
    if not is_wanted:
        return None
    from furiosa_ir.runtime.host_time import host_microseconds  # noqa: PLC0415  # few want it

    return host_microseconds(program)


def _compiled(inputs: Inputs, instruments: Sequence[PassRecorder] = ()) -> Program:
    target = inputs.target
    backend = default_backend() if target is None else backend_for(target, inputs.plugins)
    program = FileCompile(inputs, backend).run(instruments).program
    assert program is not None
    return program
