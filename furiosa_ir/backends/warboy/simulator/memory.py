"""SRAM and DRAM as arrays, and how tiles are gathered from them and scattered to them.

A tile lies sliced in SRAM; the arithmetic wants it dense as [N, H, W, C]. Between the two there is
one strided copy over `[Ho, Hi, Co, Ci, ...]` views: no loop over slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from furiosa_ir.backends.warboy.enf.records import (
    DramFlat,
    DramTile,
    DramView,
    SramFlat,
    SramTile,
)
from furiosa_ir.backends.warboy.enf.tile_blocks import cuts
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES
from furiosa_ir.numerics.array import Array
from furiosa_ir.pool import Pool


def address_of(array: Array) -> int:
    """Where an array's first element lies (numpy's `ctypes.data` takes a microsecond)."""
    return array.__array_interface__["data"][0]


_NOTHING: Array = np.empty(0, np.uint8)

# A slice's 256 KiB apart, the same address of all slices falls into one set of every cache.
_SLICE_SKEW = 320


class Memory:
    """What a run of a segment works in: SRAM `[slices, slice_bytes]` and the DRAM workspace.

    Nothing is cleared between runs, of whatever segments and programs: the checker has proved that
    each byte read was written, and that no run of a program overwrites what its set-up loaded.

    Attributes:
        sram: uint8 [slices, slice_bytes].
        workspace: uint8, as large as the segment asks.
        constants: uint8, read only, the segment's.
        set_up_of: whose set-up SRAM holds, by identity; None: nobody's.
    """

    def __init__(self, slices: int, slice_bytes: int) -> None:
        stride = slice_stride(slice_bytes)
        self.buffer = np.empty(slices * stride, np.uint8)
        self.sram = self.buffer.reshape(slices, stride)[:, :slice_bytes]
        self._space = self._scratch = self.workspace = self.constants = _NOTHING
        self._sram_address = address_of(self.buffer)
        self._scratch_address = 0
        self.set_up_of: object = None

    @contextmanager
    def serving(self, workspace_bytes: int, constants: Array) -> Generator[Memory]:
        """The memory with a workspace of that size and these constants, which it then lets go."""
        if self._space.size < workspace_bytes:
            self._space = np.empty(workspace_bytes, np.uint8)
        self.workspace, self.constants = self._space[:workspace_bytes], constants
        yield self
        self.constants = _NOTHING

    def addresses(self) -> tuple[int, int, int]:
        """Where SRAM, workspace and constants lie, for compiled kernels."""
        return self._sram_address, address_of(self.workspace), address_of(self.constants)

    def scratch(self, size: int) -> int:
        """The address of at least `size` bytes of any content that a command may work in."""
        if self._scratch.size < size:
            self._scratch = np.empty(size, np.uint8)
            self._scratch_address = address_of(self._scratch)
        return self._scratch_address

    def region(self, name: str) -> Array:
        """The bytes of a DRAM region."""
        return self.constants if name == "constant" else self.workspace

    def dram(self, side: DramTile | DramView) -> Array:
        """A strided view of DRAM; a ValueError if it leaves its region."""
        region = self.region(side.region)
        # numpy takes the address of the first element and checks the bounds, also of negative
        # strides.
        return np.ndarray(
            side.extent, DTYPES[side.element], region.data, side.address, side.strides
        )

    def dram_bytes(self, side: DramFlat) -> Array:
        """Consecutive bytes of DRAM."""
        return self.region(side.region)[side.address : side.address + side.size]

    def write_flat(self, target: SramFlat, data: Array) -> None:
        """Stripes `data` (uint8 [size]) over the slices."""
        whole, rest = divmod(target.size, target.slice_bytes)
        here, size = target.address, target.slice_bytes
        cut = whole * size
        self.sram[:whole, here : here + size] = data[:cut].reshape(whole, size)
        if rest:
            self.sram[whole, here : here + rest] = data[cut:]

    def read_flat(self, source: SramFlat) -> Array:
        """The parameter's bytes, uint8 [size]."""
        used = -(-source.size // source.slice_bytes)
        striped = self.sram[:used, source.address : source.address + source.slice_bytes]
        return striped.reshape(-1)[: source.size]


def slice_stride(slice_bytes: int) -> int:
    """How many bytes apart the slices lie in `Memory.buffer`."""
    return slice_bytes + _SLICE_SKEW


_POOLS: WeakValueDictionary[tuple[int, int], Pool[Memory]] = WeakValueDictionary()


def memory_pool(slices: int, slice_bytes: int) -> Pool[Memory]:
    """The memories of all programs for such a machine: there are as many as runs go on at once.

    They are freed with the last program's simulator, which refers to their pool.
    """
    pool = _POOLS.get((slices, slice_bytes))
    if pool is None:
        pool = _POOLS[slices, slice_bytes] = Pool(lambda: Memory(slices, slice_bytes))
    return pool


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a window that lies alike in all slices concerned, as a 6-dimensional view.

    Attributes:
        offset: of the first byte in `Memory.buffer`.
        strides: bytes along (N, Ho, Hi, W, Co, Ci).
        split: extents along the same.
        rows, channels: where it lies in the dense window.
    """

    offset: int
    strides: tuple[int, ...]
    split: tuple[int, ...]
    rows: slice
    channels: slice


class TileAccess:
    """Gathers and scatters one tile; made once, used in every run.

    Attributes:
        extent, dtype, element: the window's shape, its elements' type and bytes.
        blocks: where it lies.

    Args:
        tile: the window.
        slice_stride: see `slice_stride`.
    """

    def __init__(self, tile: SramTile, slice_stride: int) -> None:
        self.extent = tile.extent
        self.element = tile.element
        self.dtype = DTYPES[tile.element]
        _, h, _, c = tile.shape
        ho, co = tile.slices
        block_h, block_c = -(-h // ho), -(-c // co)
        _, local_h, local_b, local_c = tile.local_shape
        inner = tile.element
        if tile.order == "HCW":
            step_w, step_c = inner, local_c * inner
        else:
            step_w, step_c = local_c * inner, inner
        step_h = local_b * local_c * inner
        step_n = local_h * step_h
        if tile.images > 1:
            step_n = ho * co * slice_stride
        n0, h0, w0, c0 = tile.offset
        n, eh, w, ec = tile.extent
        strides = (step_n, co * slice_stride, step_h, step_w, slice_stride, step_c)
        self.blocks: list[Block] = []
        row = 0
        for first_h, blocks_h, inner_h, rows in cuts(h0, eh, block_h):
            channel = 0
            for first_c, blocks_c, inner_c, channels in cuts(c0, ec, block_c):
                offset = tile.address + (tile.first + first_h * co + first_c) * slice_stride
                offset += n0 * step_n + inner_h * step_h + w0 * step_w + inner_c * step_c
                self.blocks.append(
                    Block(
                        offset,
                        strides,
                        (n, blocks_h, rows, w, blocks_c, channels),
                        slice(row, row + blocks_h * rows),
                        slice(channel, channel + blocks_c * channels),
                    )
                )
                channel += blocks_c * channels
            row += blocks_h * rows
        # Slices' channels that lie side by side in SRAM move several at a time.
        self._unit = tile.element
        if tile.order == "HWC":
            steps = [b.split[5] * inner for b in self.blocks]
            starts = [b.offset for b in self.blocks]
            self._unit = math.gcd(8, *steps, *starts)

    def gather(self, memory: Memory, dense: Array) -> None:
        """SRAM to `dense` [N, H, W, C] (of the window's extent, any strides)."""
        self._copy(memory, dense, into_sram=False)

    def scatter(self, memory: Memory, dense: Array) -> None:
        """`dense` [N, H, W, C] to SRAM."""
        self._copy(memory, dense, into_sram=True)

    def read(self, memory: Memory) -> Array:
        """A dense copy [N, H, W, C]."""
        dense = np.empty(self.extent, self.dtype)
        self.gather(memory, dense)
        return dense

    def _copy(self, memory: Memory, dense: Array, *, into_sram: bool) -> None:
        unit = self._unit if dense.strides[3] == self.dtype.itemsize else self.dtype.itemsize
        dtype = _UNITS[unit]
        scale = unit // self.dtype.itemsize
        for block in self.blocks:
            part = dense[:, block.rows, :, block.channels]
            if scale > 1:
                part = part.view(dtype)
            else:
                part = part.view(dtype) if part.dtype != dtype else part
            *outer, channels = block.split
            split = (*outer, channels // scale)
            strides = (*block.strides[:5], unit if scale > 1 else block.strides[5])
            sliced = np.ndarray(split, dtype, memory.buffer.data, block.offset, strides)
            # Splitting dimensions never needs a copy, whatever the strides.
            if into_sram:
                np.copyto(sliced, part.reshape(split))
            else:
                np.copyto(part.reshape(split), sliced)


_UNITS: dict[int, np.dtype[Any]] = {
    size: np.dtype(f"<u{size}") if size in (2, 4, 8) else np.dtype(np.uint8)
    for size in (1, 2, 4, 8)
}

Step: TypeAlias = Callable[[Memory], None]
"""A command made ready: it runs on any `Memory`."""
