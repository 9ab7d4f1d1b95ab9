"""How near a quantised network is to its float form, output by output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.calibration import Sample

Run = Callable[[Sample], Sequence[Array]]


@dataclass(frozen=True)
class OutputAccuracy:
    """How near one output is to that of the float network, over all samples.

    Attributes:
        name: of the output.
        snr: signal to noise in dB, 10 log10(sum float^2 / sum (float - quantised)^2); infinite if
            they are equal.
        arg_max: share of equal arg-max along the class axis; None if that has one element.
        max_error: the greatest absolute difference.
        peak: the greatest absolute value of the float network, to judge `max_error` by.
        reshaped: the samples of which the data decides the output's shape (NonMaxSuppression),
            and another one in each network. They count for nothing else; where they are all, the
            SNR is NaN.
    """

    name: str
    snr: float
    arg_max: float | None
    max_error: float
    peak: float
    reshaped: int = 0

    def as_json(self) -> dict[str, Any]:
        """For `--report`: JSON knows no infinity, an SNR of equal outputs, or of none, is null."""
        return {
            "output": self.name,
            "snr_db": _finite(self.snr),
            "arg_max_agreement": self.arg_max,
            "max_error": _finite(self.max_error),
            "peak": _finite(self.peak),
            "reshaped_samples": self.reshaped,
        }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


class OutputSums:
    """What is summed up over the samples for one output.

    Args:
        name: of the output.
        channels_first: whether an image's second dimension, not its last, counts channels.
    """

    def __init__(self, name: str, channels_first: bool) -> None:
        self.name = name
        self.channels_first = channels_first
        self.signal = self.noise = self.max_error = self.peak = 0.0
        self.same = self.choices = 0
        self.compared = self.reshaped = 0

    def add(self, reference: Array, quantized: Array) -> None:
        """One sample more."""
        if reference.shape != quantized.shape:
            self.reshaped += 1
            return
        self.compared += 1
        a, b = reference.astype(np.float64), quantized.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))  # infinities of a float layer, say
        with np.errstate(invalid="ignore"):
            error = np.where(same, 0.0, np.nan_to_num(np.abs(a - b), nan=math.inf, posinf=math.inf))
        self.signal += float(np.square(a[np.isfinite(a)]).sum())
        self.noise += float(np.square(error).sum())
        self.max_error = max(self.max_error, float(error.max(initial=0.0)))
        self.peak = max(self.peak, float(np.abs(a).max(initial=0.0)))
        # Images of class scores: channels come second in ONNX, last in TFLite.
        axis = 1 if self.channels_first and a.ndim > 3 else a.ndim - 1
        if a.ndim and a.shape[axis] > 1 and a.size:
            equal = a.argmax(axis) == b.argmax(axis)
            self.same += int(np.count_nonzero(equal))
            self.choices += equal.size

    def result(self) -> OutputAccuracy:
        """What it comes to."""
        snr = math.inf if self.compared or not self.reshaped else math.nan
        if self.noise:
            ratio = self.signal / self.noise
            snr = 10 * math.log10(ratio) if ratio else -math.inf
        arg_max = self.same / self.choices if self.choices else None
        return OutputAccuracy(self.name, snr, arg_max, self.max_error, self.peak, self.reshaped)


def compare(
    names: Sequence[str],
    reference: Run,
    quantized: Run,
    samples: Iterable[Sample],
    *,
    channels_first: bool,
    on_sample: Callable[[], None] = lambda: None,
) -> list[OutputAccuracy]:
    """Runs both networks on the samples.

    Args:
        names: the outputs, in the order that both networks return them.
        reference: runs the float network.
        quantized: runs the quantised network, its outputs as real numbers.
        samples: what to run them on.
        channels_first: whether an image's second dimension, not its last, counts channels.
        on_sample: called after each sample.
    """
    sums = [OutputSums(name, channels_first) for name in names]
    for sample in samples:
        pairs = zip(sums, reference(sample), quantized(sample), strict=True)
        for output, want, got in pairs:
            output.add(np.asarray(want), np.asarray(got))
        on_sample()
    return [s.result() for s in sums]
