"""The factors that LiteRT's kernels derive from scales, in LiteRT's own float arithmetic.

Scales are float32 values. Whether a kernel multiplies them as float32 or as float64 decides the
last bit of a 31-bit multiplier, so each function names the C++ it follows. All of this runs at
compile time; only the integers it returns reach the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from furiosa_ir.ir.fixed_point import quantize_multiplier


class Factor(NamedTuple):
    """A real factor ``multiplier * 2**-shift``."""

    multiplier: int
    shift: int


class AddFactors(NamedTuple):
    """The three factors of ADD and SUB; both inputs are first multiplied by 2**20."""

    input1: Factor
    input2: Factor
    output: Factor


ADD_LEFT_SHIFT = 20


def factor(real: float) -> Factor:
    """``QuantizeMultiplier``."""
    return Factor(*quantize_multiplier(real))


def ratio(input_scale: float, output_scale: float) -> Factor:
    """Of float64 division: QUANTIZE, MEAN (``static_cast<double>`` on both scales)."""
    return factor(float(np.float32(input_scale)) / float(np.float32(output_scale)))


def ratio_float(input_scale: float, output_scale: float) -> Factor:
    """Of float32 division: RELU*, LEAKY_RELU, PRELU, ABS (``input.scale / output.scale``)."""
    return factor(float(np.float32(input_scale) / np.float32(output_scale)))


def per_channel(
    input_scale: float, filter_scales: Sequence[float], output_scale: float
) -> list[Factor]:
    """``PopulateConvolutionQuantizationParams``, int8: float64 throughout."""
    left, right = float(np.float32(input_scale)), float(np.float32(output_scale))
    return [factor(left * float(np.float32(scale)) / right) for scale in filter_scales]


def per_tensor(input_scale: float, filter_scale: float, output_scale: float) -> Factor:
    """``GetQuantizedConvolutionMultipler``: uint8 convolutions and per-tensor FULLY_CONNECTED.

    The product of the input and filter scales is taken in float32.
    """
    product = float(np.float32(input_scale) * np.float32(filter_scale))
    return factor(product / float(np.float32(output_scale)))


def product(scale1: float, scale2: float, output_scale: float) -> Factor:
    """MUL and PRELU: ``scale1 * scale2 / output_scale``, all in float32."""
    return factor(float(np.float32(scale1) * np.float32(scale2) / np.float32(output_scale)))


def add(scale1: float, scale2: float, output_scale: float) -> AddFactors:
    """ADD and SUB (``PrepareGeneralAddOp``): inputs relative to twice the larger scale."""
    first, second = float(np.float32(scale1)), float(np.float32(scale2))
    twice_max = 2.0 * max(first, second)
    output = twice_max / ((1 << ADD_LEFT_SHIFT) * float(np.float32(output_scale)))
    return AddFactors(factor(first / twice_max), factor(second / twice_max), factor(output))


def mean(input_scale: float, output_scale: float, count: int) -> Factor:
    """MEAN over ``count`` elements (``QuantizedMeanOrSum``): 1 / count joins the multiplier."""
    multiplier, shift = ratio(input_scale, output_scale)
    left = min(count.bit_length() - 1, 32, 62 - shift)
    return Factor((multiplier << left) // count, shift + left)


def round_half_away(value: float) -> int:
    """``TfLiteRound``: to nearest, ties away from zero."""
    magnitude = math.floor(abs(value))
    magnitude += abs(value) - magnitude >= 0.5
    return magnitude if value >= 0 else -magnitude


def quantize(value: float, scale: float, zero_point: int) -> int:
    """``zero_point + round(value / scale)`` with a float32 division."""
    return zero_point + round_half_away(float(np.float32(value) / np.float32(scale)))


ACTIVATION_BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "none": (None, None),
    "relu": (0.0, None),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
    "relu_0_to_1": (0.0, 1.0),
}


def activation_range(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """``CalculateActivationRangeQuantized``: the int8 limits of a fused activation."""
    low, high = ACTIVATION_BOUNDS[activation]
    minimum = -128 if low is None else max(-128, quantize(low, scale, zero_point))
    maximum = 127 if high is None else min(127, quantize(high, scale, zero_point))
    return minimum, maximum
