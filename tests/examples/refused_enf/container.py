"""Files whose header or FlatBuffer breaks a rule: F and B."""

from __future__ import annotations

import struct

from examples.enf_reader import reader
from furiosa_ir.backends.warboy.enf.writer import write_program
from tests.examples.refused_enf.whole import (
    Files,
    breaks,
    bytes_of,
    put,
    whole,
)
from tests.fuzz.hostile_enf import PROGRAMS


@breaks("F1")
def _() -> Files:
    yield b""
    yield b"ELF" + bytes(100)
    yield bytes_of(put(0, "B", ord("E")), sealed=False)


@breaks("F2")
def _() -> Files:
    yield write_program(whole())[:9]
    yield write_program(whole())[:19]


@breaks("F3")
def _() -> Files:
    yield bytes_of(put(3, "B", 1), sealed=False)
    yield write_program(whole())[:-1]
    yield bytes_of(put(200, "B", 77), sealed=False)


def versioned(version: bytes) -> bytes:
    data = bytearray(write_program(whole()))
    data[7:10] = version
    return bytes(data)  # the checksum begins behind it


@breaks("F4")
def _() -> Files:
    for version in (b"\1\0\0", b"\1\2\0", b"\1\1\1", b"\2\1\0", b"\0\1\1"):
        yield versioned(version)


@breaks("F5")
def _() -> Files:
    yield bytes_of(put(10, "B", 1))
    yield bytes_of(put(15, "B", 255))


@breaks("F6")
def _() -> Files:
    yield bytes_of(put(16, "I", 1 << 31))
    yield bytes_of(put(16, "I", 7))
    yield bytes_of(put(24, "I", 0x32464E45))  # "ENF2"


def root() -> tuple[int, int]:
    """Where the root table and its vtable lie in the file."""
    data = write_program(whole())
    table = 20 + struct.unpack_from("<I", data, 20)[0]
    return table, table - struct.unpack_from("<i", data, table)[0]


@breaks("B1")
def _() -> Files:
    table, vtable = root()
    for offset in (0, 2, 1 << 31, 0xFFFFFFFC):
        yield bytes_of(put(20, "I", offset))
    slot = struct.unpack_from("<H", write_program(whole()), vtable + 4)[0]
    yield bytes_of(put(table + slot, "I", 0))


@breaks("B2")
def _() -> Files:
    table, _ = root()
    for distance in (table, 1 << 30, -(1 << 30), 1):
        yield bytes_of(put(table, "i", distance))


@breaks("B3")
def _() -> Files:
    for length in (2, 5, 0xFFFE):
        yield bytes_of(put(root()[1], "H", length))


@breaks("B4")
def _() -> Files:
    for length in (3, 0xFFFF):
        yield bytes_of(put(root()[1] + 2, "H", length))


@breaks("B5")
def _() -> Files:
    for place in (2, 3, 1000):
        yield bytes_of(put(root()[1] + 4, "H", place))


@breaks("B6")
def _() -> Files:
    _, vtable = root()
    place = struct.unpack_from("<H", write_program(whole()), vtable + 6)[0]
    yield bytes_of(put(vtable + 6, "H", place - 2 if place > 8 else place + 2))


def strings() -> int:
    """Where the target's string lies in the file, its count in front."""
    return write_program(whole()).index(b"warboy-2pe")


@breaks("B7")
def _() -> Files:
    yield bytes_of(put(strings() - 4, "I", 1 << 20))
    yield bytes_of(put(strings() - 4, "I", 0xFFFFFFFF))


@breaks("B8")
def _() -> Files:
    """A vector of 8-byte elements begins 4 bytes earlier, where a small count happens to be."""
    data = write_program(whole())
    end = 20 + struct.unpack_from("<I", data, 16)[0]
    for at in range(24, end - 4, 4):
        offset = struct.unpack_from("<I", data, at)[0]
        if not 8 <= offset < end - at:
            continue
        edited = bytes_of(put(at, "I", offset - 4))
        try:
            reader.load(edited)
        except reader.Refused as error:
            if str(error) == "B8":
                yield edited
                return
        except (struct.error, IndexError):
            continue


@breaks("B9")
def _() -> Files:
    yield bytes_of(put(strings(), "B", 0xFF))


@breaks("B10")
def _() -> Files:
    for name in ("shared_vector", "shared_string", "shared_commands", "shared_table"):
        yield PROGRAMS[name]()
