"""How near a quantised network is to its float form, layer by layer, and what that hangs on."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.array import Array
from furiosa_ir.quantization.accuracy import OutputAccuracy

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

SAMPLES = 4
"""How many calibration samples the layers are compared on, from all over them."""

POOR = 20.0
"""dB below which an output is worth a warning: an error of 10 %."""

_STANDS_OUT = 4.0
"""How far one channel reaches beyond the median one, or one operand beyond another, to be named."""


@dataclass(frozen=True)
class LayerAccuracy:
    """How near one quantised layer is to the float network's.

    Attributes:
        name, operator: of the layer.
        alone: signal to noise in dB of what the layer's own rounding does: its operands, weights
            included, and its result are rounded, everything before it is float; infinite if it is
            equal, NaN if it cannot be told.
        accumulated: the same, with every layer before it quantised.
        low, high: the values that the stored integers reach to.
        dominated: what the range is that wide for; "" if nothing stands out.
    """

    name: str
    operator: str
    alone: float
    accumulated: float
    low: float
    high: float
    dominated: str

    def as_json(self) -> dict[str, Any]:
        """For `--report`: JSON knows no infinity and no NaN; such an SNR is null."""
        return {
            "layer": self.name,
            "operator": self.operator,
            "snr_alone_db": self.alone if math.isfinite(self.alone) else None,
            "snr_accumulated_db": self.accumulated if math.isfinite(self.accumulated) else None,
            "range": [self.low, self.high],
            "range_dominated_by": self.dominated,
        }


@dataclass
class LayerSums:
    """What is summed up over the samples for one layer.

    Attributes:
        signal, alone, accumulated: sums of squares of the float values, and of the two errors.
        peaks: the greatest absolute value of each channel.
    """

    signal: float = 0.0
    alone: float = 0.0
    accumulated: float = 0.0
    peaks: Array = field(default_factory=lambda: np.zeros(0))

    def add(self, signal: float, alone: float, accumulated: float, peaks: Array) -> None:
        """One sample more."""
        self.signal += signal
        self.alone += alone
        self.accumulated += accumulated
        same = self.peaks.shape == peaks.shape
        self.peaks = np.maximum(self.peaks, peaks) if same else peaks

    def snr(self, noise: float) -> float:
        """In dB."""
        if not math.isfinite(noise) or not math.isfinite(self.signal):
            return math.nan
        if not noise:
            return math.inf
        return 10 * math.log10(self.signal / noise) if self.signal else -math.inf

    def result(
        self, name: str, operator: str, ends: tuple[float, float], operands: Mapping[str, float]
    ) -> LayerAccuracy:
        """The layer.

        Args:
            name, operator: of the layer.
            ends: of the values that it can store.
            operands: how far each of several operands of one range reaches.
        """
        return LayerAccuracy(
            name,
            operator,
            self.snr(self.alone),
            self.snr(self.accumulated),
            *ends,
            dominated_by(self.peaks, operands),
        )


def dominated_by(peaks: Array, operands: Mapping[str, float]) -> str:
    """What a range is as wide as it is for; "" if nothing stands out.

    Args:
        peaks: the greatest absolute value of each channel.
        operands: how far each of several operands of one range reaches.
    """
    reach = sorted(operands.items(), key=lambda item: item[1])
    if len(reach) > 1 and reach[-1][1] > _STANDS_OUT * reach[0][1]:
        (least, low), (most, high) = reach[0], reach[-1]
        return f"operand '{most}', to {high:.3g}; '{least}' reaches {low:.3g}"
    if peaks.size < 2 or not np.isfinite(peaks).all():
        return ""
    channel, median = int(peaks.argmax()), float(np.median(peaks))
    if peaks[channel] <= _STANDS_OUT * median:
        return ""
    return f"channel {channel}, to {peaks[channel]:.3g}; the median one reaches {median:.3g}"


@contextmanager
def no_more_than_a_table(name: str) -> Generator[None]:
    """A comparison that fails costs its table, not the network that was quantised; it says so."""
    try:
        yield
    except FuriosaError as error:
        _LOG.warning("%s: its layers cannot be compared: %s", name, error.message)


def some_of(samples: Sequence[T], count: int = SAMPLES) -> list[T]:
    """At most so many samples, from all over them."""
    return list(samples[:: max(1, -(-len(samples) // count))])


def worst(layers: Sequence[LayerAccuracy], count: int) -> list[LayerAccuracy]:
    """The layers whose own rounding costs most, worst first."""
    told = [layer for layer in layers if not math.isnan(layer.alone)]
    return sorted(told, key=lambda layer: layer.alone)[:count]


def warn_of_poor_outputs(
    name: str,
    outputs: Sequence[OutputAccuracy],
    layers: Sequence[LayerAccuracy],
    options: Sequence[str],
) -> None:
    """Warns of outputs below `POOR` dB: the layers it comes from, and the options that help.

    Args:
        name: of the file.
        outputs, layers: how near they are.
        options: what may help beside `--exclude`.
    """
    poor = [output for output in outputs if output.snr < POOR]
    if not poor:
        return
    lost = ", ".join(f"'{o.name}' ({o.snr:.1f} dB)" for o in poor[:3])
    lost += f" and {len(poor) - 3} more" if len(poor) > 3 else ""
    causes = [layer for layer in worst(layers, 3) if math.isfinite(layer.alone)]
    named = ", ".join(f"'{c.name}' ({c.alone:.1f} dB alone)" for c in causes)
    because = f"; layers that cost most: {named}" if named else ""
    exclude = [f"--exclude '{causes[0].name}'"] if causes else []
    _LOG.warning(
        "%s: on the calibration data the output%s far from the float network's%s; try %s",
        name,
        f" {lost} is" if len(poor) == 1 else f"s {lost} are",
        because,
        ", ".join([*exclude, *options]),
    )
