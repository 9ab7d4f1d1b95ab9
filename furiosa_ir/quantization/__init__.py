"""Float networks to int8 ones, with calibration data and a report of what that costs.

ONNX networks go through onnxruntime's quantiser, TFLite ones through ai-edge-quantizer.
"""

from __future__ import annotations

from furiosa_ir.quantization.accuracy import OutputAccuracy
from furiosa_ir.quantization.calibration import Calibration
from furiosa_ir.quantization.layers import LayerAccuracy
from furiosa_ir.quantization.process import quantize
from furiosa_ir.quantization.report import ACTIVATIONS, METHODS, QuantizationReport

__all__ = [
    "ACTIVATIONS",
    "METHODS",
    "Calibration",
    "LayerAccuracy",
    "OutputAccuracy",
    "QuantizationReport",
    "quantize",
]
