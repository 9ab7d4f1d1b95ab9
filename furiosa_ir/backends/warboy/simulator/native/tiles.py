"""Words of places in memory, and of the commands that move data (`source/tiles.h`).

Whatever the kernels read or write lies within its memory: that is checked here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from furiosa_ir.backends.warboy.enf.records import (
    Copy,
    DramFlat,
    DramTile,
    DramView,
    Load,
    SramFlat,
    SramTile,
    Store,
)
from furiosa_ir.backends.warboy.simulator.memory import TileAccess, slice_stride
from furiosa_ir.backends.warboy.simulator.native.words import NoWords, Words

MOVE_TILE, LOAD_FLAT, COPY = range(3)
_REGIONS = {"constant": 0, "workspace": 1}


@dataclass(frozen=True)
class Sizes:
    """How large the memories are: of SRAM slices and their bytes, of DRAM regions their bytes."""

    slices: int
    slice_bytes: int
    workspace: int
    constants: int

    @property
    def stride(self) -> int:
        """From slice to slice."""
        return slice_stride(self.slice_bytes)

    def region(self, name: str) -> int:
        """Bytes of a DRAM region."""
        return self.constants if name == "constant" else self.workspace


def dense_strides(extent: Sequence[int], element: int) -> tuple[int, int, int, int]:
    """Bytes along (N, H, W, C) of a contiguous array."""
    _, h, w, c = extent
    return h * w * c * element, w * c * element, c * element, element


def put_tile(words: Words, tile: TileAccess, sizes: Sizes) -> None:
    """A tile's blocks."""
    words.put(tile.element, len(tile.blocks))
    end = sizes.slices * sizes.stride
    for block in tile.blocks:
        reach = sum(s * (e - 1) for s, e in zip(block.strides, block.split, strict=True))
        _check_within(block.offset, block.offset + reach + tile.element, end)
        words.put(
            block.offset, *block.split, *block.strides, block.rows.start, block.channels.start
        )


def _check_within(first: int, end: int, size: int) -> None:
    """Leaves what is outside its memory to numpy, which says so when it is reached."""
    if first < 0 or end > size:
        raise NoWords("an address lies outside its memory")


def _check_writable(region: str) -> None:
    if region != "workspace":
        raise NoWords("nothing writes constants")


def _check_region(
    region: str, address: int, spans: Sequence[tuple[int, int]], element: int, sizes: Sizes
) -> tuple[int, int]:
    """The least and the greatest byte of [(extent, stride)], which lie within the region."""
    first = address + sum(min(s * (e - 1), 0) for e, s in spans)
    end = address + sum(max(s * (e - 1), 0) for e, s in spans) + element
    _check_within(first, end, sizes.region(region))
    return first, end


def put_tile_move(words: Words, command: Load | Store, sizes: Sizes) -> None:
    """A load or store of a tile."""
    into_sram = isinstance(command, Load)
    sliced = cast("SramTile", command.target if into_sram else command.source)
    dram = cast("DramTile", command.source if into_sram else command.target)
    if dram.element != sliced.element or dram.extent != sliced.extent:
        raise NoWords("the two sides differ")
    if not into_sram:
        _check_writable(dram.region)
    spans = list(zip(dram.extent, dram.strides, strict=True))
    _check_region(dram.region, dram.address, spans, dram.element, sizes)
    words.put(MOVE_TILE, int(into_sram), _REGIONS[dram.region], dram.address, *dram.strides)
    put_tile(words, TileAccess(sliced, sizes.stride), sizes)


def put_flat_load(words: Words, command: Load, sizes: Sizes) -> None:
    """A load of parameters."""
    source, target = cast("DramFlat", command.source), cast("SramFlat", command.target)
    _check_within(source.address, source.address + source.size, sizes.region(source.region))
    _check_within(target.address, target.address + target.slice_bytes, sizes.slice_bytes)
    _check_within(0, source.size, target.slice_bytes * sizes.slices)
    if source.size != target.size:
        raise NoWords("the two sides differ")
    words.put(
        LOAD_FLAT, _REGIONS[source.region], source.address, source.size, target.address,
        target.slice_bytes, sizes.stride,
    )  # fmt: skip


def put_copy(words: Words, command: Copy, sizes: Sizes) -> None:
    """A copy within DRAM: as few dimensions as describe it, the target's smallest stride last."""
    source, target = command.source, command.target
    if source.element != target.element or source.extent != target.extent:
        raise NoWords("the two sides differ")
    _check_writable(target.region)
    spans = [_view_spans(view, sizes) for view in (source, target)]
    same = source.region == target.region
    if same and spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]:
        raise NoWords("source and target may overlap")
    dimensions = _merged(
        [
            (extent, to_step, from_step)
            for extent, to_step, from_step in zip(
                target.extent, target.strides, source.strides, strict=True
            )
            if extent != 1
        ]
    )
    dimensions = [(1, 0, 0)] * (2 - len(dimensions)) + dimensions
    words.put(COPY, _REGIONS[target.region], target.address)
    words.put(_REGIONS[source.region], source.address, source.element, len(dimensions))
    for column in zip(*dimensions, strict=True):
        words.put(*column)


def _view_spans(view: DramView, sizes: Sizes) -> tuple[int, int]:
    spans = list(zip(view.extent, view.strides, strict=True))
    return _check_region(view.region, view.address, spans, view.element, sizes)


def _merged(dimensions: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(extent, target stride, source stride) in falling order of target strides.

    Neighbours that are one dimension on both sides are one; the source's smallest stride stands
    next to last.
    """
    merged: list[tuple[int, int, int]] = []
    for extent, to_step, from_step in sorted(dimensions, key=lambda d: -abs(d[1])):
        if merged:
            outer, outer_to, outer_from = merged[-1]
            if (outer_to, outer_from) == (to_step * extent, from_step * extent):
                merged[-1] = (outer * extent, to_step, from_step)
                continue
        merged.append((extent, to_step, from_step))
    if len(merged) > 2:
        place = min(range(len(merged) - 1), key=lambda i: abs(merged[i][2]) or 1 << 62)
        if abs(merged[place][2]) < abs(merged[-1][2]):
            merged.insert(-1, merged.pop(place))
    return merged
