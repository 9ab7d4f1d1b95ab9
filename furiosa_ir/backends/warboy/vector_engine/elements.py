"""What registers hold: signed integers of 1 (i8), 4 (i32) or 8 bytes (i48)."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np

from furiosa_ir.numerics.array import Array

Range: TypeAlias = tuple[int, int]
"""(least, greatest) value."""

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<i1"),
    4: np.dtype("<i4"),
    8: np.dtype("<i8"),
}
"""Bytes of an element -> how numpy holds it."""

LIMITS: dict[int, Range] = {
    1: (-128, 127),
    4: (-(1 << 31), (1 << 31) - 1),
    8: (-(1 << 63), (1 << 63) - 1),
}
"""Bytes of an element -> the least and the greatest that memory holds."""

_LOW_BYTE = 0 if sys.byteorder == "little" else 7


def low_bytes(lines: Array) -> Array:
    """The lowest byte of each element of `lines` (8 bytes each, [lines, elements]), as a view."""
    return lines.view(np.int8)[:, _LOW_BYTE::8]
