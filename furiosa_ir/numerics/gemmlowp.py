"""gemmlowp's fixed-point functions, of which LiteRT's kernels are made, bit for bit.

Source: gemmlowp/fixedpoint/fixedpoint.h, tensorflow/lite/kernels/internal/common.h.
"""

from __future__ import annotations

import numpy as np

from furiosa_ir.numerics.array import Array


def rounding_divide_by_pot(x: Array, exponent: int | Array) -> Array:
    """gemmlowp ``RoundingDivideByPOT``: ``x * 2**-exponent``, ties away from zero, int64."""
    value = np.asarray(x, np.int64)
    half = np.left_shift(np.int64(1), exponent) >> 1
    return (value + half + np.where(np.asarray(exponent) > 0, value >> 63, 0)) >> exponent


def rounding_high_multiply(a: Array, b: int | Array) -> Array:
    """gemmlowp ``SaturatingRoundingDoublingHighMul`` of int32 values: ``a * b * 2**-31``, int64.

    Ties go up; the one product that saturates, (-2**31)**2, becomes 2**31 - 1.
    """
    product = np.multiply(a, b, dtype=np.int64)
    return np.minimum((product + (1 << 30)) >> 31, (1 << 31) - 1)


def saturating_left_shift(x: Array, exponent: int) -> Array:
    """gemmlowp ``SaturatingRoundingMultiplyByPOT`` with a positive exponent, on int32 values."""
    return np.clip(np.asarray(x, np.int64) << exponent, -(1 << 31), (1 << 31) - 1)


# exp(-2**k) in Q0.31, k = -2 ... 4
_EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp_on_negative_values(x: Array) -> Array:
    """gemmlowp ``exp_on_negative_values``: ``exp`` of Q5.26 values <= 0, as Q0.31 in int64."""
    value = np.asarray(x, np.int64)
    quarter = 1 << 24
    fraction = (value & (quarter - 1)) - quarter
    remainder = fraction - value
    # Taylor series around -1/8 on (-1/4, 0], in Q0.31.
    t = (fraction << 5) + (1 << 28)
    t2 = rounding_high_multiply(t, t)
    t3 = rounding_high_multiply(t2, t)
    t4 = rounding_high_multiply(t2, t2)
    cubic = rounding_high_multiply(rounding_divide_by_pot(t4, 2) + t3, 715827883)  # 1/3
    tail = rounding_divide_by_pot(cubic + t2, 1)
    exp_minus_eighth = 1895147668
    result = exp_minus_eighth + rounding_high_multiply(t + tail, exp_minus_eighth)
    for k, factor in enumerate(_EXP_FACTORS):
        bit = (remainder >> (24 + k)) & 1
        result = np.where(bit == 1, rounding_high_multiply(result, factor), result)
    return np.where(value == 0, (1 << 31) - 1, result)


def reciprocal(x: Array, integer_bits: int) -> tuple[Array, Array]:
    """LiteRT ``GetReciprocal`` of positive Q``integer_bits`` int32 values.

    Returns ``(scale, bits)`` in int64: ``1 / x = scale * 2**-31 * 2**-bits`` with a scale in Q0.31
    from three Newton-Raphson steps, ``bits`` being ``num_bits_over_unit``.
    """
    value = np.asarray(x, np.int64)
    # frexp is exact below 2**53: the exponent is the bit length.
    leading_zeros = 32 - np.frexp(value.astype(np.float64))[1].astype(np.int64)
    one = (1 << 31) - 1
    total = (value << leading_zeros) - (1 << 31) + one
    half_denominator = (total + 1) >> 1  # RoundingHalfSum of a non-negative sum
    estimate = 1515870810 + rounding_high_multiply(half_denominator, -1010580540)  # 48/17, -32/17
    for _ in range(3):
        error = (1 << 29) - rounding_high_multiply(half_denominator, estimate)
        estimate = estimate + saturating_left_shift(rounding_high_multiply(estimate, error), 2)
    return saturating_left_shift(estimate, 1), integer_bits - leading_zeros
