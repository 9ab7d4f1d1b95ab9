"""The options of an operator, remembering which of them were read."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

from furiosa_ir.importers.tflite.option_tables import empty_options

_VECTOR = ("AsNumpy", "Length", "IsNone")
"""What the accessors of a vector's field are called besides."""


class ReadOptions:
    """A reader of an options table (package `tflite`) that knows which fields were asked for.

    Args:
        reader: the reader.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._table: type[Any] = reader.__class__
        self._read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        accessor = getattr(self._reader, name)

        def read(*arguments: Any) -> Any:
            self._read.add(_field(name))
            return accessor(*arguments)

        return read

    def unread(self, ignored: Collection[str]) -> list[str]:
        """The fields that are not what leaving them out means, and were not read.

        Args:
            ignored: fields that change nothing.
        """
        fields = option_fields(self._table)
        return [
            name
            for name in fields
            if name not in ignored and name not in self._read and self._is_set(name)
        ]

    def by_name(self, properties: Collection[str]) -> dict[str, object]:
        """The options that are called like properties (`Alpha` like `alpha`), unless read."""
        names = {
            property_name(name): name
            for name in option_fields(self._table)
            if name not in self._read
        }
        return {p: self._value(names[p], read=True) for p in properties if p in names}

    def _is_set(self, name: str) -> bool:
        default = ReadOptions(empty_options(self._table))
        return bool(self._value(name) != default._value(name))

    def _value(self, name: str, *, read: bool = False) -> Any:
        if read:
            self._read.add(name)
        if hasattr(self._reader, f"{name}AsNumpy"):
            length = getattr(self._reader, f"{name}Length")()
            return [getattr(self._reader, name)(i) for i in range(length)]
        return getattr(self._reader, name)()


@lru_cache
def option_fields(reader: type[Any]) -> tuple[str, ...]:
    """The fields of an options table, as its reader calls them."""
    names = [n for n in vars(reader) if n[0].isupper() and not n.startswith("GetRootAs")]
    return tuple(
        n for n in names if n == _field(n) and n != "Init" and not n.endswith("BufferHasIdentifier")
    )


def property_name(field: str) -> str:
    """The property that a field is by its name: `FusedActivationFunction` -> words with _."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field).lower()


def _field(accessor: str) -> str:
    for ending in _VECTOR:
        accessor = accessor.removesuffix(ending)
    return accessor
