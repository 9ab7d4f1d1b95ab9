"""The vectors of a TFLite file, copied out of it with bounds: lengths and indices are untrusted."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from furiosa_ir.errors import ImportFailure
from furiosa_ir.limits import Budget, limit, way_out
from furiosa_ir.numerics.array import Array

LEAST_OPERATOR = 12
"""Bytes of an operator: its offset, and a table with two fields."""


def checked_length(count: int, size: int, what: str, least: int = 4) -> int:
    """The length of a vector of tables in a file of that size.

    Args:
        count: what the file says.
        size: of the file, in bytes.
        what: they are.
        least: bytes that each takes; by default its offset alone, for tables may be shared.

    Raises:
        ImportFailure: the file has no room for them.
    """
    if least * count > size:
        raise ImportFailure(f"corrupt: {count} {what} do not fit into a file of {size} bytes")
    return count


class Vectors:
    """Copies vectors out of the file, no more of them than SHARES times the file's size.

    Tables may share vectors; in no real file are so many of one.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._budget = Budget(limit("SHARES") * size, _too_much)
        self._dense = Budget(limit("FOLDED_GROWTH") + 4 * size, _too_sparse)

    def take(self, count: int) -> None:
        """Takes so many bytes.

        Raises:
            ImportFailure: with those before they are more than SHARES times the file.
        """
        self._budget.take(count)

    def copied(self, array: Any) -> bytes:
        """A vector of bytes; the reader gives 0 for one left out."""
        if isinstance(array, int):
            return b""
        self.take(array.nbytes)
        return bytes(array.tobytes())

    def numbers(self, array: Any) -> list[Any]:
        """The elements of a vector of numbers; the reader gives 0 for a vector left out."""
        if isinstance(array, int):
            return []
        self.take(array.nbytes)
        return array.tolist()

    def text(self, raw: bytes | None) -> str:
        """A string; empty if it is left out."""
        if raw is None:
            return ""
        self.take(len(raw))
        return raw.decode(errors="replace")

    def indices(
        self, array: Any, tensors: int, what: str, *, optional: bool = False
    ) -> tuple[int, ...]:
        """Indices of that many tensors, with -1 for one left out."""
        indices = tuple(self.numbers(array))
        for index in indices:
            if not (-1 if optional else 0) <= index < tensors:
                raise ImportFailure(f"corrupt: tensor {index} of {what} does not exist")
        return indices

    def take_dense(self, count: int) -> None:
        """Takes so many elements (of four bytes, or less) of sparse tensors, zeros included.

        Raises:
            ImportFailure: those of the file are too many.
        """
        self._dense.take(count)

    def unpacked(self, contents: Array, count: int, bits: int) -> Array:
        """int8 elements of so many bits, of which a byte holds several, the first in the low ones.

        They have a sign; it is in the highest of their bits.
        """
        self.take(contents.nbytes)
        parts = [(contents << up).view(np.int8) >> (8 - bits) for up in range(8 - bits, -1, -bits)]
        return np.stack(parts, -1).reshape(-1)[:count]


def _too_much() -> ImportFailure:
    return ImportFailure(
        "corrupt: its tables share vectors, and hold more than the file", hint=way_out("SHARES")
    )


def refuse_sharing() -> NoReturn:
    """Refuses a file whose lists share tables.

    Raises:
        ImportFailure: always.
    """
    raise _too_much()


def _too_sparse() -> ImportFailure:
    return ImportFailure("its sparse tensors are too large", hint=way_out("FOLDED_GROWTH"))


def enum_names(enum: type) -> dict[int, str]:
    """The names of the values of an enumeration of the schema."""
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}
