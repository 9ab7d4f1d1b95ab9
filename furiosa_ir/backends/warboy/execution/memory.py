"""What lies in memory when, and which layer's results each layer reads: the commands tell both."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import DramPlace, SramPlace, kind_of
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    DramFlat,
    Load,
    NpuSegment,
    SramFlat,
    SramTile,
)
from furiosa_ir.execution import Buffer
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding, Program

_Node: TypeAlias = int
"""A layer by its index, or a tensor behind all layers."""

PINNED = "pinned weights"
"""What a session's set-up has loaded."""

_MOST_BYTES = 1 << 30
"""Of a workspace whose bytes are followed, and of all that is moved there: some seconds of work.
Beyond, who reads whose results is not known."""


@dataclass
class _Live:
    """Bytes of SRAM whose content somebody may read yet.

    Attributes:
        place: whose window is nothing of it.
        what, layer: as of `Buffer`.
        start, end: as of `Buffer`, as far as is known.
        windows: what has been written of it.
        makers: whose results it holds.
    """

    place: SramPlace
    what: str
    layer: int
    start: int
    end: int
    windows: set[object] = field(default_factory=set[object])
    makers: set[_Node] = field(default_factory=set[_Node])

    def holds(self, place: SramPlace) -> bool:
        """Whether the place is a window of this buffer."""
        return _whole(place) == _whole(self.place)


class _Sram:
    """The buffers of the moment by their addresses: no two of them overlap."""

    def __init__(self) -> None:
        self._addresses: list[int] = []
        self._lives: list[_Live] = []

    def overlapping(self, place: SramPlace) -> list[_Live]:
        """Those that share bytes with a place."""
        low, high = self._range(place)
        return self._lives[low:high]

    def replace(self, live: _Live) -> list[_Live]:
        """Puts a buffer there; returns those whose place it takes."""
        low, high = self._range(live.place)
        gone = self._lives[low:high]
        self._lives[low:high] = [live]
        self._addresses[low:high] = [live.place.address]
        return gone

    def clear(self) -> list[_Live]:
        """Takes all of them out."""
        gone, self._lives, self._addresses = self._lives, [], []
        return gone

    def _range(self, place: SramPlace) -> tuple[int, int]:
        low = bisect_right(self._addresses, place.address)
        if low:
            before = self._lives[low - 1].place
            low -= before.address + before.slice_bytes > place.address
        return low, max(low, bisect_left(self._addresses, place.address + place.slice_bytes))


class _Workspace:
    """Who wrote each byte of a segment's workspace, as long as that costs a bounded time.

    Args:
        size: of the workspace in bytes. Pages that nothing touches take no memory.
    """

    def __init__(self, size: int) -> None:
        self._writers: Array = np.zeros(min(size, _MOST_BYTES), np.int32)
        self._left = _MOST_BYTES if size <= _MOST_BYTES else 0

    @property
    def is_known(self) -> bool:
        """Whether everything that was asked could be answered."""
        return self._left > 0

    def write(self, side: DramPlace, node: _Node) -> None:
        """The node writes a window."""
        if self._take(side):
            self._window(side)[...] = node + 1

    def writers(self, side: DramPlace) -> set[_Node]:
        """The nodes that wrote what is in a window."""
        if not self._take(side):
            return set()
        counts = np.bincount(self._window(side).reshape(-1))
        return {int(node) - 1 for node in np.flatnonzero(counts) if node}

    def _take(self, side: DramPlace) -> bool:
        size = side.size if isinstance(side, DramFlat) else prod(side.extent) * side.element
        self._left -= size
        return self._left > 0 and size > 0

    def _window(self, side: DramPlace) -> Array:
        if isinstance(side, DramFlat):
            return self._writers[side.address : side.address + side.size]
        axes = [(n, s) for n, s in zip(side.extent, side.strides, strict=True) if n > 1 and s]
        extent = [n for n, _ in axes] + [side.element]
        strides = [s for _, s in axes] + [1]
        item = self._writers.itemsize
        return np.lib.stride_tricks.as_strided(
            self._writers[side.address :], extent, [item * stride for stride in strides]
        )


class MemoryWalk:
    """Follows the commands in order of issue.

    Args:
        program: whose segments are walked, each from `begin` to `finish`.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._layers = len(program.layers)
        self._sram = _Sram()
        self._workspace = _Workspace(0)
        self._ended: list[_Live] = []
        self._edges: dict[tuple[_Node, _Node], None] = {}
        self._is_known = True

    def begin(self, segment: NpuSegment) -> None:
        """A segment's inputs are in its workspace."""
        self._workspace = _Workspace(segment.workspace_bytes)
        for command in segment.commands[: segment.setup]:
            self.command(command, 0, 0)
            place = kind_of(command).sram_written(command)
            assert place is not None, "a set-up loads"
            for live in self._sram.overlapping(place):
                live.what = PINNED
        for binding in segment.inputs:
            self._workspace.write(self._bytes_of(binding), self._tensor(binding))

    def command(self, command: Command, start: int, end: int) -> bool:
        """The next command, which runs from `start` to `end` (cycles).

        Returns:
            Whether it loads inputs of its segment, and nothing else.
        """
        kind, layer = kind_of(command), command.layer
        makers: set[_Node] = set()
        for place in kind.sram_read(command):
            for live in self._lives(place):
                live.end = max(live.end, end)
                makers |= live.makers
        source, target = kind.dram_read(command), kind.dram_written(command)
        if source is not None and source.region == "workspace":
            makers |= self._workspace.writers(source)
        written = kind.sram_written(command)
        if isinstance(command, Load):
            # Who loads is no maker: the kernel that reads it asks for the data's own.
            assert written is not None
            is_constant = command.source.region == "constant"
            self._write(written, "weights" if is_constant else "input", layer, start, end, makers)
            return bool(makers) and min(makers) >= self._layers
        for maker in makers - {layer}:
            self._edges[maker, layer] = None
        if written is not None:
            self._write(written, "result", layer, start, end, {layer})
        if target is not None:
            self._workspace.write(target, layer)
        return False

    def finish(self, segment: NpuSegment) -> None:
        """A segment has ended: its outputs are in its workspace."""
        for binding in segment.outputs:
            for maker in self._workspace.writers(self._bytes_of(binding)):
                self._edges[maker, self._tensor(binding)] = None
        self._ended += self._sram.clear()
        self._is_known = self._is_known and self._workspace.is_known

    def buffers(self, end: int) -> tuple[Buffer, ...]:
        """The rectangles of SRAM; what is pinned lies there until `end`, the end of the run."""
        lives = sorted(self._ended, key=lambda live: (live.start, live.place.address))
        return tuple(
            Buffer(
                what=live.what,
                layer=live.layer,
                address=live.place.address,
                size=live.place.slice_bytes,
                start=live.start,
                end=end if live.what == PINNED else live.end,
            )
            for live in lives
        )

    def flow(self) -> tuple[tuple[int, int], ...]:
        """(layer, layer): the second reads what the first makes; none if that is not known."""
        if not self._is_known:
            return ()
        return tuple((a, b) for a, b in self._edges if max(a, b) < self._layers)

    def takes(self) -> tuple[tuple[int, int], ...]:
        """(tensor, layer): the layer reads the tensor; none if that is not known."""
        if not self._is_known:
            return ()
        n = self._layers
        return tuple((a - n, b) for a, b in self._edges if b < n <= a)

    def makes(self) -> tuple[tuple[int, int], ...]:
        """(layer, tensor): the layer makes the tensor; none if that is not known."""
        if not self._is_known:
            return ()
        n = self._layers
        return tuple((a, b - n) for a, b in self._edges if a < n <= b)

    def _tensor(self, binding: Binding) -> _Node:
        return self._layers + binding.tensor

    def _bytes_of(self, binding: Binding) -> DramFlat:
        return DramFlat("workspace", binding.address, tensor_bytes(self._program, binding))

    def _lives(self, place: SramPlace) -> list[_Live]:
        """What a command reads there: the buffer it is a window of, or else all beneath it."""
        found = self._sram.overlapping(place)
        return [live for live in found if live.holds(place)] or found

    def _write(
        self, place: SramPlace, what: str, layer: int, start: int, end: int, makers: set[_Node]
    ) -> None:
        window = _window(place)
        for live in self._sram.overlapping(place):
            # A window that is written again is the buffer's next content.
            if live.holds(place) and window not in live.windows:
                live.windows.add(window)
                live.makers |= makers
                live.end = max(live.end, end)
                return
        for gone in self._sram.replace(_Live(place, what, layer, start, end, {window}, makers)):
            # In place, a kernel reads what it replaces.
            gone.end = min(gone.end, max(start, gone.start))
            self._ended.append(gone)


def tensor_bytes(program: Program, binding: Binding) -> int:
    """Bytes of an input or output."""
    tensor = program.tensors[binding.tensor]
    return prod(tensor.shape) * np.dtype(tensor.dtype).itemsize


def _whole(place: SramPlace) -> Sequence[object]:
    """What two windows of one buffer have in common."""
    if isinstance(place, SramFlat):
        return place.address, place.size, place.slice_bytes
    layout = place.first, place.images, place.slices, place.order
    return place.address, place.shape, *layout, place.element


def _window(place: SramPlace) -> object:
    return (place.offset, place.extent) if isinstance(place, SramTile) else None
