"""Words of convolutions, fully connected layers and pools (`source/windows.h`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Dot, Pool, Shape4
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.simulator.memory import TileAccess, address_of
from furiosa_ir.backends.warboy.simulator.native.epilogue_words import LINES, put_epilogue
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes, put_tile
from furiosa_ir.backends.warboy.simulator.native.vector_words import Register
from furiosa_ir.backends.warboy.simulator.native.words import NoWords, Words
from furiosa_ir.backends.warboy.simulator.padded_input import PaddedInput
from furiosa_ir.numerics.array import Array

DENSE, DEPTHWISE, POOL = 4, 5, 6

_LANES = 16
_SLACK = 128
"""Bytes behind an array that vectors of its last pixel may read."""
_CHUNK_BYTES = 1 << 17
_CHUNK_PIXELS = 48
_FLIP = 0x80
"""Makes unsigned bytes of signed ones, greater by 128."""


def _put_window(
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


def _taps(command: Dot | Pool, kernel: tuple[int, int], padded: PaddedInput) -> list[int]:
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
    padded, _ = _put_window(words, command, fill, 0, shape, element, kind, sizes)
    taps = _taps(command, command.window, padded)
    part = words.part()
    part.put(int(maximum), len(taps), *taps, -len(taps) * command.x_zp)
    words.put(len(part.words), element, *part.words, *epilogue.words)


def put_dot(
    words: Words,
    command: Dot,
    weight: Array | None,
    bias: Array | None,
    parameters: Sequence[Array],
    sizes: Sizes,
    *,
    tiled: bool,
) -> None:
    """A `Dot`.

    Args:
        words: of the command.
        command: the command.
        weight: int8 [O, Kh, Kw, I].
        bias: int32 [O] or None.
        parameters: the program's constants.
        sizes: of the memories.
        tiled: `Kernels.tiled`.

    Raises:
        NoWords: it multiplies activations.
    """
    if weight is None:
        raise NoWords("it multiplies activations")
    outputs, _, _, inner = weight.shape
    if outputs % command.group or command.x.extent[3] != command.group * inner:
        raise NoWords("its channels are no multiples of its groups")
    if bias is not None and bias.size != outputs:
        raise NoWords("its bias has another number of channels")
    shape = accumulator_shape(command)
    accumulator = Register(shape, 4, reach=_reach(command, weight, bias))
    epilogue, kind = put_epilogue(words, command, accumulator, parameters, sizes)
    if inner == 1 and command.group > 1:
        _put_depthwise(words, command, weight, bias, shape, kind, sizes)
    else:
        _put_dense(words, command, weight, bias, shape, kind, sizes, tiled=tiled)
    words.put(*epilogue.words)


def _reach(command: Dot, weight: Array, bias: Array | None) -> int | None:
    """The greatest magnitude of an accumulator; None where it may wrap."""
    x = max(command.x_zp + 128, 127 - command.x_zp)
    factor = max(command.weight_zp + 128, 127 - command.weight_zp)
    reach = weight.size // len(weight) * x * factor
    if bias is not None:
        reach += int(np.abs(bias.astype(np.int64)).max())
    return reach if reach < 1 << 31 else None


def _put_dense(
    words: Words,
    command: Dot,
    weight: Array,
    bias: Array | None,
    shape: Shape4,
    kind: int,
    sizes: Sizes,
    *,
    tiled: bool,
) -> None:
    outputs, kernel_h, kernel_w, inner = weight.shape
    group = command.group
    words.put(DENSE)
    padded, chunk = _put_window(words, command, command.x_zp, _FLIP, shape, 4, kind, sizes)
    taps = _taps(command, (kernel_h, kernel_w), padded)
    rows = weight.reshape(outputs, len(taps), inner)
    if group == 1 and command.dilations[1] == 1:
        # A row of the window is one piece.
        taps = taps[::kernel_w]
        rows = rows.reshape(outputs, len(taps), kernel_w * inner)
    part = words.part()
    part.put(group, inner, outputs // group, len(taps))
    # Tiles take 64 terms: not where most of them would be zeros.
    tiled = tiled and 2 * rows.shape[2] > _rounded(rows.shape[2], 64)
    terms = _rounded(rows.shape[2], 64 if tiled else 4)
    for tap in taps:
        part.put(tap, terms // 4)
    packed, block, group_bytes, sums = _packed_once(words, rows, terms, group, command.weight_zp)
    part.put(packed, block, group_bytes)
    zp = command.x_zp + 128
    total = (bias.astype(np.int64) if bias is not None else 0) - zp * sums
    part.put(words.constants.address(total.astype(np.int32), np.int32), command.weight_zp)
    ones = 0
    if command.weight_zp:
        ones, *_ = _packed(words, np.ones_like(rows[:1]), terms, 1, 0)
    windows = len(taps) * terms * (chunk + 31) if tiled else 0
    part.put(ones, words.room(4 * chunk), int(tiled), words.room(windows))
    words.put_sized(part)


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _packed_once(
    words: Words, rows: Array, padded: int, group: int, weight_zp: int
) -> tuple[int, int, int, Array]:
    """(address, bytes of a block of outputs, of a group, sums of (weight - zp) by output).

    Args:
        words: of the command.
        rows: int8 [O, segments, terms].
        padded: how many terms of a segment are packed, zeros behind the others.
        group: groups.
        weight_zp: zero point.
    """
    constants = words.constants
    # Weights lie in the constant section, which stays where it is.
    key = address_of(rows), rows.shape, padded, group, weight_zp
    made = constants.shared(key)
    return (
        made
        if made is not None
        else constants.share(key, _packed(words, rows, padded, group, weight_zp))
    )


def _packed(
    words: Words, rows: Array, padded: int, group: int, weight_zp: int
) -> tuple[int, int, int, Array]:
    outputs, segments, terms = rows.shape
    each = outputs // group
    blocks, quads = -(-each // _LANES), padded // 4
    filled = np.zeros((group, blocks * _LANES, segments, 4 * quads), np.int8)
    filled[:, :each, :, :terms] = rows.reshape(group, each, segments, terms)
    split = filled.reshape(group, blocks, _LANES, segments * quads, 4)
    packed = words.constants.address(split.transpose(0, 1, 3, 2, 4), np.int8)
    sums = rows.sum((1, 2), dtype=np.int64) - segments * terms * weight_zp
    block = segments * quads * 4 * _LANES
    return packed, block, blocks * block, sums


def _put_depthwise(
    words: Words,
    command: Dot,
    weight: Array,
    bias: Array | None,
    shape: Shape4,
    kind: int,
    sizes: Sizes,
) -> None:
    outputs, kernel_h, kernel_w, _ = weight.shape
    multiplier = outputs // command.group
    words.put(DEPTHWISE)
    padded, _ = _put_window(
        words, command, command.x_zp, 0, shape, 4, kind, sizes, repeat=multiplier
    )
    taps = [tap * multiplier for tap in _taps(command, (kernel_h, kernel_w), padded)]
    elements = prod(padded.buffer)
    room = words.room(elements * multiplier + _SLACK) if multiplier > 1 else 0
    step = -(-outputs // _LANES) * _LANES
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
