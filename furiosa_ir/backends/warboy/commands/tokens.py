"""What a command has to wait for: hazards on SRAM between the two engines."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import SramPlace, kind_of
from furiosa_ir.backends.warboy.enf.records import Command, SramTile

DMA, NPU = 0, 1
GRANULE = 32
"""Addresses in SRAM are multiples of this."""

GROUP = 8
"""Slices that are told apart from others, where images of a batch lie in slices of their own."""


Indices: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
"""An array of numbers."""

Granules: TypeAlias = slice | Indices
"""Which granules of a slice: a range, or numbers."""


class TokenTracker:
    """Finds the waits of commands in order of issue.

    Each engine works through its own commands in order, so a command waits for at most one command
    of the other engine: the last one that wrote what it reads, or read or wrote what it writes;
    and only if its engine has not waited for that one or a later one already. DRAM needs no
    tokens: only the DMA engine touches it.

    Args:
        slice_bytes: bytes of a slice.
        first: number of the first command: those before it have ended.
        slices: how many slices there are, if it matters in which of them something lies: images
            of a batch have slices of their own. 1: it does not.
    """

    def __init__(self, slice_bytes: int, first: int = 0, slices: int = 1) -> None:
        self._apart = slices > 1
        shape = 2, -(-slices // GROUP), -(-slice_bytes // GRANULE)
        # Number of the last command of each engine that wrote or read each granule.
        self._written = np.full(shape, -1, np.int32)
        self._read = np.full(shape, -1, np.int32)
        self._waited = [-1, -1]
        self._count = first

    def issue(self, command: Command) -> tuple[int, ...]:
        """The tokens that the next command waits for."""
        number, self._count = self._count, self._count + 1
        kind = kind_of(command)
        engine = DMA if kind.engine == "dma" else NPU
        other = 1 - engine
        latest = -1
        written = kind.sram_written(command)
        reads = [self._part(place) for place in kind.sram_read(command)]
        writes = [] if written is None else [self._part(written)]
        for part in reads:
            latest = max(latest, int(self._written[other][part].max()))
        for part in writes:
            latest = max(
                latest,
                int(self._written[other][part].max()),
                int(self._read[other][part].max()),
            )
        for part in reads:
            self._read[engine][part] = number
        for part in writes:
            self._written[engine][part] = number
        if latest <= self._waited[engine]:
            return ()
        self._waited[engine] = latest
        return (latest,)

    def _part(self, memory: SramPlace) -> tuple[slice, Granules]:
        """(groups of slices, granules of these) that a place takes."""
        if self._apart and isinstance(memory, SramTile) and memory.images > 1:
            return _groups(memory), _granules(memory)
        return slice(None), _granules(memory)


def _granules(memory: SramPlace) -> Granules:
    """The granules that a place takes of a slice: of a window those that any slice has of it.

    So the columns of a buffer can be loaded, worked on and stored one part after the other.
    """
    first = memory.address // GRANULE
    if isinstance(memory, SramTile) and memory.extent != memory.shape:
        return first + _of_window(memory)
    return slice(first, first + -(-memory.slice_bytes // GRANULE))


def _groups(tile: SramTile) -> slice:
    """The groups of slices that have a part of a window whose images lie apart."""
    first, end = tile.slice_range
    return slice(first // GROUP, -(-end // GROUP))


def _of_window(tile: SramTile) -> Indices:
    """The granules of a window, from the buffer's first one on."""
    images, rows, columns, channels = zip(tile.offset, tile.extent, strict=True)
    _, height, _, depth = tile.shape
    per_granule = GRANULE // tile.element
    local = (
        range(1) if tile.images > 1 else range(images[0], sum(images)),
        _local(*rows, -(-height // tile.slices[0])),
        range(columns[0], sum(columns)),
        _local(*channels, -(-depth // tile.slices[1])),
    )
    axes = local if tile.order == "HWC" else (local[0], local[1], local[3], local[2])
    innermost = np.unique(np.asarray(axes[3], np.intp) // per_granule)
    *outer, last = tile.local_shape
    lines = np.arange(prod(outer) * (last // per_granule)).reshape(*outer, -1)
    return lines[np.ix_(*map(np.asarray, axes[:3]), innermost)].ravel()


def _local(offset: int, extent: int, block: int) -> Sequence[int]:
    """Where, in blocks of this size, a range lies: in all of each if it is as long as one."""
    if extent >= block:
        return range(block)
    return sorted({(offset + i) % block for i in range(extent)})
