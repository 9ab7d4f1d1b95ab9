"""Convolutions of quantised tensors in integers: what the interpreter computes, by a fast library.

The interpreter multiplies doubles; most of the time of `--verify` would go there. The products of
8-bit differences are integers, which `numerics.products` sums exactly at a hundred times the
speed. That the source's values and the program's come of one library proves nothing about it:
onnxruntime's convolutions on the file (`onnx_file`), and LiteRT's, are the other witnesses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.dialects.ftensor.contraction import MOST_FLOAT32_TERMS, pad_spatial, spatial_windows
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.ir.shaped_operation import ints
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.products import product

_MOST_TERMS = (1 << 31) // (255 * 255) - 1
"""Sums of more products might not fit 32 bits."""

_WINDOW_BYTES = 1 << 20


def lowered_convolution(op: contraction.ConvOp, operands: Sequence[Array]) -> Array | None:
    """The result of an `ftensor.conv`; None for one that only its own `evaluate` knows."""
    x, weight, *bias = operands
    zero_points = op.x_zp.value.data, op.weight_zp.value.data
    pads = ints(op.pads)
    if ints(op.input_dilation) != (1, 1) or min(pads) < 0:
        return None
    channels_first = op.layout.data == "NCHW"
    result = _convolved(
        x.transpose(0, 2, 3, 1) if channels_first else x,
        weight,
        zero_points,
        (ints(op.strides), pads, ints(op.dilations)),
        op.group.value.data,
    )
    if result is None:
        return None
    if bias:  # beyond 32 bits the accumulator wraps
        result = result + bias[0].astype(np.int32, copy=False)
    return result.transpose(0, 3, 1, 2) if channels_first else result


def exact_convolution(
    op: ConvOp, stored: Sequence[tuple[Array, Quantization]], bias: Array | None
) -> Array | None:
    """A `graph.conv` of dequantised operands in real numbers, with one rounding of the sum.

    Args:
        op: the convolution.
        stored: of x and of the weight the integers, and what they mean.
        bias: real numbers, or None.

    Returns:
        float64; None for one that only its own `evaluate` knows.
    """
    (x, qx), (weight, qw) = stored
    if (op.layout.data, op.kernel_layout.data) != ("NCHW", "OIHW") or qx.axis is not None:
        return None
    if qw.axis not in (None, 0) or len(set(qw.zero_points)) != 1:
        return None
    if x.dtype.itemsize != 1 or weight.dtype.itemsize != 1:
        return None
    window = ints(op.strides), ints(op.pads), ints(op.dilations)
    (signed_x, x_zp), (signed_w, w_zp) = (
        _signed(x, qx.zero_point),
        _signed(weight, qw.zero_points[0]),
    )
    sums = _convolved(
        signed_x.transpose(0, 2, 3, 1),
        signed_w.transpose(0, 2, 3, 1),
        (x_zp, w_zp),
        window,
        op.group.value.data,
    )
    if sums is None:
        return None
    scales = np.asarray(qw.scales, np.float64) * qx.scale
    result = sums.transpose(0, 3, 1, 2) * scales.reshape(-1, 1, 1)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def _signed(x: Array, zero_point: int) -> tuple[Array, int]:
    if x.dtype == np.uint8:
        return (x ^ np.uint8(0x80)).view(np.int8), zero_point - 128
    return x, zero_point


def _convolved(
    x: Array,
    weight: Array,
    zero_points: tuple[int, int],
    window: tuple[Sequence[int], Sequence[int], Sequence[int]],
    group: int,
) -> Array | None:
    """x int8 [N, H, W, C], weight int8 [O, Kh, Kw, I] -> int32 [N, Ho, Wo, O]."""
    strides, pads, dilations = window
    filters, high, wide, inner = weight.shape
    terms = high * wide * inner
    fits = all(-128 <= z <= 127 for z in zero_points) and 0 < terms <= _MOST_TERMS
    if not fits or x.dtype != np.int8 or weight.dtype != np.int8:
        return None
    x_zp, weight_zp = zero_points
    x = pad_spatial(x, pads, x_zp)
    depthwise = inner == 1 and filters == x.shape[3] == group
    if depthwise and terms <= MOST_FLOAT32_TERMS:
        return _depthwise(x, weight, zero_points, strides, dilations)
    # The fast products take unsigned numbers on the left.
    unsigned = x.view(np.uint8) ^ np.uint8(0x80)
    windows = spatial_windows(unsigned, (high, wide), strides, dilations)
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    count, rows, columns = windows.shape[:3]
    each = filters // group
    result = np.empty((count, rows, columns, filters), np.int32)
    step = max(1, _WINDOW_BYTES // max(1, columns * terms))
    for g in range(group):
        some = weight[g * each : (g + 1) * each].reshape(each, terms)
        matrix = np.ascontiguousarray(some.T)
        part = windows[..., g * inner : (g + 1) * inner]
        for image in range(count):
            for first in range(0, rows, step):
                piece = part[image, first : first + step].reshape(-1, terms)
                made = product(piece, matrix, x_zp + 128, weight_zp)
                place = result[image, first : first + step, :, g * each : (g + 1) * each]
                place[...] = made.reshape(-1, columns, each)
    return result


def _depthwise(
    x: Array,
    weight: Array,
    zero_points: tuple[int, int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Array:
    """One filter a channel, position by position of the window; x is padded."""
    _, high, wide, _ = weight.shape
    reals = x.astype(np.float32) - np.float32(zero_points[0])
    taps = weight[..., 0].astype(np.float32) - np.float32(zero_points[1])
    windows = spatial_windows(reals, (high, wide), strides, dilations)
    total = windows[..., 0, 0] * taps[:, 0, 0]
    scratch = np.empty_like(total)
    for i in range(high):
        for j in range(wide):
            if i or j:
                np.multiply(windows[..., i, j], taps[:, i, j], out=scratch)
                total += scratch
    return total.astype(np.int32)
