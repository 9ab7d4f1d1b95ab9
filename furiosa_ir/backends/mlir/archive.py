"""The file of a program: a line that says what it is, then a zip archive that nothing is packed in.

    head.json                       target and source, for a look without reading the rest
    program.json                    the program (`program_json`), whose large parts are members:
    npu_1/parameters.safetensors    the constants of a device segment
    host_0.onnx                     a host segment's sub-model

`unzip` opens it. It holds no native code: what IREE makes of a segment's text is made where it runs
(`native_code.py`).
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from furiosa_ir.errors import FormatFailure
from furiosa_ir.input_files import open_input
from furiosa_ir.program_head import Head

if TYPE_CHECKING:
    from furiosa_ir.program import Program

MAGIC = b"furiosa-mlir 1\n"
"""Bytes that a program's file begins with; the number is the format's."""

_HEAD, _PROGRAM = "head.json", "program.json"
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip archive can say: the same program gives the same bytes."""


# numpy and the program's records are imported where they are used: a hit in the cache reads the
# head alone.
# ruff: noqa: PLC0415


def write_program(program: Program, file: BinaryIO, magic: bytes = MAGIC) -> None:
    """Writes a program behind a magic; the same one gives the same bytes."""
    from furiosa_ir.backends.mlir.segment import MlirSegment
    from furiosa_ir.program import HostSegment
    from furiosa_ir.program_json import to_json

    members: dict[str, memoryview | bytes] = {}
    segments: list[MlirSegment | HostSegment] = []
    for segment in program.segments:
        name = _member(segment)
        if isinstance(segment, HostSegment):
            members[name] = segment.model
            segments.append(replace(segment, model=b""))
        else:
            assert isinstance(segment, MlirSegment)
            members[name] = segment.parameters
            segments.append(replace(segment, parameters=b""))
    file.write(magic)
    with zipfile.ZipFile(file, "w") as archive:
        head = json.dumps([program.target, program.source_hash])
        _add(archive, _HEAD, head.encode())
        _add(archive, _PROGRAM, to_json(replace(program, segments=tuple(segments))).encode())
        for name, data in members.items():
            _add(archive, name, data)


def _member(segment: object) -> str:
    from furiosa_ir.program import HostSegment

    if isinstance(segment, HostSegment):
        return f"{segment.name}.{segment.framework}"
    return f"{getattr(segment, 'name', '')}/parameters.safetensors"


def _add(archive: zipfile.ZipFile, name: str, data: memoryview | bytes) -> None:
    info = zipfile.ZipInfo(name, _WHEN)
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=True) as member:
        member.write(data)


def read_program(
    source: str | os.PathLike[str] | bytes | memoryview, magic: bytes = MAGIC
) -> Program:
    """The program of a file or its content, which begins with a magic.

    Raises:
        FormatFailure: it is none, or damaged.
    """
    from furiosa_ir.backends.mlir.segment import MlirSegment
    from furiosa_ir.program import HostSegment
    from furiosa_ir.program_json import from_json

    data = _content(source)
    archive = _archive(data, magic)
    program = from_json(_read(archive, _PROGRAM, data), (MlirSegment,))
    segments: list[MlirSegment | HostSegment] = []
    for segment in program.segments:
        held = _read(archive, _member(segment), data)
        if isinstance(segment, MlirSegment):
            segments.append(replace(segment, parameters=held))
        else:
            assert isinstance(segment, HostSegment)
            segments.append(replace(segment, model=held))
    return replace(program, segments=tuple(segments))


def _content(source: str | os.PathLike[str] | bytes | memoryview) -> bytes:
    if isinstance(source, bytes | memoryview):
        return bytes(source)
    # Read and not mapped: who replaces a mapped file ends the process.
    with open_input(Path(source)) as file:
        return file.read()


def _archive(data: bytes, magic: bytes) -> zipfile.ZipFile:
    if not data.startswith(magic):
        raise FormatFailure(f"it is no program: it does not begin with '{magic.decode().strip()}'")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise FormatFailure(f"its archive is damaged: {error}") from error


def _read(archive: zipfile.ZipFile, name: str, data: bytes) -> bytes:
    try:
        info = archive.getinfo(name)
        # Nothing of ours is packed, so nothing is larger than the file.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(data):
            raise FormatFailure(f"its archive's member '{name}' is packed")
        return archive.read(info)
    except KeyError:
        raise FormatFailure(f"its archive has no member '{name}'") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError) as error:
        raise FormatFailure(f"its archive's member '{name}' is damaged: {error}") from error


def read_head(data: bytes | memoryview, _checksum: int, magic: bytes = MAGIC) -> Head:
    """Target and source of a whole file that begins with a magic.

    Raises:
        FormatFailure: they cannot be read.
    """
    content = bytes(data)
    try:
        target, source_hash = json.loads(_read(_archive(content, magic), _HEAD, content).decode())
        f"{target}{source_hash}".encode()  # half a character is no text
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatFailure(f"its head cannot be read: {error}") from error
    if not isinstance(target, str) or not isinstance(source_hash, str):
        raise FormatFailure("its head is no target and source")
    return Head(target, source_hash)


def disassemble(program: Program) -> Iterator[str]:
    """The text of each device segment."""
    from furiosa_ir.backends.mlir.segment import MlirSegment

    for segment in program.segments:
        if isinstance(segment, MlirSegment):
            yield from segment.text.splitlines()
