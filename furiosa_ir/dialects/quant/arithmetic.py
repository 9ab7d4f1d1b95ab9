"""What quantised numbers mean: stored integers to real numbers and back, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.numerics.array import Array

_PIECE = 1 << 14
"""Elements that are quantised at a time."""


_BLUR = 1e-9
"""How far from a tie, relative to the number or 1, the rounding of a double may have moved it."""


def dequantize(stored: Array, quantization: Quantization) -> Array:
    """The real numbers that stored integers stand for."""
    scales, zero_points = _parameters(quantization, stored.ndim)
    # Of a 0-d array numpy makes a scalar, which is no array.
    return np.asarray((stored.astype(np.float64) - zero_points) * scales)


def quantize(real: Array | float, quantization: Quantization) -> Array:
    """The nearest stored integers, ties to even, saturated; of a number, a 0-d array.

    A tie that the rounding of a double has blurred (by `_BLUR`) is still a tie.
    """
    real = np.asarray(real, np.float64)
    if quantization.axis is None and real.size > _PIECE:
        # Piece by piece, in the order of memory, what is in between stays in the cache.
        order = sorted(range(real.ndim), key=lambda axis: -abs(real.strides[axis]))
        flat = real.transpose(order).reshape(-1)
        out = np.empty(flat.shape, quantization.dtype)
        for start in range(0, flat.size, _PIECE):
            out[start : start + _PIECE] = quantize(flat[start : start + _PIECE], quantization)
        return out.reshape([real.shape[axis] for axis in order]).transpose(np.argsort(order))
    scales, zero_points = _parameters(quantization, real.ndim)
    low, high = quantization.storage_range
    least, most = low - zero_points - 1, high - zero_points + 1
    with np.errstate(over="ignore"):
        # Whatever lies further out saturates, tie or not.
        value: Array = np.clip(real / scales, least, most)
    if np.isnan(np.min(value, initial=0.0)):
        value = np.where(np.isnan(value), 0.0, value)
    nearest: Array = np.rint(value)
    bound = _BLUR * float(np.max(np.maximum(np.abs(least), np.abs(most))))
    if np.max(np.abs(value - nearest), initial=0.0) > 0.5 - 2 * bound:  # few have any
        tie: Array = np.floor(value) + 0.5
        near: Array = np.abs(value - tie) < _BLUR * np.maximum(1.0, np.abs(value))
        nearest = np.where(near, np.rint(tie), nearest)
    nearest = nearest + zero_points
    return np.clip(nearest, low, high).astype(quantization.dtype)


def _parameters(quantization: Quantization, rank: int) -> tuple[Any, Any]:
    if quantization.axis is None:
        return quantization.scale, quantization.zero_point
    shape = [1] * rank
    shape[quantization.axis] = -1
    return (
        np.array(quantization.scales, np.float64).reshape(shape),
        np.array(quantization.zero_points, np.float64).reshape(shape),
    )
