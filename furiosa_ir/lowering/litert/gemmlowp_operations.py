"""gemmlowp's fixed point on values that only the running network knows: 31-bit fractions in i32.

LiteRT's kernels divide, take roots and logarithms by Newton-Raphson steps on such fractions, one
number a row. `furiosa_ir.numerics.fixed_point` has the same functions on numbers that are known at
compile time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.numerics.array import Array

INT32: dict[str, Any] = {"element": i32, "minimum": -(1 << 31), "maximum": (1 << 31) - 1}

_BYTES = 4
_LEVELS = np.arange(256)


def lookup(x: SSAValue, table: Array, element: Attribute, emit: Emitter) -> SSAValue:
    """table[x + 128], the table having 256 entries of `element`."""
    return emit.emit(arithmetic.LookupOp, [x, emit.constant(table, element)], element)


def scaled(
    a: SSAValue,
    multiplier: SSAValue,
    shift: SSAValue,
    emit: Emitter,
    rounding: str = "up",
    *,
    element: Attribute = i32,
    input_zp: int = 0,
    output_zp: int = 0,
) -> SSAValue:
    """(a - input_zp) * multiplier * 2**-shift + output_zp, the factor being data."""
    low, high = (-128, 127) if element == i8 else (INT32["minimum"], INT32["maximum"])
    return emit.emit(
        arithmetic.RescaleOp,
        [a, multiplier, shift],
        element,
        input_zp=input_zp,
        output_zp=output_zp,
        minimum=low,
        maximum=high,
        rounding=rounding,
    )


def high_multiply(a: SSAValue, b: SSAValue | int, emit: Emitter) -> SSAValue:
    """``SaturatingRoundingDoublingHighMul``: a * b * 2**-31, ties up; b is of a's extents or 1."""
    if isinstance(b, int):
        return emit.rescale(a, b, 31, rounding="up", **INT32)
    return scaled(a, b, emit.scalar(31, i8), emit)


def shifted_left(a: SSAValue, bits: int, emit: Emitter) -> SSAValue:
    """``SaturatingRoundingMultiplyByPOT``: a * 2**bits, saturated."""
    return emit.rescale(a, 1 << bits, 0, rounding="floor", **INT32)


def added(a: SSAValue, b: SSAValue, emit: Emitter) -> SSAValue:
    """a + b in i32."""
    return emit.emit(arithmetic.AddOp, [a, b], i32)


def by_bit_length(
    x: SSAValue, tables: list[tuple[Array, Attribute]], emit: Emitter
) -> list[SSAValue]:
    """Numbers that depend on how many bits x has, as a processor's count of leading zeros does.

    Args:
        x: i32, at least 0.
        tables: for each result its values by bit length, 0 to 31 ([32]), and its element type.
        emit: where to.
    """
    length: SSAValue | None = None
    # A byte's table is right where no higher byte has a bit; those decide otherwise.
    for index in range(_BYTES):
        byte = emit.rescale(x, 1, 8 * index, rounding="floor", output_zp=-128)
        own = np.frexp(_LEVELS.astype(np.float64))[1]
        bits = lookup(byte, np.where(own > 0, own + 8 * index, 0), i8, emit)
        length = bits if length is None else emit.emit(arithmetic.MaximumOp, [length, bits])
    assert length is not None
    by_index = [np.concatenate([np.zeros(128), t, np.zeros(96)]) for t, _ in tables]
    return [lookup(length, t, e, emit) for t, (_, e) in zip(by_index, tables, strict=True)]


def one_over_one_plus(x: SSAValue, emit: Emitter) -> SSAValue:
    """``one_over_one_plus_x_for_x_in_0_1``: 1 / (1 + x), both Q0.31."""
    return reciprocal_of_half(
        emit.rescale(x, 1, 1, rounding="floor", input_zp=-(1 << 31), **INT32), emit
    )


def reciprocal_of_half(denominator: SSAValue, emit: Emitter) -> SSAValue:
    """1 / (2 d) as Q0.31 for d in [1/2, 1], Q0.31: three Newton-Raphson steps in Q2.29."""
    # 48/17 - 32/17 * d, then x += x * (1 - d * x).
    x = emit.rescale(denominator, -1010580540, 31, rounding="up", output_zp=1515870810, **INT32)
    for _ in range(3):
        product = high_multiply(denominator, x, emit)
        error = emit.emit(arithmetic.SubOp, [emit.scalar(1 << 29, i32), product], i32)
        x = added(x, shifted_left(high_multiply(x, error, emit), 2, emit), emit)
    return shifted_left(x, 1, emit)


def inverse_root(x: SSAValue, emit: Emitter) -> tuple[SSAValue, SSAValue]:
    """``GetInvSqrtQuantizedMultiplierExp``: x**-0.5 = multiplier * 2**(-31 - right).

    x is an i32 of at least 0; 0 counts as 1. Five Newton-Raphson steps in Q3.28.

    Returns:
        `multiplier` (i32) and `right` (i8, -3 to 12), both of x's shape. LiteRT moves a negative
        `right` into the multiplier, which changes no product.
    """
    # 2**27 <= x * 4**pairs < 2**29, pairs being -1 for what has 30 or 31 bits.
    pairs = (29 - np.maximum(np.arange(32), 1)) // 2
    pairs[30:] = -1
    left, down, right = by_bit_length(
        x, [(1 << np.maximum(2 * pairs, 0), i32), (2 * (pairs < 0), i8), (11 - pairs, i8)], emit
    )
    at_least_one = emit.emit(arithmetic.MaximumOp, [x, emit.scalar(1, i32)], i32)
    normal = scaled(at_least_one, left, down, emit, "floor")
    half = emit.rescale(
        emit.rescale(normal, 1, 1, rounding="floor", **INT32), 1, 1, rounding="up", **INT32
    )
    root = emit.rescale(x, 0, 0, rounding="floor", output_zp=1 << 28, **INT32)
    for _ in range(5):
        square = high_multiply(root, root, emit)
        cube = shifted_left(high_multiply(square, root, emit), 6, emit)
        step = emit.emit(
            arithmetic.SubOp,
            [high_multiply(root, 3 << 27, emit), high_multiply(half, cube, emit)],
            i32,
        )
        root = shifted_left(step, 3, emit)
    return high_multiply(root, SQRT_HALF, emit), right


SQRT_HALF = 1518500250
LOG_2 = 1488522236
SQRT_SQRT_HALF = 1805811301
_LOG_NUMERATOR = 117049297
"""11/240 * 2**(1/4) in Q0.31, as the others here; names as in gemmlowp's expression."""
_LOG_DENOMINATOR = 127690142
"""1/20 * 2**(1/4)."""
_LOG_LINEAR = 1057819769
"""2 / 2**(1/4) - 2**(1/4)."""
_LOG_FACTOR = 638450708
"""1/4 * 2**(1/4)."""


def logarithm(x: SSAValue, emit: Emitter) -> SSAValue:
    """``log_x_for_x_greater_than_or_equal_to_1``: the natural logarithm, Q12.19 -> Q5.26.

    x = r * 2**k with r nearest to 2**(-1/4), from x itself or from x * sqrt(1/2); log(r) is a
    quotient of polynomials around that.
    """
    bits = np.arange(32)
    left, power = by_bit_length(
        x,
        [
            (1 << np.clip(31 - bits, 0, 30), i32),
            (np.clip((bits - 20 << 25) + (1 << 23), -(1 << 30), 1 << 30), i32),
        ],
        emit,
    )
    zero = emit.scalar(0, i8)
    r_a = shifted_left(high_multiply(scaled(x, left, zero, emit), SQRT_HALF, emit), 1, emit)
    smaller = high_multiply(x, SQRT_HALF, emit)
    left_b, power_b = by_bit_length(
        smaller,
        [
            (1 << np.clip(31 - bits, 0, 30), i32),
            (np.clip((bits - 19 << 25) - (1 << 23), -(1 << 30), 1 << 30), i32),
        ],
        emit,
    )
    r = emit.emit(arithmetic.MinimumOp, [r_a, scaled(x, left_b, zero, emit)], i32)
    power = emit.emit(arithmetic.MaximumOp, [power, power_b], i32)
    half_sum = emit.rescale(r, 1, 1, rounding="up", input_zp=-SQRT_SQRT_HALF, **INT32)
    q = emit.rescale(r, 2, 0, rounding="floor", input_zp=SQRT_SQRT_HALF, **INT32)
    square = high_multiply(q, q, emit)
    numerator = added(
        high_multiply(q, r, emit),
        high_multiply(high_multiply(q, square, emit), _LOG_NUMERATOR, emit),
        emit,
    )
    quadratic = added(q, high_multiply(square, _LOG_DENOMINATOR, emit), emit)
    quadratic = emit.rescale(quadratic, 1, 0, rounding="floor", output_zp=_LOG_LINEAR, **INT32)
    denominator = added(
        high_multiply(half_sum, quadratic, emit), high_multiply(q, _LOG_FACTOR, emit), emit
    )
    quotient = high_multiply(
        emit.rescale(numerator, 1, 6, rounding="away", **INT32),
        one_over_one_plus(denominator, emit),
        emit,
    )
    return shifted_left(added(high_multiply(power, LOG_2, emit), quotient, emit), 1, emit)
