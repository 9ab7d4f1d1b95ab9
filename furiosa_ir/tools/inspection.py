"""What `furiosa inspect` shows: tables, JSON, or the disassembly of a program."""

from __future__ import annotations

import json
from pathlib import Path

import click

from furiosa_ir.backends.warboy.enf.disassembler import disassemble
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.vendor import vendor_header
from furiosa_ir.errors import FormatFailure, FuriosaError, readable
from furiosa_ir.input_files import open_input
from furiosa_ir.reports.inspect import summary


def inspect_file(file: Path, *, as_json: bool, disassembled: bool) -> None:
    """Prints what a program file is.

    Raises:
        FuriosaError: it cannot be read, is damaged, or is no program.
    """
    try:
        with open_input(file) as stream:
            head = stream.read(16)
            foreign = head[:3] == b"enf" and _is_foreign(head)
            data = head + stream.read() if foreign else b""
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(file)) from None
    try:
        if head[:3] != b"enf":
            hint = "compile it first: furiosa compile" if head else ""
            raise FormatFailure("it is not a compiled program (ENF)", hint=hint or None)
        vendor = vendor_header(data) if data else None
        if vendor is not None:
            _print_vendor(vendor, as_json=as_json)
            return
        program = read_program(file)
    except FuriosaError as error:
        raise error.at(file=str(file)) from error.__cause__
    if as_json:
        content = summary(program)
        if disassembled:
            content["disassembly"] = list(disassemble(program))
        click.echo(json.dumps(content, indent=2, allow_nan=False))
    elif disassembled:
        for line in disassemble(program):
            click.echo(readable(line, 1 << 20))
    else:
        # Imported here: rich takes longer than reading a program.
        from rich.console import Console  # noqa: PLC0415

        from furiosa_ir.reports.terminal import print_inspection  # noqa: PLC0415

        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 240  # for a file or a pipe: nothing is cut
        print_inspection(summary(program), console)


def _is_foreign(head: bytes) -> bool:
    """Whether it takes the whole file to say what it is: not one of ours, which is mapped."""
    return head[7:10] != bytes([1, 0, 0])


def _print_vendor(header: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"header": header}, indent=2))
        return
    validity = "valid" if header["checksum_valid"] else "does not match the content"
    click.echo("Format: ENF of FuriosaAI's own compiler")
    click.echo(f"Version: {header['version']}")
    click.echo(f"CRC-32: {header['checksum']} ({validity})")
    click.echo(f"Size: {header['bytes']} bytes")
    click.echo("Its body is not public and not ours: it can be neither shown nor run here.")
