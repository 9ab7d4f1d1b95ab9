"""Factors in float64 with which a product rounds as a multiplier and its shift do.

`rescale` multiplies in 64-bit integers, of which processors without AVX-512 shift and compare but
four at a time, and slowly. The product of an integer of 32 bits and a float64 factor, rounded to
the even integer, is the same but next to a tie: there `near_even` takes for a tie what is within a
billionth of one. Which integers lie there, `rounding_boundaries` finds; each of them asks for a
factor that is not less, or not greater, than some number, and mostly there is one for all.

Products with multipliers of few bits (powers of two, mostly) are exact in float64, and many are
ties. None of them has to be looked for: a nudge that is less than a product's last place decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from furiosa_ir.numerics.array import Array, Reals
from furiosa_ir.numerics.fixed_point import Rounding, rescale
from furiosa_ir.numerics.rounding_boundaries import MOST_SUMS, near_boundaries

MAGIC = 1.5 * 2.0**52
"""The sum of it and a float64 below 2**51 is rounded to an integer, which its lower bits are."""

_REACH = 511
"""Of results: those of 8 bits, less a zero point."""

_FREEDOM = 2.5e-9
"""How far off a factor may be, relative to it: less than `CLOSE`, so that what is not near a
boundary stays on its side, and more than what counts as a tie, two billionths of 1/2."""

_MARGIN = 2.0**-49
"""Relative to a factor: more than what rounding a product makes of it."""

_MOST_NEAR = 8
"""Integers of 32 bits on each side of a boundary that may be near it (`CLOSE`): 3e-9 * 2**31."""

_REAL_BITS = 52
"""Of an exact product in float64, and one to spare."""

_NUDGE_PLACES = 40
"""Behind the point, of products up to 2**9: a float64 has two more for a nudge."""

_LENGTHENED = 1 + 2.0**-50
"""Times a factor: more than what rounding makes of a product, and less than its last place."""

_TIE_PLACES = 20
"""Of products that are ties or further from one than counts as one: a billionth of 2**9."""


@dataclass(frozen=True)
class FloatFactors:
    """What is multiplied by, and what is added to products before they are rounded.

    Attributes:
        factors: [n].
        nudge: of all of them.
    """

    factors: Reals
    nudge: float = 0.0


def float_factors(
    multiplier: Array,
    shift: Array,
    *,
    rounding: Rounding,
    low: int,
    high: int,
    sums: tuple[Array, Array],
) -> FloatFactors | None:
    """Factors c with round(clamp(x * c + nudge)) as `rescale` gives it, for every integer x.

    The product is rounded to a float64 before it is rounded to an integer, ties to even: a fused
    multiply-add may give another result.

    Args:
        multiplier: [n], of 32 bits.
        shift: [n], 0 to 62.
        rounding: of `rescale`.
        low, high: limits of the result, without a zero point.
        sums: the least and the greatest x, int64, [n] or [] each; of 2**31 at most.

    Returns:
        None where none are known: of results of more than 8 bits, of two roundings, and where one
        integer asks for more than another allows.
    """
    if rounding in ("floor", "double"):
        return None
    real = np.ldexp(multiplier.astype(np.float64), -shift.astype(np.int64))
    least, greatest = (np.broadcast_to(end, real.shape) for end in sums)
    most = np.maximum(np.abs(least), np.abs(greatest))
    reach = min(max(-low, high, 0), int((most * np.abs(real)).max(initial=0.0)) + 1)
    if reach > _REACH:
        return None
    exact = _of_exact_products(real, multiplier, shift, rounding, low, int(most.max(initial=0)))
    if exact is not None:
        return exact
    channels, near = near_boundaries(real, reach)
    far = _far_sums(real, least, greatest, reach)
    channels = np.concatenate([channels, far[0]])
    near = np.concatenate([near.astype(np.int64), far[1]])
    within = (near >= least[channels]) & (near <= greatest[channels])
    channels, near = channels[within], near[within]
    found = _fitting(real, channels, near, multiplier, shift, rounding, low, high)
    return None if found is None else FloatFactors(found)


def _of_exact_products(
    real: Reals, multiplier: Array, shift: Array, rounding: Rounding, low: int, most: int
) -> FloatFactors | None:
    """Factors where all products are exact in float64, and not closer to a tie than a nudge is."""
    whole = np.abs(multiplier.astype(np.int64))
    last_bit = (whole & -whole).clip(1)
    bits, zeros = (np.frexp(v.astype(np.float64))[1] for v in (whole // last_bit, last_bit))
    if most.bit_length() + int(bits.max(initial=0)) > _REAL_BITS:
        return None
    places = int(np.max(np.where(whole > 0, shift - (zeros - 1), 0), initial=0))
    if places <= 0 or rounding == "even":
        return FloatFactors(real)
    if rounding == "near_even":
        return FloatFactors(real) if places <= _TIE_PLACES else None
    if places > _NUDGE_PLACES:
        return None
    # Away from zero; upwards as well where nothing below zero is left.
    if rounding == "away" or low >= 0:
        return FloatFactors(real * _LENGTHENED)
    return FloatFactors(real, 2.0 ** -(places + 2))


def float_factor_of(
    sums: Array, multiplier: int, shift: int, *, rounding: Rounding, low: int, high: int
) -> float | None:
    """One factor, without a nudge, for integers of which all are known, below 2**53 each.

    Args:
        sums: int64 [n]: every x there is.
        multiplier, shift, rounding, low, high: as `float_factors` takes them; of any rounding.

    Returns:
        the factor; None where one integer asks for more than another allows.
    """
    one, places = np.array([multiplier], np.int64), np.array([shift], np.int64)
    real = np.ldexp(one.astype(np.float64), -places)
    channels = np.zeros(sums.shape, np.int64)
    found = _fitting(real, channels, sums, one, places, rounding, low, high)
    return None if found is None else float(found[0])


def _fitting(
    real: Reals,
    channels: Array,
    sums: Array,
    multiplier: Array,
    shift: Array,
    rounding: Rounding,
    low: int,
    high: int,
) -> Reals | None:
    """Factors, next to the real ones, with which each of these integers is rounded as it should."""
    want = rescale(
        sums, multiplier[channels], shift[channels],
        rounding=rounding, minimum=low, maximum=high, dtype=np.int64,
    )  # fmt: skip
    left = _wrong(real, channels, sums, want, low, high)
    if not left.size:
        return real
    # Few channels have an integer that asks for another factor.
    place = np.full(real.shape, -1)
    place[left] = np.arange(left.size)
    kept = place[channels] >= 0
    channels, sums, want = place[channels[kept]], sums[kept], want[kept]
    chosen, fitting = real[left], np.zeros(left.shape, np.bool_)
    for tried in _candidates(chosen, channels, sums, want, low, high):
        fits = np.ones(left.shape, np.bool_)
        fits[_wrong(tried, channels, sums, want, low, high)] = False
        chosen = np.where(fits & ~fitting, tried, chosen)
        fitting |= fits
        if fitting.all():
            found = real.copy()
            found[left] = chosen
            return found
    return None


def _wrong(factors: Reals, channels: Array, sums: Array, want: Array, low: int, high: int) -> Array:
    """The channels in which an integer is rounded otherwise than wanted."""
    got = np.rint(np.clip(sums * factors[channels], low, high))
    return np.unique(channels[got != want])


def _far_sums(real: Reals, least: Array, greatest: Array, reach: int) -> tuple[Array, Array]:
    """(channels, sums) near boundaries beyond `MOST_SUMS`, where several are near each."""
    size, most = np.abs(real), np.maximum(np.abs(least), np.abs(greatest))
    tiny = np.flatnonzero((size > 0) & (size * MOST_SUMS < reach + 1) & (most > MOST_SUMS))
    fewest = np.where(
        (least <= 0) & (greatest >= 0), 0, np.minimum(np.abs(least), np.abs(greatest))
    )
    low = np.maximum(fewest[tiny], MOST_SUMS // 2) - _MOST_NEAR
    boundary = (np.arange(reach + 1) + 0.5) / size[tiny][:, None]
    row, k = np.nonzero((boundary > low[:, None]) & (boundary < most[tiny][:, None] + _MOST_NEAR))
    beside = np.arange(-_MOST_NEAR, _MOST_NEAR + 1)
    sums = (np.rint(boundary[row, k]).astype(np.int64)[:, None] + beside).reshape(-1)
    channels = np.repeat(tiny[row], beside.size)
    return np.concatenate([channels, channels]), np.concatenate([sums, -sums])


def _candidates(
    real: Reals, channels: Array, sums: Array, want: Array, low: int, high: int
) -> Iterator[Reals]:
    """Factors to be tried in place of the real ones, in turn."""
    product = sums * real[channels]
    sign, floor = np.sign(product), np.floor(np.abs(product))
    # Where both sides of a boundary are clamped to the same, it is none.
    below, above = (np.clip(sign * (floor + k), low, high) for k in (0, 1))
    is_above, is_below = ((below != above) & (want == side) for side in (above, below))
    boundary = (floor + 0.5) / np.maximum(np.abs(sums), 1)
    size = np.abs(real)
    least, greatest = size * (1 - _FREEDOM), size * (1 + _FREEDOM)
    np.maximum.at(least, channels[is_above], boundary[is_above])
    np.minimum.at(greatest, channels[is_below], boundary[is_below])
    lower, upper = least * (1 + _MARGIN), greatest * (1 - _MARGIN)
    yield np.copysign(np.where(lower <= upper, np.clip(size, lower, upper), size), real)
    # Products that are all ties, but for what float64 leaves of them.
    for tied in (least, np.nextafter(least, 0.0), np.nextafter(least, np.inf), greatest):
        yield np.copysign(tied, real)
