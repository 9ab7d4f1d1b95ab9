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
from furiosa_ir.numerics.rounding_boundaries import near_boundaries

_STEPS = (1, -1, 2, -2, 3, -3)
"""From the nearest multiplier to those that are tried instead, in turn."""

_REACH = 511
"""Steps from the zero point: of targets of 8 bits. Those of 16 have too many boundaries."""


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
    channels, sums = near_boundaries(real, reach)
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
