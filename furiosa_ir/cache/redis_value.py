"""An entry as Redis values: compressed where that pays, in parts where it is large.

    a value   an entry (`cache.entry`), or
              "FIRZSTD1", its length (8 bytes, little-endian), and a zstd frame of it
    a list    "FIRPARTS" and JSON {"id", "parts", "bytes"}: the value lies under KEY:ID:0 ...

A reader trusts none of it: lengths are compared before memory is taken, and what comes out must
be a sound entry.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import zstandard

from furiosa_ir.cache.entry import MAX_ENTRY, BadEntry, Metadata, Payload, entry_chunks, entry_size

PART = 64 << 20
"""Bytes of a value; Redis takes 512 MiB, but serves nobody else meanwhile."""
_ZSTD = b"FIRZSTD1"
_PARTS = b"FIRPARTS"
_LEVEL = 1
_WORTHWHILE = 0.8
"""Compression pays if a sample shrinks to this share: int8 weights of trained networks often do,
noise does not. It then costs 2 ms a MB once, and saves transfers and the server's memory."""
_SAMPLES = 8
_SAMPLE = 64 << 10


@dataclass(frozen=True)
class PartList:
    """What stands in place of a value that lies in parts.

    Attributes:
        identity: of this writing; two writers do not mix.
        parts: how many.
        size: bytes of all.
    """

    identity: str
    parts: int
    size: int

    def encode(self) -> bytes:
        """The value that stands for the parts."""
        row = {"id": self.identity, "parts": self.parts, "bytes": self.size}
        return _PARTS + json.dumps(row).encode()


def part_list(value: bytes) -> PartList | None:
    """The list that a value is; None if it is an entry itself.

    Raises:
        BadEntry: it is a list that no writer of ours makes.
    """
    if not value.startswith(_PARTS):
        return None
    try:
        row = cast("dict[str, Any]", json.loads(value[len(_PARTS) :][:1024]))
        listed = PartList(str(row["id"]), int(row["parts"]), int(row["bytes"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadEntry("its list of parts has an unknown form") from None
    if not (listed.identity.isalnum() and len(listed.identity) <= 64):
        raise BadEntry("its parts have no proper name")
    if not 0 < listed.size <= MAX_ENTRY or not 0 < listed.parts <= -(-MAX_ENTRY // PART) + 1:
        raise BadEntry("its parts are too many or too large")
    return listed


def values(key: str, metadata: Metadata, program: Payload) -> Iterator[bytes]:
    """The bytes to store for an entry, in pieces of `PART`; the last one is shorter.

    Raises:
        OSError: the program's file cannot be read.
    """
    chunks = entry_chunks(key, metadata, program)
    if _pays(program):
        chunks = _compressed(chunks, entry_size(metadata, program))
    pending = bytearray()
    for chunk in chunks:
        pending += chunk
        while len(pending) > PART:
            yield bytes(pending[:PART])
            del pending[:PART]
    yield bytes(pending)


def _compressed(chunks: Iterator[bytes | memoryview], size: int) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size)
    yield _ZSTD + size.to_bytes(8, "little")
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _pays(program: Payload) -> bool:
    """Whether samples from all over a program shrink."""
    size = program.stat().st_size if isinstance(program, Path) else len(program)
    with program.open("rb") if isinstance(program, Path) else io.BytesIO(program) as file:
        taken: list[bytes] = []
        for at in range(0, size, max(1, size // _SAMPLES)):
            file.seek(at)
            taken.append(file.read(_SAMPLE))
    sample = b"".join(taken)
    shrunk = len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample))
    return shrunk < _WORTHWHILE * len(sample)


def entry_bytes(value: bytes) -> bytes:
    """The entry's bytes in a value (of all parts, if there were parts).

    Raises:
        BadEntry: it does not decompress to what it says.
    """
    if not value.startswith(_ZSTD):
        return value
    size = int.from_bytes(value[8:16], "little")
    if size > MAX_ENTRY or len(value) < 16:
        raise BadEntry("it is too large")
    frame = memoryview(value)[16:]
    try:
        # The size in the frame's own header decides how much memory is taken.
        if zstandard.frame_content_size(frame[:32]) != size:
            raise BadEntry("its length contradicts itself")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
    except zstandard.ZstdError:
        raise BadEntry("it does not decompress") from None
