"""What `furiosa inspect` shows: tables, JSON, or the disassembly of a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from furiosa_ir.backends import backend_of_content
from furiosa_ir.errors import FormatFailure, FuriosaError, readable
from furiosa_ir.formats import HEAD_BYTES
from furiosa_ir.input_files import open_input
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.reports.inspect import summary


def inspect_file(
    file: Path, *, as_json: bool, disassembled: bool, plugins: Sequence[Plugin] = ()
) -> None:
    """Prints what a program file is.

    Raises:
        FuriosaError: it cannot be read, is damaged, or is no program.
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
    container = backend.container
    try:
        program = container.read(file)
    except FormatFailure as error:
        foreign = None if container.foreign is None else container.foreign(file.read_bytes())
        if foreign is None:
            raise error.at(file=str(file)) from error.__cause__
        _print_foreign(*foreign, as_json=as_json)
        return
    if as_json:
        content = summary(program)
        if disassembled:
            content["disassembly"] = list(container.disassemble(program))
        click.echo(json.dumps(content, indent=2, allow_nan=False))
    elif disassembled:
        for line in container.disassemble(program):
            click.echo(readable(line, 1 << 20))
    else:
        # Imported here: rich takes longer than reading a program.
        from rich.console import Console  # noqa: PLC0415

        from furiosa_ir.reports.terminal import print_inspection  # noqa: PLC0415

        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 240  # for a file or a pipe: nothing is cut
        print_inspection(summary(program), console)


def _print_foreign(header: dict[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"header": header}, indent=2))
        return
    for line in lines:
        click.echo(line)
