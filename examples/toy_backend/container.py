"""The file of a program: a magic, a checksum, a line that says what it is, then JSON."""

import base64
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from furiosa_ir import program as records
from furiosa_ir.dataflow import check_dataflow
from furiosa_ir.errors import FormatFailure, FuriosaError
from furiosa_ir.program import Program
from furiosa_ir.program_head import Head
from toy_backend.machine import Step, ToySegment

RECORDS = {**vars(records), "Step": Step, "ToySegment": ToySegment}
FAULTS = (OSError, ValueError, TypeError, LookupError, AttributeError, FuriosaError)


def write(program: Program, file: BinaryIO) -> None:
    """Writes a program; the same one gives the same bytes."""
    head = json.dumps([program.target, program.source_hash])
    body = f"{head}\n{json.dumps(program, default=_encode)}".encode()
    file.write(b"toy1" + zlib.crc32(body).to_bytes(4, "little") + body)


def read(source: str | os.PathLike[str] | bytes | memoryview) -> Program:
    """The program of a file or its content; raises FormatFailure."""
    try:
        data = source if isinstance(source, bytes | memoryview) else Path(source).read_bytes()
        if zlib.crc32(data[8:]) != int.from_bytes(data[4:8], "little"):
            raise FormatFailure("its CRC-32 does not match")
        program = json.loads(bytes(data[8:]).partition(b"\n")[2], object_hook=_decode)
        check_dataflow(program)
    except FAULTS as error:
        raise FormatFailure(f"it cannot be read: {error}") from error
    return program


def head(data: bytes | memoryview, _checksum: int) -> Head:
    """What a hit in the cache looks at; the checksum is left to the reader."""
    try:
        return Head(*json.loads(bytes(data[8:]).partition(b"\n")[0]))
    except FAULTS as error:
        raise FormatFailure(f"its first line cannot be read: {error}") from error


def disassemble(program: Program) -> Iterator[str]:
    """A line for each step."""
    for segment in program.segments:
        for step in segment.steps if isinstance(segment, ToySegment) else ():
            yield f"{segment.name}: {step.instruction} {step.operands} {step.immediates}"


def _encode(value: Any) -> dict[str, Any]:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    return {"record": type(value).__name__} | {
        f.name: getattr(value, f.name) for f in fields(value)
    }


def _decode(entry: dict[str, Any]) -> Any:
    if "record" in entry:
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        return RECORDS[given.pop("record")](**given)
    return base64.b64decode(entry["base64"], validate=True) if "base64" in entry else entry
