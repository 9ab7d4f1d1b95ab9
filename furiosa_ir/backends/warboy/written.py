"""Which bytes of a large memory have been written: long runs by their ends, the rest by flags.

What is written in long pieces costs two numbers each; what lies on multiples of 32 bytes, as the
tiles of large tensors do, a flag for 32; only what is left takes one for each byte.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

_MOST_RUNS = 1 << 16
"""Of one window."""

_LINE = 32


class Ranges:
    """Disjoint ranges of integers in order, joined where they touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Adds [start, end)."""
        low = bisect.bisect_left(self._ends, start)
        high = bisect.bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def cover(self, start: int, end: int) -> bool:
        """Whether all of [start, end) is there."""
        at = bisect.bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]

    def take(self, start: int, end: int) -> list[tuple[int, int]]:
        """Those that share anything with [start, end), whole; they are taken out."""
        low = bisect.bisect_right(self._ends, start)
        high = max(low, bisect.bisect_left(self._starts, end))
        taken = list(zip(self._starts[low:high], self._ends[low:high], strict=True))
        del self._starts[low:high], self._ends[low:high]
        return taken


class Written:
    """The bytes of a memory that have been written.

    Args:
        size: bytes of the memory.
        least_run: bytes that lie together, from which on two numbers are less than their flags.
    """

    def __init__(self, size: int, *, least_run: int = 1 << 10) -> None:
        self._least_run = least_run
        self._whole = Ranges()
        # Their pages come to be as they are touched.
        self._lines: Flags = np.zeros(-(-size // _LINE), np.bool_)
        self._bytes: Flags = np.zeros(size, np.bool_)
        # What `_bytes` does not tell of yet.
        self._whole_only, self._lines_only = Ranges(), Ranges()

    def add(self, address: int, extent: Sequence[int], strides: Sequence[int]) -> None:
        """Adds bytes that lie regularly.

        Args:
            address: the first byte.
            extent: how many there are along each dimension.
            strides: bytes from one to the next.
        """
        window = _Window.of(address, extent, strides)
        if not window.run:
            return
        if self._is_long(window):
            for start, end in window.runs():
                self._whole.add(start, end)
                self._whole_only.add(start, end)
        elif window.is_of_lines:
            window.flags(self._lines, _LINE)[...] = True
            self._lines_only.add(window.start, window.end)
        else:
            window.flags(self._bytes)[...] = True

    def hold(self, address: int, extent: Sequence[int], strides: Sequence[int]) -> bool:
        """Whether all of such bytes have been written."""
        window = _Window.of(address, extent, strides)
        if not window.run or self._whole.cover(window.start, window.end):
            return True
        if self._is_long(window) and all(self._whole.cover(*run) for run in window.runs()):
            return True
        if window.is_of_lines and window.flags(self._lines, _LINE).all():
            return True
        for start, end in self._whole_only.take(window.start, window.end):
            self._bytes[start:end] = True
        for start, end in self._lines_only.take(window.start, window.end):
            lines = self._lines[start // _LINE : end // _LINE]
            self._bytes[start:end] |= np.repeat(lines, _LINE)
        return bool(window.flags(self._bytes).all())

    def _is_long(self, window: _Window) -> bool:
        if not window.outer:
            return True
        return window.run >= self._least_run and window.count <= _MOST_RUNS


@dataclass(frozen=True)
class _Window:
    """Runs of bytes that lie regularly.

    Attributes:
        start: the first byte.
        run: bytes of each run; 0: it is empty.
        outer: how many runs there are along each dimension, and the bytes from one to the next.
    """

    start: int
    run: int
    outer: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, address: int, extent: Sequence[int], strides: Sequence[int]) -> _Window:
        """The longest runs that dimensions make."""
        run, outer = 1, list[tuple[int, int]]()
        # Backwards they are the same bytes, from the other end.
        pairs = list(zip(strides, extent, strict=True))
        address += sum((n - 1) * stride for stride, n in pairs if stride < 0 < n)
        for stride, n in sorted((abs(stride), n) for stride, n in pairs):
            if stride == run and not outer:
                run *= n
            elif n == 0:
                run = 0
            elif n > 1 and stride:
                outer.append((n, stride))
        return cls(address, run, tuple(outer))

    @property
    def end(self) -> int:
        """Behind the last byte."""
        return self.start + self.run + sum((n - 1) * stride for n, stride in self.outer)

    @property
    def count(self) -> int:
        """How many runs there are."""
        return int(np.prod([n for n, _ in self.outer], dtype=np.int64))

    @property
    def is_of_lines(self) -> bool:
        """Whether all of it begins and ends on multiples of a line."""
        return not any(n % _LINE for n in (self.start, self.run, *(s for _, s in self.outer)))

    def runs(self) -> list[tuple[int, int]]:
        """Each run's [start, end)."""
        starts = np.array([self.start])
        for n, stride in self.outer:
            starts = np.add.outer(starts, np.arange(n) * stride).reshape(-1)
        return [(start, start + self.run) for start in starts.tolist()]

    def flags(self, flags: Flags, unit: int = 1) -> Flags:
        """A view of flags that stand for so many bytes each."""
        shape = (*(n for n, _ in self.outer), self.run // unit)
        strides = (*(stride // unit for _, stride in self.outer), 1)
        return np.ndarray(shape, np.bool_, flags.data, self.start // unit, strides)
