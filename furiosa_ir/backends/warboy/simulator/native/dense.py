"""Words of dense convolutions and fully connected layers (`source/dense.h`).

How weights are packed depends on what the processor multiplies (`Packing`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import prod
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Dot, Shape4
from furiosa_ir.backends.warboy.simulator.memory import address_of
from furiosa_ir.backends.warboy.simulator.native.library import Packing
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes
from furiosa_ir.backends.warboy.simulator.native.windows import LANES, put_window, window_taps
from furiosa_ir.backends.warboy.simulator.native.words import Words
from furiosa_ir.numerics.array import Array

DENSE = 4

_FLIP = 0x80
"""Makes unsigned bytes of signed ones, greater by 128."""
_FEW_PIXELS = 4
"""Of so few, reading the weights is what takes time: as words they would be twice as many bytes."""
_WORD_BYTES = 1 << 17
"""Of windows as words at a time: the second cache has room for these, and a block of weights."""
_LEAST_PIXELS = 24
"""Of windows as words at a time, so that weights are not read too often."""
_WORDS = 16
"""Of a vector."""


def put_dense(
    words: Words,
    command: Dot,
    weight: Array,
    bias: Array | None,
    shape: Shape4,
    kind: int,
    sizes: Sizes,
    packing: Packing,
) -> None:
    """A dense convolution, without its epilogue.

    Args:
        words: of the command.
        command: the command.
        weight: int8 [O, Kh, Kw, I].
        bias: int32 [O] or None.
        shape: of the accumulator.
        kind: of the epilogue's program.
        sizes: of the memories.
        packing: how weights are packed.
    """
    outputs, kernel_h, kernel_w, inner = weight.shape
    group = command.group
    words.put(DENSE)
    padded, chunk = put_window(words, command, command.x_zp, _FLIP, shape, 4, kind, sizes)
    taps = window_taps(command, (kernel_h, kernel_w), padded)
    rows = weight.reshape(outputs, len(taps), inner)
    if group == 1 and command.dilations[1] == 1:
        # A row of the window is one piece.
        taps = taps[::kernel_w]
        rows = rows.reshape(outputs, len(taps), kernel_w * inner)
    are_words = packing == "words" and prod(shape[:3]) > _FEW_PIXELS
    part = words.part()
    part.put(group, inner, outputs // group, len(taps))
    if are_words:
        _put_words(words, part, command, taps, rows, bias, chunk)
    else:
        _put_bytes(words, part, command, taps, rows, bias, chunk, tiled=packing == "tiles")
    words.put(int(are_words))
    words.put_sized(part)


def _put_bytes(
    words: Words,
    part: Words,
    command: Dot,
    taps: Sequence[int],
    rows: Array,
    bias: Array | None,
    chunk: int,
    *,
    tiled: bool,
) -> None:
    """What `accumulate_bytes` reads from its segments on; rows: int8 [O, segments, terms]."""
    # Tiles take 64 terms: not where most of them would be zeros.
    tiled = tiled and 2 * rows.shape[2] > _rounded(rows.shape[2], 64)
    terms = _rounded(rows.shape[2], 64 if tiled else 4)
    for tap in taps:
        part.put(tap, terms // 4)
    block, group_bytes, packed = _once(
        words,
        (rows, "bytes", terms, command.group),
        lambda: _packed_bytes(words, rows, terms, command.group),
    )
    part.put(packed, block, group_bytes)
    total = _biases(words, command, rows, bias)
    part.put(words.constants.address(total, np.int32), command.weight_zp)
    ones = 0
    if command.weight_zp:
        *_, ones = _packed_bytes(words, np.ones_like(rows[:1]), terms, 1)
    windows = len(taps) * terms * (chunk + 31) if tiled else 0
    part.put(ones, words.room(4 * chunk), int(tiled), words.room(windows))


def _put_words(
    words: Words,
    part: Words,
    command: Dot,
    taps: Sequence[int],
    rows: Array,
    bias: Array | None,
    chunk: int,
) -> None:
    """What `accumulate_words` reads from its segments on; rows: int8 [O, segments, terms]."""
    outputs, _, terms = rows.shape
    for tap in taps:
        part.put(tap, terms)
    pairs = -(-len(taps) * terms // 2)
    packed = _once(
        words,
        (rows, "words", command.group, command.weight_zp),
        lambda: _packed_words(words, rows, command.group, command.weight_zp),
    )
    each = outputs // command.group
    total = np.zeros((command.group, _rounded(each, LANES)), np.int32)
    total[:, :each] = _biases(words, command, rows, bias).reshape(command.group, each)
    part.put(packed, words.constants.address(total, np.int32), pairs)
    # Vectors of a pixel's last terms are written whole, the next pixel's first ones over them.
    step = _rounded(2 * pairs, _WORDS)
    most = min(max(_WORD_BYTES // (2 * step), _LEAST_PIXELS) // 6 * 6, chunk)
    part.put(most, step, words.room(2 * (most * step + _WORDS)))


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _once(words: Words, key: tuple[Array, *tuple[Hashable, ...]], make: Callable[[], Any]) -> Any:
    """What `make` makes of weights: steps of a kernel have them, and this, in common.

    Args:
        words: of a command.
        key: the weights, and all else that `make` depends on.
        make: makes it.
    """
    rows, *others = key
    constants = words.constants
    # Weights lie in the constant section, which stays where it is.
    known = address_of(rows), rows.shape, *others
    made = constants.shared(known)
    return constants.share(known, make()) if made is None else made


def _biases(words: Words, command: Dot, rows: Array, bias: Array | None) -> Array:
    """Bias [O], int32, less what the zero point of x adds to each sum; x is greater by 128."""
    terms = prod(rows.shape[1:])
    sums = (
        _once(words, (rows, "sums"), lambda: rows.sum((1, 2), dtype=np.int64))
        - terms * command.weight_zp
    )
    given = 0 if bias is None else bias.astype(np.int64)
    total: Array = given - (command.x_zp + 128) * sums
    return total.astype(np.int32)


def _packed_bytes(words: Words, rows: Array, padded: int, group: int) -> tuple[int, int, int]:
    """(bytes of a block of outputs, of a group, address), as products.h has them.

    Args:
        words: of the command.
        rows: int8 [O, segments, terms].
        padded: how many terms of a segment are packed, zeros behind the others.
        group: groups.
    """
    outputs, segments, terms = rows.shape
    each = outputs // group
    blocks, quads = -(-each // LANES), padded // 4
    filled = np.zeros((group, blocks * LANES, segments, 4 * quads), np.int8)
    filled[:, :each, :, :terms] = rows.reshape(group, each, segments, terms)
    split = filled.reshape(group, blocks, LANES, segments * quads, 4)
    packed = words.constants.address(split.transpose(0, 1, 3, 2, 4), np.int8)
    block = segments * quads * 4 * LANES
    return block, blocks * block, packed


def _packed_words(words: Words, rows: Array, group: int, weight_zp: int) -> int:
    """The address of weights less their zero point, as word_products.h has them."""
    outputs, segments, terms = rows.shape
    each = outputs // group
    blocks, pairs = -(-each // LANES), -(-segments * terms // 2)
    filled = np.zeros((group, blocks * LANES, 2 * pairs), np.int16)
    filled[:, :each, : segments * terms] = rows.reshape(group, each, segments * terms)
    filled[:, :each, : segments * terms] -= weight_zp
    split = filled.reshape(group, blocks, LANES, pairs, 2)
    return words.constants.address(split.transpose(0, 1, 3, 2, 4), np.int16)
