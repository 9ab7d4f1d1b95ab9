"""What lies in memory when, and which layer's results each layer reads: the commands tell both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    def overlaps(self, place: SramPlace) -> bool:
        mine, its = self.place, place
        return (
            mine.address < its.address + its.slice_bytes
            and its.address < mine.address + mine.slice_bytes
        )


class MemoryWalk:
    """Follows the commands in order of issue.

    Args:
        program: whose segments are walked, each from `begin` to `finish`.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._layers = len(program.layers)
        self._live: list[_Live] = []
        self._ended: list[_Live] = []
        self._edges: dict[tuple[_Node, _Node], None] = {}
        # Who wrote each byte of the workspace: a node plus 1, or 0. Pages that nothing touches
        # take no memory.
        self._writers: Array = np.zeros(0, np.int32)

    def begin(self, segment: NpuSegment) -> None:
        """A segment's inputs are in its workspace."""
        self._writers = np.zeros(segment.workspace_bytes, np.int32)
        for binding in segment.inputs:
            self._bound(binding)[...] = self._tensor(binding) + 1

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
            makers |= self._found(self._window(source))
        written = kind.sram_written(command)
        if isinstance(command, Load):
            # Who loads is no maker: the kernel that reads it asks for the data's own.
            assert written is not None
            is_constant = isinstance(command.source, DramFlat) or not makers
            self._write(written, "weights" if is_constant else "input", layer, start, end, makers)
            return bool(makers) and min(makers) >= self._layers
        for maker in makers - {layer}:
            self._edges[maker, layer] = None
        if written is not None:
            self._write(written, "result", layer, start, end, {layer})
        if target is not None:
            self._window(target)[...] = layer + 1
        return False

    def finish(self, segment: NpuSegment) -> None:
        """A segment has ended: its outputs are in its workspace."""
        for binding in segment.outputs:
            for maker in self._found(self._bound(binding)):
                self._edges[maker, self._tensor(binding)] = None
        self._ended += self._live
        self._live = []

    def buffers(self) -> tuple[Buffer, ...]:
        """The rectangles of SRAM."""
        lives = sorted(self._ended, key=lambda live: (live.start, live.place.address))
        return tuple(
            Buffer(
                what=live.what,
                layer=live.layer,
                address=live.place.address,
                size=live.place.slice_bytes,
                start=live.start,
                end=live.end,
            )
            for live in lives
        )

    def flow(self) -> tuple[tuple[int, int], ...]:
        """(layer, layer): the second reads what the first makes."""
        return tuple((a, b) for a, b in self._edges if max(a, b) < self._layers)

    def takes(self) -> tuple[tuple[int, int], ...]:
        """(tensor, layer): the layer reads the tensor."""
        n = self._layers
        return tuple((a - n, b) for a, b in self._edges if b < n <= a)

    def makes(self) -> tuple[tuple[int, int], ...]:
        """(layer, tensor): the layer makes the tensor."""
        n = self._layers
        return tuple((a, b - n) for a, b in self._edges if a < n <= b)

    def _tensor(self, binding: Binding) -> _Node:
        return self._layers + binding.tensor

    def _bound(self, binding: Binding) -> Array:
        size = tensor_bytes(self._program, binding)
        return self._writers[binding.address : binding.address + size]

    def _window(self, side: DramPlace) -> Array:
        """The writers of a window of the workspace."""
        if isinstance(side, DramFlat):
            return self._writers[side.address : side.address + side.size]
        axes = [(n, s) for n, s in zip(side.extent, side.strides, strict=True) if n > 1 and s]
        extent = [n for n, _ in axes] + [side.element]
        strides = [s for _, s in axes] + [1]
        item = self._writers.itemsize
        return np.lib.stride_tricks.as_strided(
            self._writers[side.address :], extent, [item * stride for stride in strides]
        )

    @staticmethod
    def _found(writers: Array) -> set[_Node]:
        if not writers.size:
            return set()
        counts = np.bincount(writers.reshape(-1))
        return {int(node) - 1 for node in np.flatnonzero(counts) if node}

    def _lives(self, place: SramPlace) -> Iterable[_Live]:
        """What a command reads there: the buffer it is a window of, or else all beneath it."""
        exact = [live for live in self._live if live.holds(place)]
        return exact or [live for live in self._live if live.overlaps(place)]

    def _write(
        self, place: SramPlace, what: str, layer: int, start: int, end: int, makers: set[_Node]
    ) -> None:
        window = _window(place)
        for live in self._live:
            # A window that is written again is the buffer's next content.
            if live.holds(place) and window not in live.windows:
                live.windows.add(window)
                live.makers |= makers
                live.end = max(live.end, end)
                return
        kept: list[_Live] = []
        for live in self._live:
            if live.overlaps(place):
                # In place, a kernel reads what it replaces.
                live.end = min(live.end, max(start, live.start))
                self._ended.append(live)
            else:
                kept.append(live)
        kept.append(_Live(place, what, layer, start, end, {window}, set(makers)))
        self._live = kept


def tensor_bytes(program: Program, binding: Binding) -> int:
    """Bytes of an input or output."""
    tensor = program.tensors[binding.tensor]
    return prod(tensor.shape) * np.dtype(tensor.dtype).itemsize


def _whole(place: SramPlace) -> Sequence[object]:
    """What two windows of one buffer have in common."""
    if isinstance(place, SramFlat):
        return place.address, place.size, place.slice_bytes
    return place.address, place.shape, place.slices, place.order, place.element


def _window(place: SramPlace) -> object:
    return (place.offset, place.extent) if isinstance(place, SramTile) else None
