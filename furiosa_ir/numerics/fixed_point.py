"""Integer arithmetic that stands for real factors: multipliers and ``rescale``.

A real factor is a pair ``(multiplier, shift)`` that means ``multiplier * 2**-shift``, as in TOSA.
LiteRT writes the same pair as ``(multiplier, litert_shift)`` with ``shift = 31 - litert_shift``.
Everything here works on integers; floats appear only where a factor is quantised, at compile time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from furiosa_ir.errors import CompilationFailure
from furiosa_ir.numerics.array import Array, Reals

if TYPE_CHECKING:
    import numpy.typing as npt

Rounding: TypeAlias = Literal["even", "near_even", "up", "away", "double", "floor"]
ROUNDINGS: tuple[Rounding, ...] = get_args(Rounding)
"""`rescale` documents them."""

MAX_SHIFT = 62
TIE_PRECISION = 10**9
"""``near_even`` takes what lies within 1 / TIE_PRECISION of a tie, relative to it, for the tie."""
# One block of int64 temporaries is 128 KiB: two of them stay in L2.
_BLOCK = 1 << 14
_INT32_BITS = 31
_INT64_MAX = (1 << 63) - 1
_SHORT_REACH = 1 << 12
"""Up to this result the tolerance of ``near_even`` is a millionth at most, for all elements."""


GREATEST_FACTOR = 2.0**_INT32_BITS


def too_large(factor: float) -> CompilationFailure:
    """The error of a factor between scales that a multiplier and a right shift cannot express."""
    return CompilationFailure(
        f"the scales make a factor of {factor:g}, fixed-point arithmetic has factors below 2**31",
        hint="calibrate the network again",
    )


def quantize_multiplier(real: float) -> tuple[int, int]:
    """``(multiplier, shift)`` of LiteRT's ``QuantizeMultiplier``, with a 31-bit multiplier.

    The mantissa is rounded to nearest, ties away from zero. Factors below 2**-32 become 0, as
    there. ``shift`` lies in [0, 62].

    Raises:
        CompilationFailure: the factor is 2**31 or more.
    """
    if real == 0.0:
        return 0, _INT32_BITS
    if not abs(real) < GREATEST_FACTOR:
        raise too_large(real)
    mantissa, exponent = math.frexp(real)
    scaled = abs(mantissa) * (1 << _INT32_BITS)
    multiplier = math.floor(scaled + 0.5)  # exact: scaled < 2**31 and a double has 53 bits
    if multiplier == 1 << _INT32_BITS:
        multiplier >>= 1
        exponent += 1
    if exponent < -_INT32_BITS:
        return 0, _INT32_BITS
    if exponent > _INT32_BITS:
        raise too_large(real)
    return (multiplier if real > 0 else -multiplier), _INT32_BITS - exponent


def quantize_multipliers(real: Reals) -> tuple[Array, Array]:
    """`quantize_multiplier` of many factors: [n] -> multipliers and shifts, int64 [n] each.

    Raises:
        CompilationFailure: a factor is 2**31 or more.
    """
    beyond = ~(np.abs(real) < GREATEST_FACTOR)
    mantissa, exponent = np.frexp(np.where(beyond, 1.0, real))
    multiplier = np.floor(np.abs(mantissa) * (1 << _INT32_BITS) + 0.5).astype(np.int64)
    is_carried = multiplier == 1 << _INT32_BITS
    exponent = exponent.astype(np.int64) + is_carried
    beyond |= exponent > _INT32_BITS
    if beyond.any():
        raise too_large(float(real[beyond][0]))
    multiplier = np.where(is_carried, multiplier >> 1, multiplier)
    vanishes = (real == 0.0) | (exponent < -_INT32_BITS)
    multiplier = np.where(vanishes, 0, np.where(real > 0, multiplier, -multiplier))
    return multiplier, np.where(vanishes, _INT32_BITS, _INT32_BITS - exponent)


def rescale(
    x: Array,
    multiplier: int | Array,
    shift: int | Array,
    *,
    input_zero_point: int = 0,
    output_zero_point: int = 0,
    rounding: Rounding,
    minimum: int | None = None,
    maximum: int | None = None,
    dtype: npt.DTypeLike = np.int8,
) -> Array:
    """``clamp(round((x - input_zero_point) * multiplier * 2**-shift) + output_zero_point)``.

    ``x`` is an integer array of any shape, with ``|x - input_zero_point| <= 2**31`` for 31-bit
    multipliers (the 64-bit product must not overflow: a 47-bit ``x`` takes a 15-bit multiplier).
    ``multiplier`` and ``shift`` (0 to 62) are numbers, or arrays that broadcast to the shape of
    ``x``. ``minimum`` and ``maximum`` default to the limits of ``dtype``.

    ``rounding``: ``"even"``, ``"up"`` and ``"away"`` round to nearest with ties to the even
    integer, towards plus infinity (TOSA's single rounding) and away from zero; ``"floor"``
    truncates; ``"near_even"`` is ``"even"`` where a value v within max(1, |v|) * 1e-9 of a tie
    counts as the tie: a 31-bit multiplier knows a factor to 2**-31 only, so a real tie (a mean over
    12 elements, a scale that is a third of another) need not be one of the product;
    ``"double"`` is LiteRT's ``MultiplyByQuantizedMultiplier``, which rounds twice: the
    product to its upper 32 bits with ties up, then the remaining right shift with ties away. Where
    the shift is below 31 there is a left shift, which wraps in 32 bits, as the C++ does.
    """
    limits = np.iinfo(dtype)
    low = (int(limits.min) if minimum is None else minimum) - output_zero_point
    high = (int(limits.max) if maximum is None else maximum) - output_zero_point
    if rounding in ("even", "away") and not may_tie(x.dtype, multiplier, shift):
        rounding = "up"  # without ties they agree, and this one is cheapest
    prepare, kernel = _KERNELS[rounding]
    reach = max(abs(low), abs(high)) + 1
    prepared = prepare(np.asarray(multiplier, np.int64), np.asarray(shift, np.int64), reach)
    parameters = (np.asarray(input_zero_point, np.int64), *prepared)
    out = np.empty(x.shape, dtype)
    if all(np.ndim(p) == 0 for p in parameters):
        source, target = np.ascontiguousarray(x).reshape(-1), out.reshape(-1)
        arrays = parameters
    else:
        source, target = x, out
        arrays = tuple(np.broadcast_to(p, x.shape) if np.ndim(p) else p for p in parameters)
    for block in _blocks(source.shape):
        value = kernel(source[block], *(p[block] if np.ndim(p) else p for p in arrays))
        np.clip(value, low, high, out=value)
        np.add(value, output_zero_point, out=target[block], casting="unsafe")
    return out


# A rounding is two functions. `prepare` makes what depends on multiplier, shift and `reach` only
# (no result beyond that survives the clamp), once and before anything is broadcast to x; `kernel`
# takes a block of x, the zero point and that, and returns a new int64 array before the clamp.


def _prepare_floor(multiplier: Array, shift: Array, _reach: int) -> tuple[Array, ...]:
    return multiplier, np.zeros_like(shift), shift


def _prepare_up(multiplier: Array, shift: Array, _reach: int) -> tuple[Array, ...]:
    return multiplier, _half(shift), shift


def _single(x: Array, zero_point: Array, multiplier: Array, half: Array, shift: Array) -> Array:
    value = _product(x, zero_point, multiplier)
    value += half
    value >>= shift
    return value


def _prepare_signed(multiplier: Array, shift: Array, _reach: int) -> tuple[Array, ...]:
    """With a mask that is -1, or 0 where a shift of 0 leaves nothing to round."""
    return multiplier, -(shift > 0).astype(np.int64), _half(shift), shift


def _away(
    x: Array,
    zero_point: Array,
    multiplier: Array,
    mask: Array,
    half: Array,
    shift: Array,
) -> Array:
    return _divide_away(_product(x, zero_point, multiplier), mask, half, shift)


def _divide_away(value: Array, mask: Array, half: Array, shift: Array) -> Array:
    negative = value >> 63
    negative &= mask
    value += negative
    value += half
    value >>= shift
    return value


def _even(
    x: Array,
    zero_point: Array,
    multiplier: Array,
    mask: Array,
    half: Array,
    shift: Array,
) -> Array:
    value = _product(x, zero_point, multiplier)
    # Adds half, less 1 where the integer below is even.
    even = value >> shift
    even &= 1
    even -= 1
    even &= mask
    value += even
    value += half
    value >>= shift
    return value


def _prepare_near_even(multiplier: Array, shift: Array, reach: int) -> tuple[Array, ...]:
    """With how far from a tie an element may lie that the clamp does not hide; 0: unknown.

    Where a shift of 0 leaves nothing to round it is -1.
    """
    if reach > _SHORT_REACH:
        return multiplier, _half(shift), shift, np.zeros_like(shift)
    return multiplier, _half(shift), shift, _tie_slack(shift, reach)


def _tie_slack(shift: Array, reach: int) -> Array:
    slack = (np.left_shift(np.int64(1), shift) // TIE_PRECISION + 1) * np.int64(reach)
    return np.where(shift > 0, slack, np.int64(-1))


def tie_slack(shift: Array, reach: int) -> Array:
    """How far from a tie a product may lie that ``near_even`` takes for one, or further.

    Args:
        shift: int64, of any shape.
        reach: results beyond it do not survive the clamp.

    Returns:
        int64; -1 where a shift of 0 leaves nothing to round, 2**61 (anything may) where the reach
        bounds nothing.
    """
    if reach > _SHORT_REACH:
        return np.where(shift > 0, np.int64(1 << 61), np.int64(-1))
    return _tie_slack(shift, reach)


def _near_even(
    x: Array,
    zero_point: Array,
    multiplier: Array,
    half: Array,
    shift: Array,
    slack: Array,
) -> Array:
    value = _product(x, zero_point, multiplier)
    one = np.left_shift(np.int64(1), shift)
    if not slack.any():
        # The greatest value of the block bounds every element's tolerance.
        greatest = max(int(value.max(initial=0)), min(-int(value.min(initial=0)), _INT64_MAX))
        slack = np.where(shift > 0, np.maximum(one, greatest) // TIE_PRECISION, np.int64(-1))
    value += half
    rounded = value >> shift
    behind = value + slack
    behind &= one - 1
    # From `slack` in front of a tie to `slack` behind it: few are.
    near = behind <= 2 * slack
    if near.any():
        halves = np.broadcast_to(half, value.shape)[near]
        scale, candidates = 2 * halves, value[near] - halves
        distance = np.abs((candidates & (scale - 1)) - halves)
        tie = distance <= np.maximum(scale, np.abs(candidates)) // TIE_PRECISION
        floor = candidates >> np.broadcast_to(shift, value.shape)[near]
        rounded[near] = np.where(tie, floor + (floor & 1), rounded[near])
    return rounded


def _prepare_double(multiplier: Array, shift: Array, reach: int) -> tuple[Array, ...]:
    right = np.maximum(shift - _INT32_BITS, 0)
    left = np.maximum(_INT32_BITS - shift, 0)
    return multiplier, left, *_prepare_signed(multiplier, right, reach)[1:]


def _double(
    x: Array,
    zero_point: Array,
    multiplier: Array,
    left: Array,
    mask: Array,
    half: Array,
    right: Array,
) -> Array:
    """``MultiplyByQuantizedMultiplier``: SaturatingRoundingDoublingHighMul, RoundingDivideByPOT."""
    value = np.subtract(x, zero_point, dtype=np.int64)
    if left.any():
        wrapped = np.left_shift(value, left).astype(np.int32)
        value = np.where(left > 0, wrapped, value)
    value *= multiplier
    value += 1 << 30  # gemmlowp's nudge and truncating division are a floor after all
    value >>= _INT32_BITS
    return _divide_away(value, mask, half, right)


def _product(x: Array, zero_point: Array, multiplier: Array) -> Array:
    """(x - zero_point) * multiplier in int64."""
    if not zero_point:
        return np.multiply(x, multiplier, dtype=np.int64)
    value = np.subtract(x, zero_point, dtype=np.int64)
    value *= multiplier
    return value


def _half(shift: Array) -> Array:
    """``2**(shift - 1)``, or 0 for a shift of 0."""
    return np.left_shift(np.int64(1), shift) >> 1


_KERNELS: dict[Rounding, tuple[Callable[..., tuple[Array, ...]], Callable[..., Array]]] = {
    "floor": (_prepare_floor, _single),
    "up": (_prepare_up, _single),
    "away": (_prepare_signed, _away),
    "even": (_prepare_signed, _even),
    "near_even": (_prepare_near_even, _near_even),
    "double": (_prepare_double, _double),
}


def may_tie(dtype: np.dtype[Any], multiplier: int | Array, shift: int | Array) -> bool:
    """Whether some x of the dtype, less a zero point, times a factor falls between two integers.

    That takes an x that is an odd multiple of 2**(shift - 1 - trailing zeros of the multiplier).
    """
    if dtype.itemsize > 4:
        return True
    multipliers = np.asarray(multiplier, np.int64)
    lowest_bits = np.where(multipliers == 0, 1, multipliers & -multipliers)
    trailing_zeros = np.frexp(lowest_bits.astype(np.float64))[1] - 1
    return bool(np.any(np.asarray(shift, np.int64) - 1 - trailing_zeros <= 32))


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice | int, ...]]:
    """Index tuples that tile ``shape`` into pieces of about ``_BLOCK`` elements."""
    axis, inner = len(shape), 1
    while axis > 0 and inner * shape[axis - 1] <= _BLOCK:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield ()
        return
    step = max(_BLOCK // inner, 1)
    for outer in np.ndindex(*shape[: axis - 1]):
        for start in range(0, shape[axis - 1], step):
            yield (*outer, slice(start, start + step))
