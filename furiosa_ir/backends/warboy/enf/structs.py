"""Records as FlatBuffers structs, described once: the layout in bytes, reading and writing.

    FLAT = Struct(SramFlat, address=number("<u4"), slice_bytes=number("<u4"), size=number("<u8"))

Columns stand in the struct's order, under their names in the schema. A whole vector of structs is
read or written a column at a time, by numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np

from furiosa_ir.errors import FormatFailure
from furiosa_ir.numerics.array import Array

Values: TypeAlias = Sequence[Any]
"""One attribute of all records."""


@dataclass(frozen=True)
class Column:
    """How an attribute of a record stands in a struct.

    Attributes:
        kind: dtype of the field's elements.
        count: how many; () for one that is no array.
        read: (structs, the field's name) -> values; None where the field is part of another column,
            or says how long a list is that lies elsewhere.
        write: puts values into the field of that name.
    """

    kind: np.dtype[Any]
    count: tuple[int, ...] = ()
    read: Callable[[Array, str], Values] | None = None
    write: Callable[[Array, str, Values], None] | None = None


def _put(structs: Array, name: str, values: Values) -> None:
    structs[name] = values


def number(dtype: str) -> Column:
    """An integer."""
    return Column(np.dtype(dtype), (), lambda structs, name: structs[name].tolist(), _put)


def numbers(dtype: str, count: int) -> Column:
    """A tuple of so many integers."""
    return Column(
        np.dtype(dtype),
        (count,),
        lambda structs, name: list(map(tuple, structs[name].tolist())),
        _put,
    )


def flag() -> Column:
    """True or false, in a byte."""
    return Column(
        np.dtype("<u1"), (), lambda structs, name: list(map(bool, structs[name].tolist())), _put
    )


def one_of(names: Sequence[str], what: str) -> Column:
    """One of some names, in a byte; `what` they are, for whoever reads another number."""
    numbers_of = {name: i for i, name in enumerate(names)}

    def read(structs: Array, name: str) -> Values:
        found: list[int] = structs[name].tolist()
        greatest = max(found, default=0)
        if greatest >= len(names):
            raise FormatFailure(f"{what} {greatest} does not exist")
        return [names[i] for i in found]

    def write(structs: Array, name: str, values: Values) -> None:
        structs[name] = [numbers_of[value] for value in values]

    return Column(np.dtype("<u1"), (), read, write)


def part(struct: Struct) -> Column:
    """Another record."""

    def write(structs: Array, name: str, values: Values) -> None:
        struct.fill(structs[name], values)

    return Column(struct.dtype, (), lambda structs, name: struct.read(structs[name]), write)


def optional(struct: Struct, present: str) -> Column:
    """Another record or None; the field `present` (a `said_by`) says which."""

    def read(structs: Array, name: str) -> Values:
        there: list[int] = structs[present].tolist()
        records = iter(struct.read(structs[name][structs[present] != 0]))
        return [next(records) if is_there else None for is_there in there]

    def write(structs: Array, name: str, values: Values) -> None:
        there = np.array([value is not None for value in values], bool)
        structs[present] = there
        some = np.zeros(int(there.sum()), struct.dtype)
        struct.fill(some, [value for value in values if value is not None])
        structs[name][there] = some

    return Column(struct.dtype, (), read, write)


def ranked(dtype: str, count: int, rank: str, what: str) -> Column:
    """A tuple of up to so many integers; the field `rank` (a `said_by`) says how many."""

    def read(structs: Array, name: str) -> Values:
        ranks: list[int] = structs[rank].tolist()
        for size in ranks:
            if not 1 <= size <= count:
                raise FormatFailure(f"{what} has {size} dimensions")
        return [tuple(v[:r]) for v, r in zip(structs[name].tolist(), ranks, strict=True)]

    def write(structs: Array, name: str, values: Values) -> None:
        structs[rank] = [len(value) for value in values]
        structs[name] = [(*value, *[0] * (count - len(value))) for value in values]

    return Column(np.dtype(dtype), (count,), read, write)


def said_by(dtype: str = "<u1") -> Column:
    """A field that another column reads and writes."""
    return Column(np.dtype(dtype))


def count_of(dtype: str) -> Column:
    """How many elements of a list, which lies in a vector of its own, belong to the record."""
    return Column(np.dtype(dtype))


class Struct:
    """A record's layout.

    Args:
        record: the dataclass.
        columns: by the field's name, which is the attribute's; fields that no attribute stands for
            have neither `read` nor `write`.

    Attributes:
        dtype: of numpy, aligned as in C.
    """

    def __init__(self, record: type[Any], **columns: Column) -> None:
        self.record = record
        self._attributes = [field.name for field in fields(record)]
        self._columns = columns
        kinds: list[Any] = [(name, column.kind, column.count) for name, column in columns.items()]
        self.dtype = np.dtype(kinds, align=True)

    def read(self, structs: Array, **elsewhere: Values) -> list[Any]:
        """The records of a vector of structs.

        Args:
            structs: [n] of `dtype`.
            elsewhere: attributes that do not stand in the struct.

        Raises:
            FormatFailure: a field has a value that means nothing.
        """
        if not len(structs):
            return []
        known = dict(elsewhere)
        for name, column in self._columns.items():
            if column.read is not None:
                known[name] = column.read(structs, name)
        return list(map(self.record, *[known[name] for name in self._attributes]))

    def write(self, records: Sequence[Any]) -> Array:
        """The vector of structs of some records, with zeros in the padding."""
        structs = np.zeros(len(records), self.dtype)
        self.fill(structs, records)
        return structs

    def fill(self, structs: Array, records: Sequence[Any]) -> None:
        """Writes records into structs; what no column writes stays."""
        if records:
            for name, column in self._columns.items():
                if column.write is not None:
                    column.write(structs, name, [getattr(record, name) for record in records])
