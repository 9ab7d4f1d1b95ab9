"""How a window of a tile falls to slices."""

from __future__ import annotations


def cuts(offset: int, extent: int, block: int) -> list[tuple[int, int, int, int]]:
    """[offset, offset + extent) cut at multiples of `block`.

    Partial blocks at the ends are pieces of their own; all whole ones between them are one.

    Returns:
        (first block, blocks, offset in each, extent in each) of the pieces, in order.
    """
    pieces: list[tuple[int, int, int, int]] = []
    end = offset + extent
    if offset % block:
        size = min(block - offset % block, extent)
        pieces.append((offset // block, 1, offset % block, size))
        offset += size
    if whole := (end - offset) // block:
        pieces.append((offset // block, whole, 0, block))
        offset += whole * block
    if offset < end:
        pieces.append((offset // block, 1, 0, end - offset))
    return pieces
