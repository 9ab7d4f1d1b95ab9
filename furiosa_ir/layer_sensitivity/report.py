"""How sensitive a quantised network is to the rounding of each layer, and what to do about it."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.layer_sensitivity.local import LocalError, ends_of
from furiosa_ir.quantization.accuracy import OutputAccuracy
from furiosa_ir.quantization.layers import POOR, dominated_by

_SATURATED = 0.01
"""Share of values that clip from which it is named."""

_TOO_WIDE = 4.0
"""How many times wider than its values a range is to be named: two of its bits are lost."""

LEAST_GAIN = 1.0
"""dB that the network's worst output gains for a layer to be worth leaving in float."""

_GOOD = 30.0
"""dB from which an output needs nothing, unless a layer's scale is plainly wrong: 3 % of error."""

_MOST_ROWS = 500
"""Layers that a notebook shows."""

_LEFT_IN_FLOAT = 3
"""Layers that are recommended at most."""


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer of a quantised network.

    Attributes:
        name, operator: of the layer.
        written, read: how its result is stored, and what its readers take that for.
        alone: the outputs where this layer alone is rounded, against the network in float.
        without: the outputs where all layers but this one are rounded.
        gain: dB by which the worst output is better without its rounding.
        local: what rounding does to its own values.
    """

    name: str
    operator: str
    written: Quantization
    read: Quantization
    alone: tuple[OutputAccuracy, ...]
    without: tuple[OutputAccuracy, ...]
    gain: float
    local: LocalError

    @property
    def width(self) -> float:
        """How many times wider than the values the range is."""
        return 1 / self.local.used if self.local.used else math.inf

    @property
    def finding(self) -> str:
        """What is wrong with its scale and zero point, or what its range is that wide for."""
        dominated = dominated_by(self.local.peaks, {})
        return self.fault or (f"its range is that wide for {dominated}" if dominated else "")

    @property
    def fault(self) -> str:
        """What is wrong with its scale and zero point; "" if nothing shows."""
        low, high = ends_of(self.written)
        local = self.local
        if self.read != self.written:
            return (
                f"the result is stored with scale {_numbers(self.written.scales)} and zero point "
                f"{_numbers(self.written.zero_points)}, but read with scale "
                f"{_numbers(self.read.scales)} and zero point {_numbers(self.read.zero_points)}"
            )
        values = f"they reach from {local.least:.3g} to {local.greatest:.3g}"
        values += f", the range from {low:.3g} to {high:.3g}"
        if local.saturated >= _SATURATED:
            return f"{local.saturated * 100:.3g} % of the values clip ({values})"
        if self.width >= _TOO_WIDE and local.greatest > local.least:
            return f"the range is {self.width:.2g} times too wide ({values})"
        return ""

    def as_json(self) -> dict[str, Any]:
        """JSON knows no infinity and no NaN: an SNR of equal outputs is null."""
        low, high = ends_of(self.written)
        alone, without = worst_output(self.alone), worst_output(self.without)
        return {
            "layer": self.name,
            "operator": self.operator,
            "storage": self.written.storage,
            "scale": _one_or_all(self.written.scales),
            "zero_point": _one_or_all(self.written.zero_points),
            "range": [low, high],
            "snr_alone_db": _finite(alone.snr),
            "snr_without_db": _finite(without.snr),
            "gain_db": _finite(self.gain),
            "worst_output": alone.name,
            "rmse_over_scale": _finite(self.local.error),
            "saturated": self.local.saturated,
            "used": self.local.used,
            "values": [self.local.least, self.local.greatest],
            "finding": self.finding,
            "outputs_alone": [output.as_json() for output in self.alone],
            "outputs_without": [output.as_json() for output in self.without],
        }


@dataclass(frozen=True)
class Sensitivity:
    """A quantised network, layer by layer.

    Attributes:
        samples: how many inputs there were.
        outputs: where every layer is rounded, against the network in float.
        layers: that whose rounding alone costs most comes first.
        kept: layers with a meaning in integers only; they are never in float.
        left_in_float: the layers that are worth it.
        without_them: the outputs where those are in float and all others rounded.
    """

    samples: int
    outputs: tuple[OutputAccuracy, ...]
    layers: tuple[LayerSensitivity, ...]
    kept: tuple[str, ...]
    left_in_float: tuple[LayerSensitivity, ...]
    without_them: tuple[OutputAccuracy, ...]

    @property
    def advice(self) -> str:
        """What to do, in one sentence."""
        all_ = worst_output(self.outputs).snr
        if not self.left_in_float:
            if all_ >= POOR:
                return (
                    f"Nothing need be done: no layer stands out, and all of them cost {db(all_)}."
                )
            return (
                "No layer alone makes the difference: the error comes of many; calibrate with more "
                "samples or another --method of furiosa quantize, or leave those in front in float."
            )
        gained = worst_output(self.without_them).snr
        named = ", ".join(f"'{layer.name}'" for layer in self.left_in_float)
        options = " ".join(f"--exclude {shlex.quote(layer.name)}" for layer in self.left_in_float)
        found = [f"of '{layer.name}' {layer.fault}" for layer in self.left_in_float if layer.fault]
        causes = f", or calibrate again: {'; '.join(found)}" if found else ""
        return (
            f"Leave {named} in float (furiosa quantize {options}): the outputs' SNR goes from "
            f"{db(all_)} to {db(gained)}{causes}."
        )

    def __repr__(self) -> str:
        worst = db(worst_output(self.outputs).snr)
        return f"<Sensitivity of {len(self.layers)} layers: {worst} with all of them rounded>"

    def _repr_html_(self) -> str:
        """In a notebook: the advice, and the layers, that whose rounding costs most first."""
        from furiosa_ir.notebook.markup import page, plain, table  # noqa: PLC0415  # notebooks

        rows = [
            (
                layer.name,
                layer.operator,
                db(worst_output(layer.alone).snr),
                db(worst_output(layer.without).snr),
                f"{layer.local.error:.2f}",
                f"{layer.local.saturated * 100:.2g} %",
                f"{layer.local.used * 100:.3g} %",
                layer.finding,
            )
            for layer in self.layers[:_MOST_ROWS]
        ]
        head = ("layer", "operator", "#alone", "#without", "#RMSE", "#clips", "#used", "")
        outputs = ((each.name, db(each.snr)) for each in self.outputs)
        return page(
            table(("output", "#every layer rounded"), outputs),
            table(head, rows),
            plain(self.advice, 2000),
        )

    def as_json(self) -> dict[str, Any]:
        """For `furiosa sensitivity --json`."""
        return {
            "samples": self.samples,
            "outputs": [output.as_json() for output in self.outputs],
            "layers": [layer.as_json() for layer in self.layers],
            "kept": list(self.kept),
            "leave_in_float": [layer.name for layer in self.left_in_float],
            "outputs_without_them": [output.as_json() for output in self.without_them],
            "advice": self.advice,
        }

    def csv(self) -> str:
        """The layers as CSV, but for what is known of each single output."""
        stream = io.StringIO()
        rows = [
            {
                name: " ".join(map(str, cast("list[object]", value)))
                if isinstance(value, list)
                else value
                for name, value in layer.as_json().items()
                if not name.startswith("outputs_")
            }
            for layer in self.layers
        ]
        writer = csv.DictWriter(stream, rows[0].keys() if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()


def worst_output(outputs: Sequence[OutputAccuracy]) -> OutputAccuracy:
    """The output of the least SNR; one that cannot be told counts for nothing."""
    return min(outputs, key=lambda o: math.inf if math.isnan(o.snr) else o.snr)


def worth_leaving(
    outputs: Sequence[OutputAccuracy], layers: Sequence[LayerSensitivity]
) -> tuple[LayerSensitivity, ...]:
    """The layers that are worth leaving in float: without them the outputs are better by far.

    Args:
        outputs: where every layer is rounded.
        layers: all, in any order.
    """
    snr = worst_output(outputs).snr
    if not math.isfinite(snr):
        return ()
    found = [layer for layer in layers if layer.gain >= LEAST_GAIN and (snr < _GOOD or layer.fault)]
    found.sort(key=lambda layer: (-layer.gain, worst_output(layer.alone).snr))
    return tuple(found[:_LEFT_IN_FLOAT])


def by_cost(layer: LayerSensitivity) -> tuple[bool, float, float]:
    """Sorts layers: that whose rounding alone costs most first."""
    alone = worst_output(layer.alone).snr
    return math.isnan(alone), alone, -layer.gain


def db(snr: float) -> str:
    """An SNR for people."""
    return "equal" if snr == math.inf else "" if math.isnan(snr) else f"{snr:.1f} dB"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _one_or_all(numbers: Sequence[float]) -> float | list[float]:
    return numbers[0] if len(numbers) == 1 else list(numbers)


def _numbers(numbers: Sequence[float]) -> str:
    distinct = sorted(set(numbers))
    if len(distinct) == 1:
        return f"{distinct[0]:.4g}"
    return f"{distinct[0]:.4g} to {distinct[-1]:.4g}"
