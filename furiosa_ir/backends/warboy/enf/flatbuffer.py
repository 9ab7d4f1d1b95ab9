"""FlatBuffers driven by `layout.TABLES`: encoding, and decoding that trusts nothing.

flatbuffers' Python runtime does not verify. Here every offset, size and alignment is checked before
it is used, by the rules of the C++ verifier. In an ENF file no two tables share anything but a
vtable, so all parts together are no larger than the buffer: a small file cannot become big.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, cast

import flatbuffers
import numpy as np

from furiosa_ir.backends.warboy.enf.layout import IDENTIFIER, TABLES, Field
from furiosa_ir.errors import FormatFailure
from furiosa_ir.limits import Budget
from furiosa_ir.numerics.array import Array

Row: TypeAlias = dict[str, Any]
"""A table's fields by name. Strings are str, vectors numpy arrays, tables are rows."""

_U16, _U32, _I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")


def encode(table: str, row: Mapping[str, Any]) -> bytes:
    """A size-prefixed FlatBuffer with `row` as its root; same rows give the same bytes."""
    builder = flatbuffers.Builder(1 << 16)
    root = _encode_table(builder, table, row)
    builder.FinishSizePrefixed(root, file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _encode_table(builder: flatbuffers.Builder, table: str, row: Mapping[str, Any]) -> int:
    fields = TABLES[table]
    offsets: dict[str, int] = {}
    for field in fields:
        value = row.get(field.name)
        if value is None:
            continue
        if field.kind == "string":
            offsets[field.name] = builder.CreateString(value)
        elif field.kind == "table":
            offsets[field.name] = _encode_table(builder, field.table, value)
        elif field.kind == "tables":
            children = [_encode_table(builder, field.table, child) for child in value]
            builder.StartVector(4, len(children), 4)
            for child in reversed(children):
                builder.PrependUOffsetTRelative(child)
            offsets[field.name] = builder.EndVector()
        elif field.kind == "vector":
            offsets[field.name] = _encode_vector(builder, value)
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        if field.name in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[field.name], 0)
        elif field.kind in ("scalar", "struct") and row.get(field.name) is not None:
            _place(builder, np.asarray(row[field.name], field.dtype), field.dtype)
            builder.Slot(slot)
    return cast("int", builder.EndObject())


def _encode_vector(builder: flatbuffers.Builder, array: Array) -> int:
    builder.StartVector(array.itemsize, array.size, max(array.dtype.alignment, 4))
    _write(builder, array.tobytes())
    return cast("int", builder.EndVector())


def _place(builder: flatbuffers.Builder, value: Array, dtype: np.dtype[Any]) -> None:
    builder.Prep(dtype.alignment, dtype.itemsize)
    _write(builder, value.tobytes())


def _write(builder: flatbuffers.Builder, data: bytes) -> None:
    head = cast("int", builder.Head()) - len(data)
    builder.head = head
    builder.Bytes[head : head + len(data)] = data


def decode(table: str, data: memoryview) -> Row:
    """The root table of a size-prefixed FlatBuffer.

    Absent strings are "", absent vectors empty, absent scalars 0, absent tables None.

    Raises:
        FormatFailure: an offset, a size or an alignment is wrong, tables share what they hold, or
            text is not UTF-8.
    """
    return _Decoder(data).root(table)


class _Decoder:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._size = len(data)
        self._budget = Budget(len(data), _shared)

    def root(self, table: str) -> Row:
        if self._size < 12 or bytes(self._data[8:12]) != IDENTIFIER:
            raise FormatFailure("its FlatBuffer does not begin with 'ENF1'")
        return self._table(table, self._follow(4))

    def _follow(self, at: int) -> int:
        """The position that the 32-bit offset at `at` (in bounds) points to."""
        target = at + _U32.unpack_from(self._data, at)[0]
        if target == at or target > self._size - 4 or target % 4:
            raise FormatFailure("an offset leads out of its FlatBuffer")
        return target

    def _table(self, name: str, at: int) -> Row:
        vtable = at - _I32.unpack_from(self._data, at)[0]
        if vtable < 0 or vtable > self._size - 4 or vtable % 2:
            raise FormatFailure("a vtable lies outside of its FlatBuffer")
        length, inline = struct.unpack_from("<HH", self._data, vtable)
        if length < 4 or length % 2 or vtable + length > self._size:
            raise FormatFailure("a vtable has an impossible length")
        if inline < 4 or at + inline > self._size:
            raise FormatFailure("a table reaches beyond its FlatBuffer")
        self._budget.take(inline)
        row: Row = {}
        for slot, field in enumerate(TABLES[name]):
            entry = 4 + 2 * slot
            offset = 0
            if entry + 2 <= length:
                offset = _U16.unpack_from(self._data, vtable + entry)[0]
            row[field.name] = self._field(field, at, offset, inline)
        return row

    def _field(self, field: Field, at: int, offset: int, inline: int) -> Any:
        direct = field.kind in ("scalar", "struct")
        if offset == 0:
            return _ABSENT[field.kind](field)
        size = field.dtype.itemsize if direct else 4
        place = at + offset
        if offset < 4 or offset + size > inline:
            raise FormatFailure(f"field '{field.name}' reaches beyond its table")
        if place % (field.dtype.alignment if direct else 4):
            raise FormatFailure(f"field '{field.name}' is not aligned")
        if direct:
            return np.frombuffer(self._data, field.dtype, 1, place)[0].item()
        match field.kind:
            case "string":
                return self._string(place)
            case "table":
                return self._table(field.table, self._follow(place))
            case "tables":
                return self._tables(field, place)
            case _:
                return self._vector(field, place)

    def _bounds(self, at: int, itemsize: int) -> tuple[int, int]:
        """(first byte, number of elements) of the vector that `at` points to."""
        start = self._follow(at)
        count = _U32.unpack_from(self._data, start)[0]
        if start + 4 + count * itemsize > self._size:
            raise FormatFailure("a vector reaches beyond its FlatBuffer")
        self._budget.take(4 + count * itemsize)
        return start + 4, count

    def _string(self, at: int) -> str:
        start, size = self._bounds(at, 1)
        try:
            return str(self._data[start : start + size], "utf-8")
        except UnicodeDecodeError:
            raise FormatFailure("a name is not UTF-8 text") from None

    def _vector(self, field: Field, at: int) -> Array:
        start, count = self._bounds(at, field.dtype.itemsize)
        if start % field.dtype.alignment:
            raise FormatFailure(f"vector '{field.name}' is not aligned")
        return np.frombuffer(self._data, field.dtype, count, start)

    def _tables(self, field: Field, at: int) -> Sequence[Row]:
        start, count = self._bounds(at, 4)
        positions = range(start, start + 4 * count, 4)
        return [self._table(field.table, self._follow(position)) for position in positions]


def _shared() -> FormatFailure:
    return FormatFailure("the tables of its FlatBuffer share bytes, and hold more than it has")


@cache
def _empty(dtype: np.dtype[Any]) -> Array:
    """The one vector of that type without elements: a million tables may leave theirs out."""
    return np.empty(0, dtype)


def _no_rows(field: Field) -> Sequence[Row]:
    del field
    return []


_ABSENT: dict[str, Callable[[Field], Any]] = {
    "string": lambda _: "",
    "table": lambda _: None,
    "tables": _no_rows,
    "vector": lambda field: _empty(field.dtype),
    "scalar": lambda field: np.zeros((), field.dtype).item(),
    "struct": lambda field: np.zeros((), field.dtype).item(),
}
