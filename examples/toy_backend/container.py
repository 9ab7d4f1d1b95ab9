"""The file of a program: a magic, a checksum, a line that says what it is, then JSON."""

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from furiosa_ir.errors import FormatFailure
from furiosa_ir.program import Program
from furiosa_ir.program_head import Head
from furiosa_ir.program_json import from_json, to_json
from toy_backend import BACKEND
from toy_backend.machine import Step, ToySegment, check_segment

MAGIC = BACKEND.container.magic
START = len(MAGIC) + 4  # of what the checksum is of


def write(program: Program, file: BinaryIO) -> None:
    """Writes a program; the same one gives the same bytes."""
    body = f"{json.dumps([program.target, program.source_hash])}\n{to_json(program)}".encode()
    file.write(MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)


def read(source: str | os.PathLike[str] | bytes | memoryview) -> Program:
    """The program of a file or its content; raises FormatFailure."""
    data = source if isinstance(source, bytes | memoryview) else Path(source).read_bytes()
    if zlib.crc32(data[START:]) != int.from_bytes(data[len(MAGIC) : START], "little"):
        raise FormatFailure("its CRC-32 does not match")
    program = from_json(bytes(data[START:]).partition(b"\n")[2], (Step, ToySegment))
    for segment in program.segments:
        if isinstance(segment, ToySegment):
            check_segment(segment)
    return program


def head(data: bytes | memoryview, _checksum: int) -> Head:
    """What a hit in the cache looks at; the checksum is left to the reader."""
    try:
        target, source_hash = json.loads(bytes(data[START:]).partition(b"\n")[0])
    except (ValueError, TypeError) as error:
        raise FormatFailure(f"its first line cannot be read: {error}") from error
    return Head(target, source_hash)


def disassemble(program: Program) -> Iterator[str]:
    """A line for each step."""
    for segment in program.segments:
        for step in segment.steps if isinstance(segment, ToySegment) else ():
            yield f"{segment.name}: {step.instruction} {step.operands} {step.immediates}"
