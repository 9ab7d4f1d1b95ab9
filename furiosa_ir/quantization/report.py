"""What a quantisation was asked for, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from furiosa_ir.quantization.accuracy import OutputAccuracy
from furiosa_ir.quantization.layers import LayerAccuracy

METHODS = ("minmax", "entropy", "percentile")
"""How a tensor's range follows from its values: all of them; the one that loses least information;
the one that holds 99.999 % of them."""

ACTIVATIONS = ("int8", "uint8")
"""Stored types of activations."""


@dataclass(frozen=True)
class QuantizationReport:
    """What quantising a network came to.

    Attributes:
        source, output: the files.
        framework: "onnx" or "tflite".
        method, per_channel, activation, exclude: as asked for.
        samples: how many there were.
        seconds: for reading, calibrating and quantising, without the comparison.
        source_bytes, output_bytes: file sizes.
        float_operators: how many operators of each kind stay in float (ONNX).
        outputs: how near each output is to the float network's, on the calibration samples.
        layers: how near each quantised layer is, on some of them.
    """

    source: str
    output: str
    framework: str
    method: str
    per_channel: bool
    activation: str
    exclude: tuple[str, ...]
    samples: int
    seconds: float
    source_bytes: int
    output_bytes: int
    float_operators: dict[str, int]
    outputs: tuple[OutputAccuracy, ...]
    layers: tuple[LayerAccuracy, ...]

    def as_json(self) -> dict[str, Any]:
        """For `furiosa quantize --report`."""
        fields = {k: v for k, v in vars(self).items() if k not in ("outputs", "layers")}
        return {
            **fields,
            "exclude": list(self.exclude),
            "outputs": [o.as_json() for o in self.outputs],
            "layers": [layer.as_json() for layer in self.layers],
        }
