"""Mutations of whole files: parsed, changed, written again; None where they cannot be parsed."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib

import flatbuffers
import onnx
from ai_edge_litert import schema_py_generated as schema
from google.protobuf.message import DecodeError

from furiosa_ir.backends.mlir.archive import MAGIC
from furiosa_ir.backends.warboy.enf import flatbuffer, layout
from furiosa_ir.cache import entry
from furiosa_ir.errors import FormatFailure
from tests.fuzz.object_mutation import mutate_object
from tests.fuzz.protobuf_mutation import mutate_message
from tests.fuzz.text_mutation import mutate_text
from tests.fuzz.values import INTEGERS, integer

_WORDS = [n & 0xFFFFFFFF for n in INTEGERS]


def mutate_onnx(data: bytes, rng: random.Random) -> bytes | None:
    """An ONNX model with some fields changed."""
    try:
        model = onnx.ModelProto.FromString(data)
        mutate_message(model, rng)
    except (DecodeError, UnicodeDecodeError):  # strings that are not UTF-8 can be read, not copied
        return None
    return model.SerializeToString(deterministic=True)


def mutate_tflite(data: bytes, rng: random.Random) -> bytes | None:
    """A TFLite model with some fields changed, or some 32-bit words of its flatbuffer."""
    if rng.random() < 0.3:
        return _change_words(data, rng)
    try:
        model = schema.ModelT.InitFromPackedBuf(data)
        mutate_object(model, rng)
        builder = flatbuffers.Builder(len(data) + 1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
    except Exception:  # noqa: BLE001  # the object API raises what it likes on corrupt files
        return _change_words(data, rng)


def _change_words(data: bytes, rng: random.Random, start: int = 0, end: int | None = None) -> bytes:
    """Some aligned 32-bit words replaced: offsets, lengths, scalars."""
    changed = bytearray(data)
    end = len(data) if end is None else min(end, len(data))
    for _ in range(rng.choice((1, 1, 2, 4))):
        if end - start < 8:
            break
        at = rng.randrange(start, end - 3) & ~3
        (old,) = struct.unpack_from("<I", changed, at)
        new = rng.choice((old + 4, old - 4, old + 1, old - 1, old << 1, len(data), *_WORDS))
        struct.pack_into("<I", changed, at, new & 0xFFFFFFFF)
    return bytes(changed)


def mutate_ir(data: bytes, rng: random.Random) -> bytes | None:
    """IR text with some tokens or lines changed, or the header of its constants' file."""
    text, zero, beside = data.partition(b"\0")
    if len(beside) < 8 or rng.random() < 0.8:
        return mutate_text(text.decode("utf-8", "replace"), rng).encode() + zero + beside
    return text + zero + _other_header(beside, rng)


def mutate_enf(data: bytes, rng: random.Random) -> bytes | None:
    """A program with some fields of its FlatBuffer changed, its checksum right."""
    start = layout.HEADER_BYTES
    if len(data) < start + 12:
        return None
    end = start + 4 + int.from_bytes(data[start : start + 4], "little")
    if rng.random() < 0.3:
        return seal_enf(_change_words(data, rng, start, end))
    try:
        row = flatbuffer.decode("Program", memoryview(data)[start:end])
    except FormatFailure:
        return None
    mutate_object(row, rng)
    try:
        body = flatbuffer.encode("Program", row)
    except (struct.error, ArithmeticError, AttributeError, TypeError, ValueError):
        return None
    sections = data[end + -end % layout.SECTION_ALIGNMENT :]
    size = start + len(body)
    padding = bytes(-size % layout.SECTION_ALIGNMENT)
    return seal_enf(data[:start] + body + padding + sections)


_BAD_ARCHIVE = (
    *(EOFError, NotImplementedError, OSError, RuntimeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)


def mutate_reproducer(data: bytes, rng: random.Random) -> bytes | None:
    """A crash reproducer with its manifest (JSON), a member or a member's name changed."""
    members = _members(data)
    if not members:
        return None
    at = 0 if rng.random() < 0.7 else rng.randrange(len(members))
    name, content = members[at]
    if rng.random() < 0.1:
        name = mutate_text(name, rng)
    else:
        content = mutate_text(content.decode("utf-8", "replace"), rng).encode("utf-8", "replace")
    members[at] = (name, content)
    return _archive_of(members, rng)


def _members(data: bytes) -> list[tuple[str, bytes]]:
    """The names and contents of a zip archive; none of one that cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]
    except _BAD_ARCHIVE:
        return []


def _archive_of(members: list[tuple[str, bytes]], rng: random.Random, front: bytes = b"") -> bytes:
    made = io.BytesIO()
    made.write(front)
    with zipfile.ZipFile(made, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as to:
        for each, body in members:
            entry = zipfile.ZipInfo(
                each.partition("\0")[0][:200].encode("utf-8", "replace").decode()
            )
            to.writestr(entry, body)
    return made.getvalue()


def mutate_mlirz(data: bytes, rng: random.Random) -> bytes | None:
    """A program in upstream's dialects with some of a segment's text, constants or JSON changed."""
    members = dict(_members(data))
    if not members:
        return None
    is_whole = "program.json" in members
    name = "program.json" if is_whole and rng.random() < 0.8 else rng.choice(list(members))
    content = members[name]
    text = None
    if name == "program.json" and rng.random() < 0.8:
        text = _with_other_text(content, rng)
    elif name.endswith(".safetensors"):
        return _archive_of([*{**members, name: _other_header(content, rng)}.items()], rng, MAGIC)
    if text is None:
        text = mutate_text(content.decode("utf-8", "replace"), rng)
    members[name] = text.encode("utf-8", "replace")
    return _archive_of([*members.items()], rng, MAGIC)


def _with_other_text(content: bytes, rng: random.Random) -> str | None:
    """A program's JSON with a change to one of its segments' functions or globals."""
    try:
        program = json.loads(content)
        segment = rng.choice([s for s in program["segments"] if "function" in s])
        at = rng.randrange(1 + len(segment["globals_"]))
        if at == 0 or rng.random() < 0.8:
            segment["function"] = mutate_text(segment["function"], rng)
        else:
            segment["globals_"][at - 1] = mutate_text(segment["globals_"][at - 1], rng)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return json.dumps(program)


def _other_header(beside: bytes, rng: random.Random) -> bytes:
    """A safetensors file whose header, or the length of it, is another one."""
    size = int.from_bytes(beside[:8], "little")
    header = mutate_text(beside[8 : 8 + size].decode("utf-8", "replace"), rng).encode()
    length = len(header) if rng.random() < 0.9 else integer(len(header), rng) & 0xFFFFFFFFFFFFFFFF
    return length.to_bytes(8, "little") + header + beside[8 + size :]


def mutate_cache(data: bytes, rng: random.Random) -> bytes | None:
    """A cache entry with its metadata (JSON) or header changed, its lengths and checksum right."""
    if len(data) < entry.HEADER_BYTES:
        return None
    if rng.random() < 0.3:
        return seal_cache(_change_words(data, rng, 16, entry.HEADER_BYTES))
    try:
        header = entry.read_header(data)
    except entry.BadEntry:
        return None
    end = entry.HEADER_BYTES + header.metadata_bytes
    text = data[entry.HEADER_BYTES : end].decode("utf-8", "replace")
    metadata = mutate_text(text, rng).encode()
    program = data[header.total - header.program_bytes : header.total]
    head = bytearray(data[: entry.HEADER_BYTES])
    struct.pack_into("<I", head, _METADATA_BYTES, len(metadata))
    middle = metadata + bytes(-(len(head) + len(metadata)) % 64)
    return seal_cache(bytes(head) + middle + program)


_METADATA_BYTES = struct.calcsize("<8sIIQ")
"""Where the header has the length of the metadata."""


def seal_cache(data: bytes) -> bytes:
    """The entry with the checksum that its content should have."""
    if len(data) < entry.HEADER_BYTES:
        return data
    head = entry.MAGIC + entry.VERSION.to_bytes(4, "little")
    return head + zlib.crc32(data[16:]).to_bytes(4, "little") + data[16:]


def seal_enf(data: bytes) -> bytes:
    """The file with the header and checksum that its content should have."""
    if len(data) < layout.HEADER_BYTES:
        return data
    body = bytes(6) + data[layout.HEADER_BYTES :]
    return layout.MAGIC + zlib.crc32(body).to_bytes(4, "little") + layout.VERSION + body
