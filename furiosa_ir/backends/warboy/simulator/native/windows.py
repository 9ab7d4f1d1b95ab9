"""Words of windows (`source/windows.h`), and of pools and depthwise convolutions over them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Dot, Pool, Shape4
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.simulator.memory import TileAccess
from furiosa_ir.backends.warboy.simulator.native.epilogue_words import LINES, put_epilogue
from furiosa_ir.backends.warboy.simulator.native.instruction_words import Register
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes, put_tile
from furiosa_ir.backends.warboy.simulator.native.words import Words
from furiosa_ir.backends.warboy.simulator.padded_input import PaddedInput
from furiosa_ir.numerics.array import Array

DEPTHWISE, POOL = 5, 6

LANES = 16
"""Outputs of a block."""
_SLACK = 128
"""Bytes behind an array that vectors of its last pixel may read."""
_CHUNK_BYTES = 1 << 17
_CHUNK_PIXELS = 48


def put_window(
    words: Words,
    command: Dot | Pool,
    fill: int,
    flip: int,
    shape: Shape4,
    element: int,
    kind: int,
    sizes: Sizes,
    *,
    repeat: int = 1,
) -> tuple[PaddedInput, int]:
    """What stands in front of each kernel: the input, and how many pixels are done at a time.

    Args:
        words: of the command.
        command: the command.
        fill: what the padding holds.
        flip: bits that are flipped in every byte.
        shape, element: of the accumulator.
        kind: of the epilogue's program.
        sizes: of the memories.
        repeat: how often each channel stands in the array that pixels are read from.
    """
    tile = TileAccess(command.x, sizes.stride)
    spread = command.input_dilation if isinstance(command, Dot) else (1, 1)
    padded = PaddedInput(command.x.extent, tile, command.pads, spread, fill)
    _, rows, columns, channels = padded.buffer
    row = columns * channels
    size = prod(padded.buffer)
    top, left = padded.first
    stride_h, stride_w = command.strides
    words.put(words.room(size + _SLACK), size, -1 if padded.plain else fill & 0xFF, flip)
    words.put(top * row + left * channels)
    words.put(rows * row, spread[0] * row, spread[1] * channels, 1)
    put_tile(words, tile, sizes)
    crop_top, crop_left = padded.cropped
    count = prod(shape[:3])
    chunk = min(max(_CHUNK_BYTES // (4 * shape[3]) // 24 * 24, _CHUNK_PIXELS), count)
    accumulators = (chunk if kind == LINES else count) * shape[3] * element
    words.put((crop_top * row + crop_left * channels) * repeat)
    steps = [step * repeat for step in (rows * row, stride_h * row, stride_w * channels)]
    if steps[1] == shape[2] * steps[2] and (shape[0] == 1 or steps[0] == shape[1] * steps[1]):
        words.put(1, count, *steps)  # all pixels equally far apart
    else:
        words.put(shape[1], shape[2], *steps)
    words.put(count, chunk, words.room(8 * chunk), words.room(accumulators + _SLACK), shape[3])
    return padded, chunk


def window_taps(command: Dot | Pool, kernel: tuple[int, int], padded: PaddedInput) -> list[int]:
    """Each tap's distance in bytes from the window's first."""
    _, _, columns, channels = padded.buffer
    dilation_h, dilation_w = command.dilations
    return [
        (i * dilation_h * columns + j * dilation_w) * channels
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def put_pool(words: Words, command: Pool, parameters: Sequence[Array], sizes: Sizes) -> None:
    """A `Pool`."""
    maximum = command.kind == "max"
    shape, element = accumulator_shape(command), 1 if command.kind == "max" else 4
    accumulator = Register(shape, element)
    epilogue, kind = put_epilogue(words, command, accumulator, parameters, sizes)
    fill = -128 if maximum else command.x_zp
    words.put(POOL)
    padded, _ = put_window(words, command, fill, 0, shape, element, kind, sizes)
    taps = window_taps(command, command.window, padded)
    part = words.part()
    part.put(int(maximum), len(taps), *taps, -len(taps) * command.x_zp)
    words.put(len(part.words), element, *part.words, *epilogue.words)


def put_depthwise(
    words: Words,
    command: Dot,
    weight: Array,
    bias: Array | None,
    shape: Shape4,
    kind: int,
    sizes: Sizes,
) -> None:
    """A depthwise convolution, without its epilogue.

    Args:
        words: of the command.
        command: the command.
        weight: int8 [O, Kh, Kw, 1].
        bias: int32 [O] or None.
        shape: of the accumulator.
        kind: of the epilogue's program.
        sizes: of the memories.
    """
    outputs, kernel_h, kernel_w, _ = weight.shape
    multiplier = outputs // command.group
    words.put(DEPTHWISE)
    padded, _ = put_window(
        words, command, command.x_zp, 0, shape, 4, kind, sizes, repeat=multiplier
    )
    taps = [tap * multiplier for tap in window_taps(command, (kernel_h, kernel_w), padded)]
    elements = prod(padded.buffer)
    room = words.room(elements * multiplier + _SLACK) if multiplier > 1 else 0
    step = -(-outputs // LANES) * LANES
    factors = np.zeros((len(taps), step), np.int32)
    factors[:, :outputs] = weight.reshape(outputs, -1).T
    factors[:, :outputs] -= command.weight_zp
    total = np.zeros(step, np.int64)
    total[:outputs] = 0 if bias is None else bias
    total -= command.x_zp * factors.sum(0, dtype=np.int64)
    part = words.part()
    address = words.constants.address
    part.put(len(taps), *taps, address(factors, np.int32), step)
    part.put(address(total.astype(np.int32), np.int32))
    words.put(multiplier, room, elements)
    words.put_sized(part)
