"""Which layers of a run may be carried out at the same time, as far as the commands tell.

A layer needs another if it reads what that has written, at once or through others. What is read of
SRAM counts, where the very buffer was written before; so a layer that reads through DRAM, or under
another layout, seems to need nothing. Who asks for a bound may be told of too few needs, but of
none that there is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from furiosa_ir.backends.warboy.enf.commands import kind_of
from furiosa_ir.backends.warboy.enf.records import Command, Shape4, SramTile

_ORIGIN: Shape4 = (0, 0, 0, 0)

_Written = dict[SramTile, list[tuple[SramTile, int]]]
"""Buffer -> the windows of it that have been written, and by which layer."""


def free_layers(run: Sequence[Command]) -> frozenset[int]:
    """The layers that another one neither needs nor is needed by.

    Args:
        run: a segment's commands, in order of issue.
    """
    written: _Written = {}
    needed: dict[int, int] = {}
    bit: dict[int, int] = {}
    for command in run:
        kind = kind_of(command)
        if kind.engine != "npu":
            continue
        layer = command.layer
        mine = bit.setdefault(layer, 1 << len(bit))
        bits = needed.get(layer, 0)
        for place in kind.sram_read(command):
            if isinstance(place, SramTile):
                for window, writer in written.get(_buffer(place), ()):
                    if _meet(window, place):
                        bits |= bit[writer] | needed[writer]
        needed[layer] = bits & ~mine
        result = kind.sram_written(command)
        if isinstance(result, SramTile):
            _write(written, result, layer)
    count = len(bit)
    behind = dict.fromkeys(bit, 0)
    for bits in needed.values():
        for layer, mine in bit.items():
            behind[layer] += bool(bits & mine)
    return frozenset(
        layer for layer in bit if needed[layer].bit_count() + behind[layer] + 1 < count
    )


def _buffer(tile: SramTile) -> SramTile:
    return replace(tile, offset=_ORIGIN, extent=tile.shape)


def _meet(a: SramTile, b: SramTile) -> bool:
    """Whether two windows of one buffer share elements."""
    return all(
        x < y + m and y < x + n
        for x, n, y, m in zip(a.offset, a.extent, b.offset, b.extent, strict=True)
    )


def _write(written: _Written, tile: SramTile, layer: int) -> None:
    """Notes who wrote a window: what was there before is forgotten, in this buffer and others."""
    mine = _buffer(tile)
    end = tile.address + tile.slice_bytes
    for buffer in list(written):
        behind = buffer.address + buffer.slice_bytes
        if buffer != mine and buffer.address < end and tile.address < behind:
            del written[buffer]
    windows = [each for each in written.get(mine, ()) if not _meet(each[0], tile)]
    written[mine] = [*windows, (tile, layer)]
