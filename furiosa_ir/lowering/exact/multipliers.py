"""Multipliers of 31 bits with which accumulators below 2**27 are rounded as in exact arithmetic.

The nearest multiplier of a factor is off by up to 2**-32 of it. Where a product lies as close to
half a step, or to where it counts as a tie, that rounds one accumulator in some millions to the
other side: one channel in 250 of SSD-ResNet34 has such an accumulator. Among the multipliers beside
the nearest one there is one that does not, but for one factor in 25,000. Beyond 2**27 several
accumulators are near each boundary, and only the nearest is looked at.
"""

from __future__ import annotations

import numpy as np

from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import quantize
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import rescale

_STEPS = (1, -1, 2, -2, 3, -3)
"""From the nearest multiplier to those that are tried instead, in turn."""

_CLOSE = 3e-9
"""Of a product, as near as a boundary has to be for it to matter: what counts as a tie (1e-9), and
how far off a multiplier is, three steps of 2**-31 from the nearest."""

_REACH = 511
"""Steps from the zero point: of targets of 8 bits. Those of 16 have too many boundaries."""

_ONE = 2.0**32
_FLOAT_ERROR = 1 << 12
"""Of an inverse factor times an odd number, in units of 2**-32."""

_CHANNELS = 64
"""Whose boundaries are looked at together: they stay in the cache."""


def rounding_multipliers(
    real: Array, multiplier: Array, shift: Array, target: Quantization
) -> Array:
    """Multipliers in place of the nearest ones, where these round an accumulator otherwise.

    Args:
        real: factors [n], f64: the steps of the result in a unit of the accumulator.
        multiplier: their nearest ones [n], i32.
        shift: theirs [n], i8.
        target: of the result, per-tensor.

    Returns:
        multipliers [n], i32: of those in reach the first with which each accumulator below 2**27
        gives what `quantize` makes of its product with the factor; the nearest where none is.
    """
    low, high = target.storage_range
    reach = max(high - target.zero_point, target.zero_point - low)
    if reach > _REACH:
        return multiplier
    channels, sums = _near_boundaries(real, reach)
    if not channels.size:
        return multiplier
    chosen, shift = multiplier.astype(np.int64), shift.astype(np.int64)
    want = quantize(sums * real[channels] * target.scale, target)
    wrong = _wrong(chosen, shift, channels, sums, want, target)
    kept = wrong[channels]
    channels, sums, want = channels[kept], sums[kept], want[kept]
    for step in _STEPS if wrong.any() else ():
        tried = np.where(wrong, multiplier.astype(np.int64) + step, chosen)
        still = _wrong(tried, shift, channels, sums, want, target) | (tried >= 1 << 31)
        chosen = np.where(still, chosen, tried)
        wrong &= still
    return chosen.astype(np.int32)


def _wrong(
    multiplier: Array,
    shift: Array,
    channels: Array,
    sums: Array,
    want: Array,
    target: Quantization,
) -> Array:
    """Of each channel whether a sum is rounded to something else than is wanted."""
    got = rescale(
        sums,
        multiplier[channels],
        shift[channels],
        output_zero_point=target.zero_point,
        rounding="near_even",
        dtype=target.dtype,
    )
    wrong = np.zeros(multiplier.shape, np.bool_)
    wrong[channels[got != want]] = True
    return wrong


def _near_boundaries(real: Array, reach: int) -> tuple[Array, Array]:
    """(channels, sums): all sums whose product with a channel's factor is near half a step.

    A boundary (k + 1/2) / factor is near an integer where (2 k + 1) * u is, with u = 1 / (2
    factor): in units of 2**-32, modulo 2**32, that takes a multiplication of 32 bits.
    """
    used = np.flatnonzero(np.abs(real) > 2.0**-31)  # others have no boundary within 32 bits
    odd = (2 * np.arange(reach + 1) + 1).astype(np.uint32)
    inverse = 0.5 / np.abs(real[used])
    unit = ((inverse % 1.0) * _ONE).astype(np.uint32)[:, None]
    # Of the furthest boundary; a quarter of all there is, and everything is near.
    within = inverse * (_CLOSE * _ONE * float(odd[-1])) + _FLOAT_ERROR
    within = np.minimum(within, _ONE / 4).astype(np.uint32)[:, None]
    everything = within >= 1 << 30
    found: list[Array] = []
    at = np.empty((min(_CHANNELS, used.size), odd.size), np.uint32)
    for begin in range(0, used.size, _CHANNELS):
        rows = slice(begin, begin + _CHANNELS)
        place = at[: unit[rows].size]
        np.multiply(unit[rows], odd, out=place)
        np.add(place, within[rows], out=place)
        is_near = place <= 2 * within[rows]
        if everything[rows].any():
            is_near |= everything[rows]
        found.append(np.flatnonzero(is_near.reshape(-1)) + begin * odd.size)
    row, k = np.divmod(np.concatenate(found) if found else np.zeros(0, np.int64), odd.size)
    boundary = (k + 0.5) / np.abs(real[used[row]])
    sums = np.rint(boundary)
    kept = (np.abs(sums - boundary) <= _CLOSE * boundary + 2.0**-32) & (sums < 2.0**31)
    channels, sums = used[row[kept]], sums[kept].astype(np.int32)
    return np.concatenate([channels, channels]), np.concatenate([sums, -sums])
