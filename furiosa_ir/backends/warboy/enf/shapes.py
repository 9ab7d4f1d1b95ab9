"""Shapes of accumulators, which commands leave unsaid."""

from __future__ import annotations

from furiosa_ir.backends.warboy.enf.records import Dot, Pool, Shape4


def accumulator_shape(command: Dot | Pool) -> Shape4:
    """(N, H, W, C) of a kernel's accumulators.

    Raises:
        ValueError: the kernel does not fit its input window.
    """
    n, h, w, c = command.x.extent
    if isinstance(command, Pool):
        kernel, spread, outputs = command.window, (1, 1), c
    else:
        if command.batched:
            return n, h, w, command.operands[0].extent[2]
        outputs, *kernel, _ = command.weight_shape
        spread = command.input_dilation
    top, left, bottom, right = command.pads
    extents: list[int] = []
    for i, (size, before, after) in enumerate(((h, top, bottom), (w, left, right))):
        padded = (size - 1) * spread[i] + 1 + before + after
        room = padded - ((kernel[i] - 1) * command.dilations[i] + 1)
        if room < 0:
            raise ValueError(f"a window of {kernel[i]} does not fit {padded} elements")
        extents.append(room // command.strides[i] + 1)
    return n, extents[0], extents[1], outputs
