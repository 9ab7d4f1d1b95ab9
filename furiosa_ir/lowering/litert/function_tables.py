"""256-entry tables of LiteRT's unary 8-bit kernels, indexed by ``q + 128`` for int8 ``q``.

uint8 tensors are int8 tensors less 128, zero points included; each kernel depends on
``q - zero_point`` only, so one table serves both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from furiosa_ir.errors import CompilationFailure
from furiosa_ir.lowering.litert import factors
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import quantize_multiplier, rescale
from furiosa_ir.numerics.gemmlowp import (
    exp_on_negative_values,
    rounding_divide_by_pot,
    rounding_high_multiply,
    saturating_left_shift,
)

Float32: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Table: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]

CODES = np.arange(-128, 128, dtype=np.int32)


class Quantization(NamedTuple):
    """Per-tensor parameters of an int8 tensor."""

    scale: float
    zero_point: int


def from_function(
    function: Callable[[Float32], Float32], source: Quantization, target: Quantization
) -> Table:
    """``LUTPopulate``: LOGISTIC, TANH, EXP, LOG, GELU. All in float32."""
    x = np.float32(source.scale) * (CODES - source.zero_point).astype(np.float32)
    inverse_scale = np.float32(1) / np.float32(target.scale)
    with np.errstate(over="ignore", invalid="ignore"):
        return _quantize(function(x) * inverse_scale, target.zero_point)


def _quantize(scaled: Float32, zero_point: int) -> Table:
    """``round(scaled) + zero_point``, ties away from zero, clamped."""
    rounded = np.trunc(scaled.astype(np.float64) + np.copysign(0.5, scaled))
    return np.clip(rounded + zero_point, -128, 127).astype(np.int8)


def _correctly_rounded(function: Callable[..., Any]) -> Callable[[Float32], Float32]:
    """A float32 function as glibc computes it: in float64, rounded once."""

    def apply(x: Float32) -> Float32:
        with np.errstate(over="ignore"):
            return function(x.astype(np.float64)).astype(np.float32)

    return apply


exp = _correctly_rounded(elementary.exp)
tanh = _correctly_rounded(elementary.tanh)


def logistic(x: Float32) -> Float32:
    """``1 / (1 + exp(-x))`` with each step rounded to float32."""
    return np.float32(1) / (np.float32(1) + exp(-x))


_erfc = _correctly_rounded(elementary.erfc)
_expm1 = _correctly_rounded(elementary.expm1)


def elu(x: Float32) -> Float32:
    """``x < 0 ? expm1(x) : x``; the reference resolver lacks ELU, the default one has this."""
    return np.where(x < 0, _expm1(x), x)


def gelu(x: Float32) -> Float32:
    """``0.5 * x * erfc(-x / sqrt(2))``."""
    argument = x * np.float32(math.sqrt(0.5))
    return np.float32(0.5) * x * _erfc(-argument)


def gelu_approximate(x: Float32) -> Float32:
    """``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``."""
    root, cubic, half = (np.float32(c) for c in (math.sqrt(2 / math.pi), 0.044715, 0.5))
    argument: Float32 = (root * (x + cubic * x * x * x)).astype(np.float32)
    return (half * x * (np.float32(1) + tanh(argument))).astype(np.float32)


def log(source: Quantization, target: Quantization) -> Table:
    """LOG; values <= 0 give the smallest representable output."""
    minimum = np.float32(-128 - target.zero_point) * np.float32(target.scale)

    def function(x: Float32) -> Float32:
        positive = np.where(x > 0, x, np.float32(1)).astype(np.float64)
        return np.where(x > 0, elementary.log(positive).astype(np.float32), minimum)

    return from_function(function, source, target)


def leaky_relu(source: Quantization, target: Quantization, alpha: float) -> Table:
    """``QuantizeLeakyRelu``: one factor for each sign."""
    identity = factors.ratio_float(source.scale, target.scale)
    slope = np.float32(source.scale) * np.float32(alpha) / np.float32(target.scale)
    negative = factors.factor(float(slope))
    x = CODES - source.zero_point
    positive_part = rescale(x, *identity, rounding="double", dtype=np.int32)
    negative_part = rescale(
        x, abs(negative.multiplier), negative.shift, rounding="double", dtype=np.int32
    )
    if negative.multiplier < 0:
        negative_part = -negative_part
    values = np.where(x >= 0, positive_part, negative_part) + target.zero_point
    return np.clip(values, -128, 127).astype(np.int8)


def absolute(source: Quantization, target: Quantization) -> Table:
    """ABS (``AbsEvalQuantized``)."""
    x = np.abs(CODES - source.zero_point)
    identity = factors.ratio_float(source.scale, target.scale)
    return rescale(x, *identity, output_zero_point=target.zero_point, rounding="double")


NEGATED: Table = (-CODES).astype(np.int8)
"""NEG negates the stored integer, zero point or not; -128 wraps to itself."""


def sqrt(source: Quantization, target: Quantization) -> Table:
    """SQRT (``SqrtEvalQuantized``) truncates; LiteRT refuses inputs below the zero point."""
    x = np.float32(source.scale) * (CODES - source.zero_point).astype(np.float32)
    scaled = np.sqrt(np.maximum(x, np.float32(0))) / np.float32(target.scale)
    return np.clip(np.trunc(scaled) + target.zero_point, -128, 127).astype(np.int8)


def rsqrt(source: Quantization, target: Quantization) -> Table:
    """RSQRT (``RsqrtEvalQuantizedInt8``): LiteRT refuses inputs below the zero point."""
    multiplier, shift = quantize_multiplier(_rsqrt_factor(source.scale, target.scale))
    x = CODES - source.zero_point
    roots = np.array([_inverse_square_root(value) for value in x.tolist()])
    values = rescale(
        roots,
        multiplier,
        shift + _RSQRT_FRACTION_BITS,
        output_zero_point=target.zero_point,
        rounding="double",
    )
    return np.where(x > 0, values, 127).astype(np.int8)


def rsqrt_fits(source: float, target: float) -> bool:
    """Whether RSQRT between tensors of such scales shifts by -31 to 31 bits."""
    exponent = math.frexp(_rsqrt_factor(source, target))[1]
    return _RSQRT_FRACTION_BITS - 31 <= exponent <= 31


def _rsqrt_factor(source: float, target: float) -> float:
    root = np.sqrt(np.float32(source)) * np.float32(target)
    return 1.0 / float(root) if root else math.inf


_RSQRT_FRACTION_BITS = 20


def _inverse_square_root(value: int) -> int:
    """``value ** -0.5 * 2**20`` (``GetInvSqrtQuantizedMultiplierExp``): Newton-Raphson, Q3.28."""
    multiplier, right_shift = (1 << 31) - 1, 0
    if value > 1:
        pairs = (31 - value.bit_length()) // 2 - 1
        right_shift = 11 - pairs
        half_input = np.array([((value << 2 * pairs >> 1) + 1) >> 1])
        x = np.array([1 << 28])
        for _ in range(5):
            square = rounding_high_multiply(x, x)
            cube = saturating_left_shift(rounding_high_multiply(square, x), 6)
            step = rounding_high_multiply(x, 3 << 27) - rounding_high_multiply(half_input, cube)
            x = saturating_left_shift(step, 3)
        multiplier = int(rounding_high_multiply(x, 1518500250)[0])  # sqrt(2) / 2
    one = np.array([1])
    shift = 31 + right_shift - _RSQRT_FRACTION_BITS
    return int(rescale(one, multiplier, shift, rounding="double", dtype=np.int32)[0])


def hard_swish(source: Quantization, target: Quantization) -> Table:
    """HARD_SWISH (``reference_ops::HardSwish``): 16-bit fixed point."""
    output_real, reluish_real = _hard_swish_factors(source.scale, target.scale)
    output_factor = quantize_multiplier(output_real)
    reluish_factor = quantize_multiplier(reluish_real)
    exponent = 31 - reluish_factor[1]
    x = (CODES - source.zero_point).astype(np.int64) << 7
    preshift = _high_multiply_int16(x, _to_int16(output_factor[0]))
    reluish = x
    if exponent > 0:
        reluish = _saturate_int16(reluish << (exponent - 1))
    reluish = _high_multiply_int16(reluish, _to_int16(reluish_factor[0]))
    if exponent > 0:
        reluish = _saturate_int16(reluish << 1)
    if exponent < 0:
        reluish = rounding_divide_by_pot(reluish, -exponent)
    reluish = (reluish + (1 << 15)) >> 1
    # SaturatingDoublingHighMul truncates towards zero.
    product = reluish * preshift
    value = np.sign(product) * (np.abs(product) >> 15)
    value = rounding_divide_by_pot(value, output_factor[1] - 31)
    return np.clip(value + target.zero_point, -128, 127).astype(np.int8)


def hard_swish_fits(source: float, target: float) -> bool:
    """Whether HARD_SWISH between tensors of such scales shifts its 16-bit numbers by less."""
    output, reluish = (math.frexp(f)[1] for f in _hard_swish_factors(source, target))
    return -16 < output <= 0 and -16 < reluish < 16


def _hard_swish_factors(source: float, target: float) -> tuple[float, float]:
    """Of the result and of the gate."""
    hires_scale = np.float32(1 / 128) * np.float32(source)
    return float(hires_scale / np.float32(target)), float(hires_scale / np.float32(3 / 32768))


def _to_int16(multiplier: int) -> int:
    """``DownScaleInt32ToInt16Multiplier``."""
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1)


def _high_multiply_int16(a: Array, b: int) -> Array:
    return (a * b + (1 << 14)) >> 15


def _saturate_int16(x: Array) -> Array:
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def requantize_float(source: Quantization, target: Quantization) -> Table:
    """One input of a uint8 CONCATENATION with another scale (``ConcatenationWithScaling``)."""
    inverse = np.float32(1) / np.float32(target.scale)
    scale = np.float32(source.scale) * inverse
    # The kernel sees unsigned codes, and float32 rounds input * scale + bias as it does there.
    bias = np.float32(-(source.zero_point + 128)) * scale
    scaled = (CODES + 128).astype(np.float32) * scale + bias
    return _quantize(scaled, target.zero_point)


@lru_cache(maxsize=1 << 8)
def add_operand(
    zero_point: int, factor: factors.Factor, left_shift: int = factors.ADD_LEFT_SHIFT
) -> Array:
    """An operand of ADD or SUB: ``(q - zero_point) * 2**20`` times its factor, int32[256]."""
    x = (CODES - zero_point) << left_shift
    return rescale(x, *factor, rounding="double", dtype=np.int32)


def softmax_exp(scale: float, beta: float) -> Array:
    """SOFTMAX: ``exp`` in Q0.31 of the differences 0, -1, ..., -255, as int32[256]."""
    scaled, smallest = _softmax_differences(scale, beta)
    counts = -np.arange(256) >= smallest
    return np.where(counts, exp_on_negative_values(scaled), 0).astype(np.int32)


def log_softmax_difference(scale: float) -> Array:
    """LOG_SOFTMAX: the differences 0, -1, ..., -255 in Q5.26, as int32[256].

    Not below -20: from -16 on the result is the smallest stored integer, and the kernel cuts off
    (``adjusted_diff_min``) somewhere between -31 and -23.
    """
    scaled, smallest = _softmax_differences(scale, 1.0)
    lowest = -20 << 26
    counts = -np.arange(256) >= smallest
    return np.where(counts, np.maximum(scaled, lowest), lowest).astype(np.int32)


def _softmax_differences(scale: float, beta: float) -> tuple[Array, int]:
    """``PreprocessSoftmaxScaling``: 0, -1, ..., -255 times scale and beta in Q5.26; `diff_min`.

    What lies below `diff_min` has its value.

    Raises:
        CompilationFailure: LiteRT ends the process at a factor of 1 or less
            (``QuantizeMultiplierGreaterThanOne``).
    """
    real = min(float(np.float32(beta)) * float(np.float32(scale)) * (1 << 26), (1 << 31) - 1.0)
    if not real > 1:
        raise CompilationFailure(f"LiteRT has no SOFTMAX of the scale {scale:g} and beta {beta:g}")
    multiplier, shift = quantize_multiplier(real)
    left = 31 - shift
    smallest = -math.floor(31 * (1 << 26) / (1 << left))
    difference = np.maximum(-np.arange(256, dtype=np.int64), smallest)
    return rounding_high_multiply(difference << left, multiplier), smallest
