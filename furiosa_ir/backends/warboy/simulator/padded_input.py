"""What the kernels with windows read: a tile with its padding."""

from __future__ import annotations

import numpy as np

from furiosa_ir.backends.warboy.simulator.memory import Memory, TileAccess
from furiosa_ir.numerics.array import Array


class PaddedInput:
    """The input window with its padding, and with zeros between for an input dilation.

    Attributes:
        buffer: (N, H, W, C) of the array that holds it.
        plain: whether the tile fills that.
        first: (row, column) where the tile begins in it.
        cropped: (rows, columns) of it that negative pads take away in front.

    Args:
        extent: of the input tile's window.
        tile: access to it.
        pads: (top, left, bottom, right), negative ones crop.
        input_dilation: (H, W).
        fill: what the padding holds.
    """

    def __init__(
        self,
        extent: tuple[int, int, int, int],
        tile: TileAccess,
        pads: tuple[int, int, int, int],
        input_dilation: tuple[int, int],
        fill: int,
    ) -> None:
        n, h, w, c = extent
        dilation_h, dilation_w = input_dilation
        spread_h, spread_w = (h - 1) * dilation_h + 1, (w - 1) * dilation_w + 1
        top, left, bottom, right = (max(p, 0) for p in pads)
        self._tile = tile
        self._fill = fill
        self.plain = (h, w) == (spread_h + top + bottom, spread_w + left + right)
        self.buffer = (n, spread_h + top + bottom, spread_w + left + right, c)
        self._inner = (
            slice(None),
            slice(top, top + spread_h, dilation_h),
            slice(left, left + spread_w, dilation_w),
        )
        self.first = top, left
        crop_top, crop_left, crop_bottom, crop_right = (max(-p, 0) for p in pads)
        self.cropped = crop_top, crop_left
        self._crop = (
            slice(None),
            slice(crop_top, self.buffer[1] - crop_bottom),
            slice(crop_left, self.buffer[2] - crop_right),
        )
        _, rows, columns, _ = self.buffer
        self.shape = (
            n,
            rows - crop_top - crop_bottom,
            columns - crop_left - crop_right,
            c,
        )

    def read(self, memory: Memory) -> Array:
        """int8 [N, H + pads, W + pads, C]."""
        buffer = np.empty(self.buffer, np.int8)
        if not self.plain:
            buffer.fill(self._fill)
        self._tile.gather(memory, buffer[self._inner])
        return buffer[self._crop]
