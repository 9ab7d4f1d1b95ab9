"""Real factors as integer multipliers, and the table of a real function: exact arithmetic's tools.

`QuantizeLinear` in exact arithmetic is round(v / scale) with ties to even, plus the zero point,
clamped (ONNX QuantizeLinear; `shared/exact_onnx.py`). A 31-bit multiplier, chosen among the nearest
(`multipliers`), meets it for accumulators below 2**27, but for one factor in 25,000.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import constant_of, quantization_of
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.lowering.exact.multipliers import rounding_multipliers
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import GREATEST_FACTOR, too_large

if TYPE_CHECKING:
    import numpy.typing as npt

MULTIPLIER_BITS = 31
MAX_SHIFT = 62
WIDE_BITS = 48
WIDE_LIMIT = 1 << (WIDE_BITS - 1)
"""i48 holds [-WIDE_LIMIT, WIDE_LIMIT)."""


def exact_multipliers(real: npt.ArrayLike) -> tuple[Array, Array]:
    """Factors [n] as (multiplier i32 [n], shift i8 [n]): real ~ multiplier * 2**-shift.

    Nearest 31-bit multipliers; exact where the factor is an integer of 31 bits times a power of
    two, so that ties stay ties.

    Raises:
        CompilationFailure: a factor of 2**31 or more.
    """
    values = np.asarray(real, np.float64)
    if not np.all(np.abs(values) < GREATEST_FACTOR):
        raise too_large(float(np.max(np.abs(values))))
    mantissa, exponent = np.frexp(values)
    bits = np.minimum(MULTIPLIER_BITS, MAX_SHIFT + exponent)
    multiplier = np.rint(np.ldexp(mantissa, bits)).astype(np.int64)  # 0 of a vanishing one
    shift = np.where(bits < 0, 0, bits - exponent)
    full = np.abs(multiplier) == 1 << MULTIPLIER_BITS
    multiplier = np.where(full, multiplier >> 1, multiplier)
    shift = np.where(full, shift - 1, shift)
    if np.any(shift < 0):
        raise too_large(float(np.max(np.abs(values))))
    return multiplier.astype(np.int32), shift.astype(np.int8)


def widen(emit: Emitter, x: SSAValue, zero_point: int, element: Attribute = i32) -> SSAValue:
    """x - zero_point in i32 or i48."""
    return wide_multiple(emit, x, 1, zero_point, element)


def wide_multiple(
    emit: Emitter, x: SSAValue, multiplier: int, zero_point: int, element: Attribute = i48
) -> SSAValue:
    """(x - zero_point) * multiplier in i32 or i48, without rounding."""
    limit = WIDE_LIMIT if element == i48 else 1 << 31
    return emit.rescale(
        x,
        multiplier,
        0,
        rounding="even",
        input_zp=zero_point,
        minimum=-limit,
        maximum=limit - 1,
        element=element,
    )


def quantize_accumulator(
    emit: Emitter,
    acc: SSAValue,
    scale: float | Array,
    target: Quantization,
    axis: int | None = None,
) -> SSAValue:
    """Q(acc * scale) under `target`: one rescale, ties to even; acc itself if `target` is i32.

    Args:
        acc: i32 or i48.
        scale: the real value of one unit of acc: a float, or one for each index of `axis`.
        target: per-tensor, as int8; or the accumulator's own type.
        axis: the axis of acc that an array of scales belongs to.
    """
    if target.storage == "i32":
        return acc
    real = np.atleast_1d(scale) / target.scale
    multiplier, shift = exact_multipliers(real)
    multiplier = rounding_multipliers(real, multiplier, shift, target)
    rank = emit.rank(acc)
    if axis is not None and multiplier.size > 1:
        factors = emit.along(multiplier, axis, rank), emit.along(shift, axis, rank)
    else:
        factors = int(multiplier[0]), int(shift[0])
    return emit.rescale(acc, *factors, rounding="near_even", output_zp=target.zero_point)


def quantize_affine(
    emit: Emitter,
    x: SSAValue,
    zero_point: int,
    factor: Array,
    offset: Array,
    target: Quantization,
) -> SSAValue:
    """round((x - zero_point) * factor + offset) under `target`: a product and a sum in i48.

    Both are in units of 2**-s steps of the result, with the largest s that leaves i48 room for the
    offset and all results (s = 36 for offsets below 2**9 steps) and 31 bits for the multiplier. So
    the value that is rounded, ties to even, is off by at most 2**-32 of the product (the
    multiplier, as in `quantize_accumulator`) plus 2**-s steps (the product's and the offset's own
    rounding): less than the 1e-9 within which a tie is one, unless an offset of some hundred steps
    cancels the product. Products that i48 cannot hold saturate, and then so does the result.

    Args:
        emit: where to.
        x: i8 or i32.
        zero_point: of x.
        factor: steps of the result in a unit of x; f64, broadcasts to x.
        offset: in steps of the result, without its zero point; f64, broadcasts to x.
        target: per-tensor, as int8.
    """
    factor = np.clip(factor, -(2.0**30), 2.0**30)
    if not np.any(offset):
        multiplier, shift = (_number_or(a) for a in exact_multipliers(factor))
        return emit.rescale(
            x,
            multiplier,
            shift,
            rounding="near_even",
            input_zp=zero_point,
            output_zp=target.zero_point,
        )
    # An offset beyond what any product makes up for saturates just as well when it is less.
    bound = 512 + 2.0**32 * np.abs(factor)
    factor, offset = np.broadcast_arrays(factor, np.clip(offset, -bound, bound))
    limit = 1 << (WIDE_BITS - 2)  # the sum of two fits
    room = WIDE_BITS - 2 - elementary.ceil_log2(np.abs(offset) + 512)
    shift = np.minimum(exact_multipliers(factor)[1], room).astype(np.int64)
    multiplier, right = exact_multipliers(np.ldexp(factor, shift))
    product = emit.rescale(
        x,
        _number_or(multiplier),
        _number_or(right),
        rounding="even",
        input_zp=zero_point,
        minimum=-limit,
        maximum=limit,
        element=i48,
    )
    addend = emit.constant(np.rint(np.ldexp(offset, shift)).astype(np.int64), i48)
    total = emit.emit(arithmetic.AddOp, [product, addend], i48)
    return emit.rescale(
        total, 1, _number_or(shift), rounding="near_even", output_zp=target.zero_point
    )


def _number_or(array: Array) -> int | Array:
    """The number that all elements are, if they are one."""
    return int(array.flat[0]) if np.all(array == array.flat[0]) else array


def quantize_quotient(
    emit: Emitter,
    acc: SSAValue,
    scale: float,
    divisor: Array | int,
    target: Quantization,
    *,
    bits: int,
) -> SSAValue:
    """Q(acc * scale / divisor) for integer divisors, with every tie met.

    A mean's real ties (sum 98 of 196 elements) would be lost in a rounded multiplier 1/196, so
    where scale / target.scale is a fraction of small integers this divides integers.

    Args:
        acc: i32 or i48.
        scale: real value of a unit of acc.
        divisor: a positive integer, or an array of them that broadcasts to acc.
        target: per-tensor, as int8.
        bits: |acc| < 2**bits.
    """
    ratio = Fraction(scale) / Fraction(target.scale)
    room = 46 - bits
    if ratio.numerator.bit_length() <= min(room, 31) and ratio.denominator.bit_length() <= 20:
        wide = wide_multiple(emit, acc, ratio.numerator, 0)
        denominators = np.asarray(divisor, np.int64) * ratio.denominator
        return divide(emit, wide, emit.constant(denominators, i48), target)
    factor = float(ratio) / np.asarray(divisor, np.float64)
    multiplier, shift = exact_multipliers(factor)
    if np.ndim(divisor) == 0:
        multiplier, shift = int(multiplier), int(shift)
    return emit.rescale(acc, multiplier, shift, rounding="near_even", output_zp=target.zero_point)


def divide(emit: Emitter, a: SSAValue, b: SSAValue, target: Quantization) -> SSAValue:
    """a / b in steps of the target, rounded to nearest, ties to even; i48, b > 0."""
    return emit.emit(
        arithmetic.DivideOp,
        [a, b],
        i8,
        output_zp=target.zero_point,
        minimum=-128,
        maximum=127,
    )


def near_fraction(real: Fraction, numerator: int, denominator: int) -> Fraction:
    """The nearest fraction of integers up to these; a factor of a division of integers.

    Its relative error is below the inverse of the product of its parts: some 2**-40 for limits of
    2**30. A factor that is such a fraction stays exact, so that ties stay ties.
    """
    if real >= numerator:
        return Fraction(numerator)
    return real.limit_denominator(min(denominator, int(numerator / real)))


def apply_table(
    emit: Emitter,
    x: SSAValue,
    source: Quantization,
    target: Quantization,
    function: Callable[[Array], Array],
) -> SSAValue:
    """Q(function(dequantised x)) for each of the 256 values of x (i8), looked up."""
    with np.errstate(all="ignore"):
        real = function((np.arange(-128, 128) - source.zero_point) * source.scale)
    return lookup(emit, x, quantize(real, target))


def lookup(emit: Emitter, x: SSAValue, table: Array, element: Attribute = i8) -> SSAValue:
    """table[x + 128], the table having 256 entries of `element`."""
    return emit.emit(arithmetic.LookupOp, [x, emit.constant(table, element)], element)


def requantize(emit: Emitter, x: SSAValue, source: Quantization, target: Quantization) -> SSAValue:
    """x under another scale and zero point; x itself where they are the same."""
    if (source.scale, source.zero_point) == (target.scale, target.zero_point):
        return x
    return apply_table(emit, x, source, target, lambda real: real)


def real_elements(value: SSAValue) -> Array:
    """The real numbers that a constant stands for."""
    constant, quantization = constant_of(value), quantization_of(value)
    assert constant is not None
    return (
        constant.astype(np.float64) if quantization is None else dequantize(constant, quantization)
    )
