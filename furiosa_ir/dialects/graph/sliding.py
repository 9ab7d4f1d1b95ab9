"""Numpy kernels of sliding windows: convolution, transposed convolution, pooling.

Arrays are [N, C, *spatial] of any rank. Every kernel loops over the positions in the window and
works on whole arrays, so it needs no im2col and is exact in whatever dtype it is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


def to_layout(array: Array, source: str, target: str) -> Array:
    """The array with its dimensions, named by `source`, in the order of `target`."""
    return array if source == target else array.transpose([source.index(d) for d in target])


def channels_first(layout: str) -> str:
    """The layout with N and C in front: "NHWC" -> "NCHW"."""
    return "NC" + "".join(d for d in layout if d not in "NC")


def _padded(x: Array, pads: Sequence[int], fill: Any) -> Array:
    n = x.ndim - 2
    if not any(pads):
        return x
    widths = [(0, 0), (0, 0), *((pads[i], pads[i + n]) for i in range(n))]
    return np.pad(x, widths, constant_values=fill)


def _positions(
    kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], out: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each position in the window, with the slices that its elements of all windows are."""
    for position in itertools.product(*map(range, kernel)):
        slices = tuple(
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, s, n in zip(position, dilations, strides, out, strict=True)
        )
        yield position, (slice(None), slice(None), *slices)


def _extents(
    shape: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    return [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(shape[2:], kernel, strides, dilations, strict=True)
    ]


def convolve(
    x: Array,
    weight: Array,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> Array:
    """Cross-correlation of x with a weight [O, I, *kernel], I counting one group's channels."""
    x = _padded(x, pads, 0)
    batch, channels = x.shape[:2]
    filters, inner, *kernel = weight.shape
    out = _extents(x.shape, kernel, strides, dilations)
    dtype = np.result_type(x, weight)
    depthwise = inner == 1 and filters == channels == group
    result: Array | None = None
    scratch: Array | None = None
    for position, slices in _positions(kernel, strides, dilations, out):
        taps = weight[(slice(None), slice(None), *position)]
        if depthwise:
            values = np.multiply(x[slices], taps.reshape(-1, *[1] * len(out)), out=scratch)
        else:
            columns = x[slices].reshape(batch, group, channels // group, -1)
            values = elementary.matmul(taps.reshape(group, filters // group, inner), columns)
        if result is None:
            result = values
        else:
            result += values
            scratch = values  # large arrays cost more to come by than to fill
    if result is None:  # a kernel without elements
        result = np.zeros((batch, filters, *out), dtype)
    return result.reshape(batch, filters, *out)


def convolve_transposed(
    x: Array,
    weight: Array,
    strides: Sequence[int],
    pads: Sequence[int],
    output_padding: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> Array:
    """Transposed convolution with a weight [I, O, *kernel], O counting one group's channels."""
    batch, channels, *extents = x.shape
    _, filters, *kernel = weight.shape
    n = len(extents)
    full = [(extents[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(n)]
    size = [full[i] + output_padding[i] - pads[i] - pads[i + n] for i in range(n)]
    room = [max(full[i], pads[i] + size[i]) for i in range(n)]
    result = np.zeros((batch, group * filters, *room), np.result_type(x, weight))
    columns = x.reshape(batch, group, channels // group, -1)
    for position, slices in _positions(kernel, strides, dilations, extents):
        taps = weight[(slice(None), slice(None), *position)]
        taps = taps.reshape(group, channels // group, filters).swapaxes(1, 2)
        values = elementary.matmul(taps, columns)
        result[slices] += values.reshape(batch, group * filters, *extents)
    crop = tuple(slice(pads[i], pads[i] + size[i]) for i in range(n))
    return result[(slice(None), slice(None), *crop)]


def pool_maximum(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    out: Sequence[int],
) -> Array:
    """The greatest element of each window; padding never wins."""
    low = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    x = _padded(x, _room(x, kernel, strides, pads, dilations, out), low)
    result = np.full((*x.shape[:2], *out), low, x.dtype)
    for _, slices in _positions(kernel, strides, dilations, out):
        np.maximum(result, x[slices], out=result)
    return result


def pool_average(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    out: Sequence[int],
    *,
    include_pad: bool,
) -> Array:
    """The mean of each window, over its elements inside x or, with `include_pad`, inside pads."""
    inside = np.ones((1, 1, *x.shape[2:]), x.dtype)
    widths = _room(x, kernel, strides, pads, dilations, out)
    n = len(kernel)
    if include_pad:
        inside = _padded(inside, pads, 1)
        # What rounding up adds at the end is not padding that counts.
        extra = [0] * n + [widths[i + n] - pads[i + n] for i in range(n)]
        inside = _padded(inside, extra, 0)
    else:
        inside = _padded(inside, widths, 0)
    x = _padded(x, widths, 0)
    total = np.zeros((*x.shape[:2], *out), x.dtype)
    count = np.zeros((1, 1, *out), x.dtype)
    for _, slices in _positions(kernel, strides, dilations, out):
        total += x[slices]
        count += inside[slices]
    return total / count


def _room(
    x: Array,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    out: Sequence[int],
) -> list[int]:
    """The pads, with the ends widened to hold the last window (extents rounded up)."""
    n = len(kernel)
    widths = list(pads)
    for i in range(n):
        need = (out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1
        widths[i + n] = max(widths[i + n], need - x.shape[2 + i] - pads[i])
    return widths
