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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from furiosa_ir.cache.entry import (
    MAX_ENTRY,
    VERSION,
    BadEntry,
    Entry,
    Metadata,
    Payload,
    entry_chunks,
    entry_size,
    read_entry,
)

# zstandard takes 15 ms to import, and most hits do not need it.
# ruff: noqa: PLC0415

PREFIX = f"furiosa:compiler:{VERSION}:"
PART = 64 << 20
"""Bytes of a value; Redis takes 512 MiB, but serves nobody else meanwhile."""
MAX_LIST = 1024
"""Bytes of a list of parts."""
_MAX_PARTS = 1024
_ZSTD = b"FIRZSTD1"
_PARTS = b"FIRPARTS"
_LEVEL = 1
_WINDOW = 8 << 20
"""Bytes that decompressing may refer back to; at level 1 it is 512 KiB."""
_WORTHWHILE = 0.8
"""Compression pays if a sample shrinks to this share: int8 weights of trained networks often do,
noise does not. It then costs 2 ms a MB once, and saves transfers and the server's memory."""
_SAMPLES = 8
_SAMPLE = 64 << 10
_FREE_EXPANSION = 64 << 20
_EXPANSION = 100
"""What is larger than the first may be no more than so many times as large as its frame: 400 kB
of zstd can hold 4 GiB of zeros."""


class Value(io.RawIOBase):
    """A value on a server while it is read: `readinto` gives its bytes, once.

    Attributes:
        size: how many bytes it has.
    """

    size: int


class _Joined(Value):
    """Values one behind the other, each asked for when the one before it has been read."""

    def __init__(self, values: Iterator[Value], size: int) -> None:
        self.size = size
        self._values = values
        self._value: Value | None = None

    def readinto(self, buffer: Any, /) -> int:
        while True:
            got = 0 if self._value is None else self._value.readinto(buffer)
            if got:
                return got
            self._value = next(self._values, None)
            if self._value is None:
                return 0


class InMemory(Value):
    """A value that has been read."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = io.BytesIO(data)

    def readinto(self, buffer: Any, /) -> int:
        """See `io.RawIOBase.readinto`."""
        return self._data.readinto(buffer)


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

    def names(self, key: str) -> list[str]:
        """What the parts are stored under."""
        return [part_name(key, self.identity, n) for n in range(self.parts)]


def value_name(key: str) -> str:
    """What an entry is stored under. The braces keep it and its parts on one node of a cluster."""
    return f"{PREFIX}{{{key}}}"


def part_name(key: str, identity: str, number: int) -> str:
    """What a part is stored under."""
    return f"{value_name(key)}:{identity}:{number}"


def part_list(value: bytes) -> PartList | None:
    """The list that a value is; None if it is an entry itself.

    Raises:
        BadEntry: it is a list that no writer of ours makes.
    """
    if not value.startswith(_PARTS):
        return None
    try:
        row = cast("dict[str, Any]", json.loads(value[len(_PARTS) : MAX_LIST]))
        listed = PartList(str(row["id"]), int(row["parts"]), int(row["bytes"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise BadEntry("its list of parts has an unknown form") from None
    if not (listed.identity.isalnum() and listed.identity.isascii() and len(listed.identity) <= 64):
        raise BadEntry("its parts have no proper name")
    if not 0 < listed.size <= MAX_ENTRY or not 0 < listed.parts <= _MAX_PARTS:
        raise BadEntry("its parts are too many or too large")
    return listed


class PartIsMissing(BadEntry):
    """A part that is listed is not there: evicted, or replaced at this moment."""

    def __init__(self) -> None:
        super().__init__("a part of it is missing")


def read_value(
    value_of: Callable[[str], Value | None], key: str, file: Path | None = None
) -> Entry | None:
    """The entry of a key; None if it is not there.

    Args:
        value_of: reads from the server.
        key: the entry's.
        file: as in `read_entry`.

    Raises:
        PartIsMissing: not all of it is there.
        BadEntry: it is damaged, or another key's.
        OSError: the file cannot be written; or what `value_of` raises.
    """
    value = value_of(value_name(key))
    if value is None:
        return None
    head = _beginning(value, 16)
    if head.startswith(_PARTS):
        value = _parts(value_of, key, head + _beginning(value, MAX_LIST))
        head = _beginning(value, 16)
    whole = _Joined(iter((InMemory(head), value)), value.size)
    if head.startswith(_ZSTD):
        return _read_compressed(whole, key, file)
    return read_entry(whole, whole.size, key, file)


def _beginning(value: Value, size: int) -> bytes:
    """So many bytes of a value, or all that it has."""
    data = b""
    while len(data) < size and (more := value.read(size - len(data))):
        data += more
    return data


def _parts(value_of: Callable[[str], Value | None], key: str, data: bytes) -> Value:
    """The parts in a list, joined.

    Raises:
        BadEntry: the list is unsound; or, while they are read, they are not as listed.
    """
    listed = part_list(data)
    assert listed is not None

    def parts() -> Iterator[Value]:
        left = listed.size
        for name in listed.names(key):
            part = value_of(name)
            if part is None:
                raise PartIsMissing
            left -= part.size
            if left < 0:
                raise BadEntry("its parts are larger than their list says")
            yield part

    return _Joined(parts(), listed.size)


def _read_compressed(value: Value, key: str, file: Path | None) -> Entry:
    import zstandard

    head = _beginning(value, 16)
    size = int.from_bytes(head[8:], "little")
    if len(head) < 16 or size > _most_expanded(value.size):
        raise BadEntry("it is too large")
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        return read_entry(decompressor.stream_reader(cast("IO[bytes]", value)), size, key, file)
    except zstandard.ZstdError:
        raise BadEntry("it does not decompress") from None


def _most_expanded(size: int) -> int:
    """Bytes that so many compressed ones may stand for."""
    return min(MAX_ENTRY, max(_FREE_EXPANSION, _EXPANSION * size))


def values(key: str, metadata: Metadata, program: Payload) -> Iterator[bytes]:
    """The bytes to store for an entry, in pieces of `PART`; the last one is shorter.

    Raises:
        OSError: the program's file cannot be read.
    """
    size = entry_size(metadata, program)
    if _pays(program):
        pieces = _pieces(_compressed(entry_chunks(key, metadata, program), size))
        first = next(pieces)
        # A reader refuses what expands too much; that fits into one piece.
        if len(first) >= PART or size <= _most_expanded(len(first)):
            yield first
            yield from pieces
            return
    yield from _pieces(entry_chunks(key, metadata, program))


def _pieces(chunks: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    pending = bytearray()
    for chunk in chunks:
        pending += chunk
        while len(pending) > PART:
            yield bytes(pending[:PART])
            del pending[:PART]
    yield bytes(pending)


def _compressed(chunks: Iterator[bytes | memoryview], size: int) -> Iterator[bytes]:
    import zstandard

    compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj(size)
    yield _ZSTD + size.to_bytes(8, "little")
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _pays(program: Payload) -> bool:
    """Whether samples from all over a program shrink."""
    import zstandard

    size = program.stat().st_size if isinstance(program, Path) else len(program)
    with program.open("rb") if isinstance(program, Path) else io.BytesIO(program) as file:
        taken: list[bytes] = []
        for at in range(0, size, max(_SAMPLE, size // _SAMPLES)):
            file.seek(at)
            taken.append(file.read(_SAMPLE))
    sample = b"".join(taken)
    shrunk = len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample))
    return shrunk < _WORTHWHILE * len(sample)
