"""The file of a TOSA program: as the backend's `mlir`, behind a line of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from furiosa_ir.backends.mlir import archive
from furiosa_ir.program_head import Head

if TYPE_CHECKING:
    from furiosa_ir.program import Program

MAGIC = b"furiosa-tosa 1\n"
"""Bytes that a program's file begins with; the number is the format's."""


def write_program(program: Program, file: BinaryIO) -> None:
    """Writes a program; the same one gives the same bytes."""
    archive.write_program(program, file, MAGIC)


def read_program(source: str | os.PathLike[str] | bytes | memoryview) -> Program:
    """The program of a file or its content.

    Raises:
        FormatFailure: it is none, or damaged.
    """
    return archive.read_program(source, MAGIC)


def read_head(data: bytes | memoryview, checksum: int) -> Head:
    """Target and source of a whole file.

    Raises:
        FormatFailure: they cannot be read.
    """
    return archive.read_head(data, checksum, MAGIC)
