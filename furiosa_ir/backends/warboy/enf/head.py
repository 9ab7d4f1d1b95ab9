"""What an ENF file says of itself, without numpy: for those who only pass programs on.

`enf.reader` is what reads programs. Here only as much is looked at as tells whose program it is.
"""

from __future__ import annotations

import struct

from furiosa_ir.errors import FormatFailure
from furiosa_ir.program_head import Head

MAGIC = b"enf"
VERSION = bytes([1, 1, 0])
VENDOR_VERSION = bytes([0, 1, 1])
IDENTIFIER = b"ENF1"
HEADER_BYTES = 16

TARGET_SLOT, SOURCE_HASH_SLOT = 0, 10
"""Fields of the root table, by their places in the schema."""

_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")


def read_head(data: bytes | memoryview, checksum: int) -> Head:
    """The head of a whole ENF file.

    Args:
        data: the file's bytes.
        checksum: CRC-32 of those from `CHECKED` on.

    Raises:
        FormatFailure: it is no ENF file that this version reads; a clause that says why.
    """
    view = memoryview(data).cast("B")
    if bytes(view[:3]) != MAGIC:
        raise FormatFailure("it is not an ENF file")
    if len(view) < HEADER_BYTES + 12:
        raise FormatFailure("it ends within its header")
    if bytes(view[7:10]) != VERSION:
        raise FormatFailure(f"it has version {bytes(view[7:10]).hex(' ')}")
    if int.from_bytes(view[3:7], "little") != checksum:
        raise FormatFailure("its CRC-32 does not match")
    (size,) = _U32.unpack_from(view, HEADER_BYTES)
    buffer = view[HEADER_BYTES + 4 : HEADER_BYTES + 4 + size]
    if len(buffer) < size or bytes(buffer[4:8]) != IDENTIFIER:
        raise FormatFailure("its header is not followed by a FlatBuffer")
    try:
        return Head(_text(buffer, TARGET_SLOT), _text(buffer, SOURCE_HASH_SLOT))
    except (struct.error, ValueError):  # an offset leads out of the buffer; no UTF-8
        raise FormatFailure("its FlatBuffer is damaged") from None


def _text(buffer: memoryview, slot: int) -> str:
    """A string of the root table; empty if it has none."""
    (table,) = _U32.unpack_from(buffer, 0)
    fields = table - _I32.unpack_from(buffer, table)[0]
    if fields < 0:  # from the end, to Python
        raise ValueError
    if 4 + 2 * slot >= _U16.unpack_from(buffer, fields)[0]:
        return ""
    (field,) = _U16.unpack_from(buffer, fields + 4 + 2 * slot)
    if field == 0:
        return ""
    at = table + field + _U32.unpack_from(buffer, table + field)[0]
    (size,) = _U32.unpack_from(buffer, at)
    if at + 4 + size > len(buffer):
        raise ValueError
    return str(buffer[at + 4 : at + 4 + size], "utf-8")
