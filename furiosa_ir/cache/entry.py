"""A cache entry as bytes: who made it, for which key, and a compiled program, under one checksum.

Stores are untrusted: an entry may be cut off, overwritten, of another version or of another
writer. Everything is compared before anything is used.
"""

from __future__ import annotations

import json
import math
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, cast

from furiosa_ir.backends import CHECKED
from furiosa_ir.batch_figures import BatchFigures
from furiosa_ir.latency import Latency

MAGIC = b"FIRCACHE"
VERSION = 2
_ALIGNMENT = 64
_HEADER = struct.Struct("<8sIIQIIQ32s")
HEADER_BYTES = _HEADER.size + -_HEADER.size % _ALIGNMENT
"""magic, version, CRC-32 of all that follows it, milliseconds since 1970, bytes of metadata, zero,
bytes of the program, key; then zeros, the metadata (JSON), zeros, and the program."""
_CHECKSUM_END = 16
MAX_METADATA = 16 << 20
"""Bytes of JSON: some hundred for each operator on the host."""
MAX_ENTRY = 4 << 30
"""Bytes of an entry; larger programs are not cached."""
MAX_WARNINGS = 1000
CHUNK = 4 << 20
"""Bytes of a program that are written at a time."""
_READ = 256 << 10
"""Bytes that are read at a time: what is checked and copied is still in the processor's cache."""

Payload = bytes | memoryview | Path
"""A program, or the file that holds it: then it is never in memory as a whole."""


class BadEntry(Exception):
    """Bytes that are no entry for the key asked for; the message says what is wrong."""


class TooLarge(Exception):
    """An entry that no reader would take; the message is a clause."""


@dataclass(frozen=True)
class HostOperator:
    """Why an operator runs on the host; see `reports.inspect.summary`."""

    operator: str
    layer: str
    hint: int
    reason: str


@dataclass(frozen=True)
class Metadata:
    """What a compile said, so that a hit can say it again without reading the program.

    Attributes:
        npu_mac_share: of the multiplications, how many run on the NPU (0 to 1).
        cycles: of the program, estimated.
        latency: of a run, estimated.
        host_operators: what runs on the host, and why.
        warnings: what was logged; `SOURCE` stands for the model's name.
        batches: of all batch sizes that were compared, if the program's was looked for.
        batch_size: which of them was taken; None if none was looked for.
    """

    npu_mac_share: float = 0.0
    cycles: int = 0
    latency: Latency = field(default_factory=Latency)
    host_operators: tuple[HostOperator, ...] = ()
    warnings: tuple[str, ...] = ()
    batches: tuple[BatchFigures, ...] = ()
    batch_size: int | None = None

    def encode(self) -> bytes:
        """JSON; the same metadata gives the same bytes."""
        return json.dumps(
            {
                "npu_mac_share": self.npu_mac_share,
                "cycles": self.cycles,
                "latency": asdict(self.latency),
                "host_operators": [
                    [o.operator, o.layer, o.hint, o.reason] for o in self.host_operators
                ],
                "warnings": list(self.warnings),
                "batches": [
                    [b.batch_size, asdict(b.latency), b.sram_bytes, b.dram_bytes]
                    for b in self.batches
                ],
                "batch_size": self.batch_size,
            },
            separators=(",", ":"),
        ).encode()

    @staticmethod
    def decode(data: bytes | memoryview) -> Metadata:
        """The metadata in JSON.

        Raises:
            BadEntry: it has another form.
        """
        try:
            row = cast("dict[str, Any]", json.loads(bytes(data)))
            return Metadata(
                npu_mac_share=_number(row["npu_mac_share"]),
                cycles=_count(row["cycles"]),
                latency=_latency(row["latency"]),
                host_operators=tuple(
                    HostOperator(_text(a), _text(b), _count(n), _text(c))
                    for a, b, n, c in row["host_operators"]
                ),
                warnings=tuple(_text(w) for w in row["warnings"][:MAX_WARNINGS]),
                batches=tuple(
                    BatchFigures(_positive(n), _latency(latency), _count(sram), _count(dram))
                    for n, latency, sram, dram in row["batches"]
                ),
                batch_size=None if row["batch_size"] is None else _positive(row["batch_size"]),
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise BadEntry("its metadata has an unknown form") from None


_LATENCIES = tuple(part.name for part in fields(Latency))

SOURCE = "\x00source\x00"
"""In a warning: the name that the model was given under, which differs from call to call."""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not 0 <= value < 1 << 63:
        raise ValueError
    return value


def _positive(value: object) -> int:
    number = _count(value)
    if not number:
        raise ValueError
    return number


def _latency(row: dict[str, object]) -> Latency:
    return Latency(**{name: _number(row[name]) for name in _LATENCIES})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


@dataclass(frozen=True)
class Entry:
    """A sound entry.

    Attributes:
        created: seconds since 1970.
        metadata: what the compile said.
        program: the program's file as bytes, or the file that it was copied to.
        checksum: CRC-32 of the program behind the bytes that its own checksum does not cover.
    """

    created: float
    metadata: Metadata
    program: Payload = field(repr=False)
    checksum: int = 0


@dataclass(frozen=True)
class Header:
    """The fixed part of an entry.

    Attributes:
        checksum: CRC-32 of what follows it.
        created: seconds since 1970.
        metadata_bytes, program_bytes: lengths.
        key: 64 hexadecimal digits.
    """

    checksum: int
    created: float
    metadata_bytes: int
    program_bytes: int
    key: str

    @property
    def total(self) -> int:
        """Bytes of the whole entry."""
        return _program_offset(self.metadata_bytes) + self.program_bytes


def _program_offset(metadata_bytes: int) -> int:
    end = HEADER_BYTES + metadata_bytes
    return end + -end % _ALIGNMENT


def read_header(data: bytes | memoryview) -> Header:
    """The header at the beginning of some bytes.

    Raises:
        BadEntry: there is none, or one of another version.
    """
    if len(data) < HEADER_BYTES:
        raise BadEntry("it ends within its header")
    magic, version, checksum, created, metadata, zero, program, key = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BadEntry("it is no cache entry")
    if version != VERSION or zero:
        raise BadEntry(f"it has version {version}, this program knows {VERSION}")
    if metadata > MAX_METADATA:
        raise BadEntry("its metadata is too long")
    return Header(checksum, created / 1000, metadata, program, key.hex())


class Source(Protocol):
    """Where an entry's bytes come from; a file opened without a buffer is one."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills the beginning of a buffer; how many bytes it got, 0 at the end."""
        ...


def read_entry(source: Source, size: int, key: str, file: Path | None = None) -> Entry:
    """The entry that a source gives. What it says of its size is compared before memory is taken.

    Args:
        source: positioned at the entry's first byte.
        size: how many bytes it has.
        key: the key asked for.
        file: where the program goes; it holds part of it if the entry turns out to be damaged.
            Default: into memory.

    Raises:
        BadEntry: it is damaged, or another key's.
        OSError: the source cannot be read, or the file not be written.
    """
    if size < HEADER_BYTES:
        raise BadEntry("it ends within its header")
    head = _memory(HEADER_BYTES)
    _fill(source, head)
    header = read_header(head)
    if header.key != key:
        raise BadEntry("it was stored for another key")
    if header.total != size:
        raise BadEntry(f"it has {size} bytes instead of {header.total}")
    if size > MAX_ENTRY:
        raise BadEntry("it is too large")
    middle = _memory(_program_offset(header.metadata_bytes) - HEADER_BYTES)
    checksum = _fill(source, middle, zlib.crc32(head[_CHECKSUM_END:]))
    # The program has a checksum of its own, not from its first byte on: the bytes are gone through
    # once for both.
    front = _memory(min(CHECKED, header.program_bytes))
    checksum = _fill(source, front, checksum)
    rest = header.program_bytes - len(front)
    program: Payload
    if file is None:
        buffer = _memory(header.program_bytes)
        buffer[: len(front)] = front
        own = _fill(source, buffer[len(front) :])
        program = buffer.toreadonly()
    else:
        program = file
        own = _copy(source, front, rest, file)
    if _joined(checksum, own, rest) != header.checksum:
        raise BadEntry("its CRC-32 does not match")
    metadata = Metadata.decode(middle[: header.metadata_bytes])
    return Entry(header.created, metadata, program, own)


def _memory(size: int) -> memoryview:
    try:
        return memoryview(bytearray(size))
    except MemoryError:
        raise BadEntry("it is too large for the memory there is") from None


def _fill(source: Source, buffer: memoryview, checksum: int = 0) -> int:
    """Fills a buffer; the CRC-32 so far, continued over it.

    Raises:
        BadEntry: the source ends before.
    """
    count = 0
    while count < len(buffer):
        piece = buffer[count : count + _READ]
        got = source.readinto(piece)
        if not got:
            raise BadEntry("it was cut short")
        checksum = zlib.crc32(piece[:got], checksum)
        count += got
    return checksum


def _copy(source: Source, front: memoryview, size: int, file: Path) -> int:
    """Fills a file with what is read already and so many bytes; the CRC-32 of the latter."""
    buffer, checksum = _memory(min(size, _READ)), 0
    with file.open("wb") as output:
        output.write(front)
        while size:
            piece = buffer[:size]
            checksum = _fill(source, piece, checksum)
            output.write(piece)
            size -= len(piece)
    return checksum


def _joined(first: int, second: int, length: int) -> int:
    """The CRC-32 of bytes from those of two parts, as zlib's `crc32_combine`.

    Polynomials over GF(2), the coefficient of x^0 in the highest bit: the first part's is
    multiplied by x^(8 length), modulo the CRC's.

    Args:
        first: of the bytes in front.
        second: of the bytes behind.
        length: how many those are.
    """
    power, square = 1 << 31, 1 << 23  # 1 and x^8
    while length:
        if length & 1:
            power = _product(power, square)
        square = _product(square, square)
        length >>= 1
    return _product(power, first) ^ second


def _product(a: int, b: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (0xEDB88320 if b & 1 else 0)
    return product


def entry_chunks(
    key: str, metadata: Metadata, payload: Payload, created: float | None = None
) -> Iterator[bytes | memoryview]:
    """The bytes of an entry, some at a time; the program is read twice if it is a file.

    Args:
        key: 64 hexadecimal digits.
        metadata: what the compile said.
        payload: the program.
        created: seconds since 1970; now by default.

    Raises:
        TooLarge: before the first one.
        OSError: the program's file cannot be read, or changes meanwhile.
    """
    text = metadata.encode()
    size = _payload_size(text, payload)
    milliseconds = int((time.time() if created is None else created) * 1000)
    fixed = (milliseconds, len(text), 0, size, bytes.fromhex(key))
    middle = text.ljust(_program_offset(len(text)) - HEADER_BYTES, b"\0")
    head = _HEADER.pack(MAGIC, VERSION, 0, *fixed).ljust(HEADER_BYTES, b"\0")
    checksum = zlib.crc32(middle, zlib.crc32(head[_CHECKSUM_END:]))
    for part in _parts(payload):
        checksum = zlib.crc32(part, checksum)
    yield _HEADER.pack(MAGIC, VERSION, checksum, *fixed).ljust(HEADER_BYTES, b"\0") + middle
    sent = 0
    for part in _parts(payload):
        sent += len(part)
        yield part
    if sent != size:
        raise OSError("the program changed while it was stored")


def entry_size(metadata: Metadata, payload: Payload) -> int:
    """Bytes of the whole entry.

    Raises:
        TooLarge: nobody would read it.
        OSError: the program's file is not there.
    """
    text = metadata.encode()
    return _program_offset(len(text)) + _payload_size(text, payload)


def _payload_size(metadata: bytes, payload: Payload) -> int:
    size = payload.stat().st_size if isinstance(payload, Path) else len(payload)
    if len(metadata) > MAX_METADATA:
        raise TooLarge("what was said of the program is too long for a cache")
    if _program_offset(len(metadata)) + size > MAX_ENTRY:
        raise TooLarge("the program is too large for a cache")
    return size


def _parts(payload: Payload) -> Iterator[bytes | memoryview]:
    if isinstance(payload, Path):
        with payload.open("rb") as file:
            while part := file.read(CHUNK):
                yield part
        return
    view = memoryview(payload)
    for begin in range(0, len(view), CHUNK):
        yield view[begin : begin + CHUNK]
