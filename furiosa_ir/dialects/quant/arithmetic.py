"""What quantised numbers mean: stored integers to real numbers and back, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from furiosa_ir.dialects.quant import Quantization

Array = np.ndarray[Any, np.dtype[Any]]


_PIECE = 1 << 14
"""Elements that are quantised at a time."""


def dequantize(stored: Array, quantization: Quantization) -> Array:
    """The real numbers that stored integers stand for."""
    scales, zero_points = _parameters(quantization, stored.ndim)
    return (stored.astype(np.float64) - zero_points) * scales


def quantize(real: Array | float, quantization: Quantization) -> Array:
    """The nearest stored integers, ties to even, saturated; of a number, a 0-d array.

    A tie that the rounding of a double has blurred (by 1e-9) is still a tie.
    """
    real = np.asarray(real, np.float64)
    if quantization.axis is None and real.size > _PIECE and real.flags.c_contiguous:
        # Piece by piece, what is in between stays in the cache.
        result = np.empty(real.shape, quantization.dtype)
        flat, out = real.reshape(-1), result.reshape(-1)
        for start in range(0, flat.size, _PIECE):
            out[start : start + _PIECE] = quantize(flat[start : start + _PIECE], quantization)
        return result
    real = np.where(np.isnan(real), 0.0, real)
    scales, zero_points = _parameters(quantization, real.ndim)
    with np.errstate(over="ignore"):
        value: Array = np.clip(real / scales, -1e10, 1e10)
    tie: Array = np.floor(value) + 0.5
    near: Array = np.abs(value - tie) < 1e-9 * np.maximum(1.0, np.abs(value))
    nearest = np.rint(np.where(near, tie, value)) + zero_points
    low, high = quantization.storage_range
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
