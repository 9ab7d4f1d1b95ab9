"""The factors that LiteRT's kernels derive from scales, in LiteRT's own float arithmetic.

Scales are float32 values. Whether a kernel multiplies them as float32 or as float64 decides the
last bit of a 31-bit multiplier, so each function names the C++ it follows. All of this runs at
compile time; only the integers it returns reach the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from furiosa_ir.numerics.array import Array, Reals
from furiosa_ir.numerics.fixed_point import (
    MAX_SHIFT,
    quantize_multiplier,
    quantize_multipliers,
    rescale,
)

if TYPE_CHECKING:
    import numpy.typing as npt


class Factor(NamedTuple):
    """A real factor ``multiplier * 2**-shift``."""

    multiplier: int
    shift: int


class AddFactors(NamedTuple):
    """The three factors of ADD and SUB (inputs times 2**20) and of SQUARED_DIFFERENCE (2**7)."""

    input1: Factor
    input2: Factor
    output: Factor


ADD_LEFT_SHIFT = 20
SQUARED_DIFFERENCE_LEFT_SHIFT = 7


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
) -> tuple[Array, Array]:
    """``PopulateConvolutionQuantizationParams``, int8: float64 throughout.

    Returns:
        Multipliers and shifts, one a channel.
    """
    return quantize_multipliers(real_factors(input_scale, filter_scales, output_scale))


def per_tensor(input_scale: float, filter_scale: float, output_scale: float) -> Factor:
    """``GetQuantizedConvolutionMultipler``: uint8 convolutions, BATCH_MATMUL.

    The product of the input and filter scales is taken in float32.
    """
    product = float(np.float32(input_scale) * np.float32(filter_scale))
    return factor(product / float(np.float32(output_scale)))


def product(scale1: float, scale2: float, output_scale: float) -> Factor:
    """MUL and PRELU: ``scale1 * scale2 / output_scale``, all in float32."""
    return factor(float(np.float32(scale1) * np.float32(scale2) / np.float32(output_scale)))


def quotient(scale1: float, scale2: float, output_scale: float) -> Factor:
    """DIV: ``scale1 / (scale2 * output_scale)``, all in float32."""
    divisor = np.float32(scale2) * np.float32(output_scale)
    return factor(float(np.float32(scale1) / divisor))


def add(scale1: float, scale2: float, output_scale: float) -> AddFactors:
    """ADD and SUB (``PrepareGeneralAddOp``): inputs relative to twice the larger scale."""
    first, second = float(np.float32(scale1)), float(np.float32(scale2))
    twice_max = 2.0 * max(first, second)
    output = twice_max / ((1 << ADD_LEFT_SHIFT) * float(np.float32(output_scale)))
    return AddFactors(factor(first / twice_max), factor(second / twice_max), factor(output))


def squared_difference(scale1: float, scale2: float, output_scale: float) -> AddFactors:
    """SQUARED_DIFFERENCE: inputs as ADD's; the result of the difference's square."""
    first, second = float(np.float32(scale1)), float(np.float32(scale2))
    twice_max = 2.0 * max(first, second)
    unit = (1 << 2 * SQUARED_DIFFERENCE_LEFT_SHIFT) * float(np.float32(output_scale))
    output = factor(twice_max * twice_max / unit)
    return AddFactors(factor(first / twice_max), factor(second / twice_max), output)


def mean(input_scale: float, output_scale: float, count: int) -> Factor:
    """MEAN over ``count`` elements (``QuantizedMeanOrSum``): 1 / count joins the multiplier."""
    multiplier, shift = ratio(input_scale, output_scale)
    left = min(count.bit_length() - 1, 32, 62 - shift)
    return Factor((multiplier << left) // count, shift + left)


def real_factors(input_scale: float, filter_scales: Sequence[float], output_scale: float) -> Reals:
    """``effective_output_scale``, one a channel; FULLY_CONNECTED applies it as a float64."""
    left, right = float(np.float32(input_scale)), float(np.float32(output_scale))
    return left * np.asarray(filter_scales, np.float32).astype(np.float64) / right


CODES = 256


def first_reaching(real: Reals) -> Array:
    """The least accumulator that ``round(acc * real)`` takes to k + 1, for k = 0 ... 255.

    ``real`` is [C], the result [C, 256] in int64. The product is rounded to float64 as in C.
    """
    real = real[:, None]
    threshold = np.arange(CODES) + 0.5
    acc = np.ceil(threshold / real)
    acc = np.where((acc - 1) * real >= threshold, acc - 1, acc)
    return np.where(acc * real >= threshold, acc, acc + 1).astype(np.int64)


def _rounded_products(acc: Array, real: Reals) -> Array:
    """``round(acc * real)`` in float64, for acc >= 0: ties away from zero."""
    products = acc * real
    below = np.floor(products)
    return (below + (products - below >= 0.5)).astype(np.int64)


def matching(real: Reals, reach: Array) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """31-bit factors that round ("away") just as float64 does, for |accumulators| <= reach.

    ``real`` and ``reach`` are [C]. Returns multiplier, shift and whether they match, each [C].
    Of all 31-bit multipliers only the two neighbours of the real factor can match; 0 stands for
    factors that take every accumulator to 0.
    """
    vanishing = real * reach < 0.5
    real = np.where(vanishing, 1.0, real)
    mantissa, exponent = np.frexp(real)
    shift = 31 - exponent.astype(np.int64)
    lower = np.floor(mantissa * (1 << 31)).astype(np.int64)
    firsts = first_reaching(real)
    # Both sides of every step of the output.
    acc = np.concatenate([firsts, firsts - 1], 1)
    reached = acc <= reach[:, None]
    acc = np.where(reached, acc, 0)
    expected = _rounded_products(acc, real[:, None])
    multiplier, match = lower, np.zeros(len(real), np.bool_)
    usable = (shift >= 0) & (shift <= MAX_SHIFT)
    for candidate in (lower, lower + 1):
        got = rescale(
            acc,
            candidate[:, None],
            np.where(usable, shift, 0)[:, None],
            rounding="away",
            dtype=np.int64,
        )
        good = usable & (candidate < 1 << 31) & (got == expected).all(1)
        multiplier = np.where(good, candidate, multiplier)
        match |= good
    return np.where(vanishing, 0, multiplier), np.where(vanishing, 0, shift), match | vanishing


WIDE_BITS = 45
WIDE_LOW_BITS = 30


def wide_factor(real: float) -> Factor:
    """A 45-bit multiplier for accumulators of up to 31 bits, where 31 bits do not match.

    Rounded away from zero, so that what float64 sees as a tie lies just above it.
    """
    mantissa, exponent = math.frexp(real)
    return Factor(math.ceil(mantissa * (1 << WIDE_BITS)), WIDE_BITS - exponent)


def round_half_away(value: float) -> int:
    """``TfLiteRound``: to nearest, ties away from zero."""
    magnitude = math.floor(abs(value))
    magnitude += abs(value) - magnitude >= 0.5
    return magnitude if value >= 0 else -magnitude


def quantize(value: float, scale: float, zero_point: int) -> int:
    """``zero_point + round(value / scale)`` with a float32 division."""
    return zero_point + round_half_away(float(np.float32(value) / np.float32(scale)))


def stored_range(
    low: float | None, high: float | None, scale: float, zero_point: int
) -> tuple[int, int]:
    """``CalculateActivationRangeQuantized``: the int8 limits of an activation's real bounds."""
    minimum = -128 if low is None else max(-128, quantize(low, scale, zero_point))
    maximum = 127 if high is None else min(127, quantize(high, scale, zero_point))
    return minimum, maximum


def division(count: int) -> Factor:
    """1 / count, rounded up: it divides a sum of ``count`` 8-bit integers exactly to nearest.

    Ties go away from zero with rounding "away" (AVERAGE_POOL_2D). The excess of the product, below
    255 * count * 2**-shift, does not reach the next tie, 1 / (2 * count) further.
    """
    shift = 30 + count.bit_length() - 1
    return Factor(-(-(1 << shift) // count), shift)
