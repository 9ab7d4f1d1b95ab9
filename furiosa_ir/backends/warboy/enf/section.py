"""Sections of an ENF file whose bytes are not in one piece.

A network's weights lie in its mapped file. A constant section of theirs is gathered when it is
written, some MiB at a time, so that gigabytes of weights are never in memory twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from furiosa_ir.numerics.array import Array

_CHUNK = 4 << 20
"""Bytes of a part that are put in order at a time."""


class GatheredSection:
    """Arrays one behind the other, with zeros between them.

    Args:
        parts: (offset, array) in ascending order, no two overlapping; elements are written little
            endian in row-major order.
        nbytes: of the whole section.
    """

    def __init__(self, parts: Sequence[tuple[int, Array]], nbytes: int) -> None:
        self._parts = parts
        self.nbytes = nbytes

    def chunks(self) -> Iterator[memoryview]:
        """The bytes in order, some MiB at a time."""
        at = 0
        for offset, array in self._parts:
            if offset > at:
                yield memoryview(bytes(offset - at))
            for rows in _rows(array):
                yield np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
            at = offset + array.nbytes
        if self.nbytes > at:
            yield memoryview(bytes(self.nbytes - at))

    def __len__(self) -> int:
        return self.nbytes

    def __bytes__(self) -> bytes:
        return self.view().tobytes()

    def view(self) -> memoryview:
        """The bytes as one buffer, made anew."""
        whole = np.empty(self.nbytes, np.uint8)
        at = 0
        for chunk in self.chunks():
            whole[at : at + len(chunk)] = chunk
            at += len(chunk)
        whole.flags.writeable = False
        return whole.data

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GatheredSection):
            return self is other or self.view() == other.view()
        return isinstance(other, bytes | bytearray | memoryview) and self.view() == other

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # compared by content, like a buffer


Section: TypeAlias = memoryview | bytes | GatheredSection
"""The bytes of a section."""


def section_size(section: Section) -> int:
    """How many bytes."""
    return section.nbytes if isinstance(section, GatheredSection) else memoryview(section).nbytes


def section_view(section: Section) -> memoryview:
    """The bytes as one buffer: the section itself, or a copy of what has to be gathered."""
    return section.view() if isinstance(section, GatheredSection) else memoryview(section)


def section_chunks(section: Section) -> Iterator[memoryview]:
    """The bytes in order."""
    if isinstance(section, GatheredSection):
        return section.chunks()
    return iter((memoryview(section),))


def _rows(array: Array) -> Iterator[Array]:
    """The array cut along its first axis into chunks, where it is large."""
    if array.nbytes <= _CHUNK or array.ndim == 0 or len(array) == 1:
        yield array
        return
    step = max(1, _CHUNK * len(array) // array.nbytes)
    for first in range(0, len(array), step):
        yield array[first : first + step]
