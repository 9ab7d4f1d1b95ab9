"""Strided slices with masks, as TFLite writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from furiosa_ir.ir.shaped_operation import Shape


@dataclass(frozen=True)
class SliceMasks:
    """The masks of STRIDED_SLICE: bit i speaks of entry i of begin, end and strides."""

    begin: int
    end: int
    ellipsis: int
    new_axis: int
    shrink_axis: int
    offset: bool = False
    """Whether `end` counts from `begin`."""


def resolve_strided_slice(
    shape: Shape,
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
    masks: SliceMasks,
) -> tuple[list[int], list[int], list[int], list[int]] | None:
    """starts, ends and steps for every dimension of x, and the extents that result.

    The extents are those after the dropped (shrink_axis) and added (new_axis) dimensions. With a
    negative step an end of -1 means "past the first element". None for more than one ellipsis, for
    one that stands for nothing (LiteRT's always stands for a dimension) and for a dropped dimension
    whose index is out of range.
    """
    if masks.ellipsis & (masks.ellipsis - 1):
        return None
    starts: list[int] = []
    ends: list[int] = []
    steps: list[int] = []
    extents: list[int] = []
    for i in range(len(begin)):
        bit = 1 << i
        if masks.ellipsis & bit:
            # It stands for as many whole dimensions as the other entries leave over.
            rest = sum(1 for j in range(i + 1, len(begin)) if not masks.new_axis >> j & 1)
            if len(starts) >= len(shape) - rest:
                return None
            for extent in shape[len(starts) : len(shape) - rest]:
                _append(starts, ends, steps, (0, extent, 1))
                extents.append(extent)
            continue
        if masks.new_axis & bit:
            extents.append(1)
            continue
        if len(starts) >= len(shape):
            return None
        extent = shape[len(starts)]
        step = strides[i]
        if step == 0:
            return None
        shrink = bool(masks.shrink_axis & bit)
        first, last = begin[i], end[i]
        if masks.offset:
            last += first
        if shrink:
            first += extent if first < 0 else 0
            if masks.begin & bit:
                first = 0 if step > 0 else extent - 1
            if not 0 <= first < extent:
                return None
            _append(starts, ends, steps, (first, first + 1, 1))
            continue
        bounds = _bounds(
            extent, None if masks.begin & bit else first, None if masks.end & bit else last, step
        )
        _append(starts, ends, steps, bounds)
        extents.append(len(range(*bounds)))
    for extent in shape[len(starts) :]:
        _append(starts, ends, steps, (0, extent, 1))
        extents.append(extent)
    return starts, ends, steps, extents


def _append(
    starts: list[int], ends: list[int], steps: list[int], bounds: tuple[int, int, int]
) -> None:
    starts.append(bounds[0])
    ends.append(bounds[1])
    steps.append(bounds[2])


def _bounds(extent: int, first: int | None, last: int | None, step: int) -> tuple[int, int, int]:
    return slice(first, last, step).indices(extent)
