"""What `furiosa inspect` shows: tables, JSON, or the disassembly of a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from furiosa_ir.backends import Backend, backend_of_content
from furiosa_ir.errors import FormatFailure, FuriosaError, readable
from furiosa_ir.formats import HEAD_BYTES
from furiosa_ir.input_files import open_input
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.reports.columns import layers_csv
from furiosa_ir.reports.inspect import inspection
from furiosa_ir.reports.profiling import profile_program


def inspect_file(
    file: Path,
    *,
    as_json: bool,
    disassembled: bool,
    as_csv: bool = False,
    layer: str | None = None,
    plugins: Sequence[Plugin] = (),
) -> None:
    """Prints what a program file is; the options of `furiosa inspect` document the arguments.

    Raises:
        FuriosaError: it cannot be read, is damaged, or is no program; or has no such layer.
    """
    ways = {"--json": as_json, "--csv": as_csv, "--layer": layer is not None}
    given = [way for way, is_given in ways.items() if is_given]
    if disassembled and not as_json:
        given.append("--disassemble")
    if len(given) > 1:
        raise FuriosaError(f"{' and '.join(given)} cannot be given together")
    backend = program_backend(file, plugins)
    container = backend.container
    try:
        program = container.read(file)
    except FormatFailure as error:
        foreign = None if container.foreign is None else container.foreign(file.read_bytes())
        if foreign is None:
            raise error.at(file=str(file)) from error.__cause__
        _print_foreign(*foreign, as_json=as_json)
        return
    if disassembled and not as_json:
        for line in container.disassemble(program):
            click.echo(readable(line, 1 << 20))
        return
    profile = profile_program(program, title=file.name)
    if as_csv:
        click.echo(layers_csv(profile), nl=False)
    elif as_json:
        content = inspection(profile)
        if disassembled:
            content["disassembly"] = list(container.disassemble(program))
        click.echo(json.dumps(content, indent=2, allow_nan=False))
    else:
        # Imported here: rich takes longer than reading a program.
        from rich.console import Console  # noqa: PLC0415

        from furiosa_ir.reports.terminal import WIDTH, print_layer, print_profile  # noqa: PLC0415

        console = Console(highlight=False)
        console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
        if layer is None:
            print_profile(profile, console)
        else:
            print_layer(profile, layer, console)


def program_backend(file: Path, plugins: Sequence[Plugin] = ()) -> Backend:
    """The backend whose program a file is.

    Raises:
        FuriosaError: it cannot be read, or is no program.
    """
    try:
        with open_input(file) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(file)) from None
    backend = backend_of_content(head, further=True, plugins=plugins)
    if backend is None:
        hint = "compile it first: furiosa compile; --load its backend if that is a plug-in"
        raise FormatFailure(
            "it is not a compiled program", file=str(file), hint=hint if head else None
        )
    return backend


def _print_foreign(header: dict[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"header": header}, indent=2))
        return
    for line in lines:
        click.echo(line)
