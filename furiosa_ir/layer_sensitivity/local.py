"""What a layer's own rounding does to its values: error, saturation, how much of the range is used.

RMSE / scale is TensorFlow's measure (`tf.lite.experimental.QuantizationDebugger`): where nothing
clips, errors are uniform within half a step, and it is 1 / sqrt(12) = 0.289.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.layer_sensitivity.evaluation import round_to
from furiosa_ir.numerics.array import Array


@dataclass(frozen=True)
class LocalError:
    """What rounding does to one layer's values.

    Attributes:
        error: root of the mean squared error, in steps.
        saturated: share of the values that lie more than a step beyond the range; by one step, 1 is
            beyond that of TFLite's softmax, whose scale is always 1 / 256.
        used: share of the range that the values reach over, of 0 to 1.
        least, greatest: the values' own ends.
        peaks: the greatest absolute value of each channel.
    """

    error: float
    saturated: float
    used: float
    least: float
    greatest: float
    peaks: Array


@dataclass
class LocalSums:
    """What is summed up over the samples for one tensor.

    Attributes:
        written, read: how the tensor's integers are made, and how they are understood.
        channels_first: whether an image's second dimension, not its last, counts channels.
    """

    written: Quantization
    read: Quantization
    channels_first: bool
    _squares: float = 0.0
    _beyond: int = 0
    _count: int = 0
    _least: float = math.inf
    _greatest: float = -math.inf
    _low: float = math.inf
    _high: float = -math.inf
    _peaks: Array = field(default_factory=lambda: np.zeros(0))

    def add(self, x: Array) -> None:
        """The values of one sample, before they are rounded."""
        if not x.size:
            return
        scales, zero_points = (
            np.array(each, np.float64) for each in (self.written.scales, self.written.zero_points)
        )
        if self.written.axis is not None:
            shape = [-1 if axis == self.written.axis else 1 for axis in range(x.ndim)]
            scales, zero_points = scales.reshape(shape), zero_points.reshape(shape)
        low, high = self.written.storage_range
        steps = x / scales.astype(x.dtype)
        errors = round_to(x, self.written, self.read) - x
        errors /= scales.astype(x.dtype)
        self._squares += float(np.square(errors, dtype=np.float64).sum())
        beyond = (steps < low - zero_points - 1) | (steps > high - zero_points + 1)
        self._beyond += int(np.count_nonzero(beyond))
        self._count += x.size
        self._low = min(self._low, float((steps + zero_points).min()))
        self._high = max(self._high, float((steps + zero_points).max()))
        self._least = min(self._least, float(x.min()))
        self._greatest = max(self._greatest, float(x.max()))
        axis = 1 if self.channels_first and x.ndim > 3 else x.ndim - 1
        others = tuple(i for i in range(x.ndim) if i != axis)
        peaks = np.abs(x).max(others, initial=0.0)
        same = self._peaks.shape == peaks.shape
        self._peaks = np.maximum(self._peaks, peaks) if same else peaks

    def result(self) -> LocalError:
        """What it comes to."""
        low, high = self.written.storage_range
        reach = min(self._high, high) - max(self._low, low) if self._count else 0.0
        return LocalError(
            math.sqrt(self._squares / self._count) if self._count else 0.0,
            self._beyond / self._count if self._count else 0.0,
            min(max(reach, 0.0) / (high - low), 1.0),
            self._least if self._count else 0.0,
            self._greatest if self._count else 0.0,
            self._peaks,
        )


def ends_of(quantization: Quantization) -> tuple[float, float]:
    """The least and the greatest real number that the integers stand for, of all channels."""
    low, high = quantization.storage_range
    pairs: Sequence[tuple[float, int]] = list(
        zip(quantization.scales, quantization.zero_points, strict=True)
    )
    return (
        min((low - zero_point) * scale for scale, zero_point in pairs),
        max((high - zero_point) * scale for scale, zero_point in pairs),
    )
