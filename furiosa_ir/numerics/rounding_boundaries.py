"""Integers whose product with a factor is nearly a tie: all that a rounding can disagree about.

Two ways to round the products of integers and a factor differ, if at all, where a product lies next
to a boundary, half a step between two results. Of results of eight bits there are some hundred
boundaries a factor, and few integers are near one, so that a question about all integers of 32 bits
is one about a handful.
"""

from __future__ import annotations

import numpy as np

from furiosa_ir.numerics.array import Array

CLOSE = 3e-9
"""Of a product, as near as a boundary has to be for it to matter: what counts as a tie (1e-9), and
how far off a multiplier is, three steps of 2**-31 from the nearest."""

MOST_SUMS = 1 << 27
"""Up to this integer no more than one is near a boundary."""

_ONE = 2.0**32
_FLOAT_ERROR = 1 << 12
"""Of an inverse factor times an odd number, in units of 2**-32."""

_CHANNELS = 64
"""Whose boundaries are looked at together: they stay in the cache."""


def near_boundaries(real: Array, reach: int) -> tuple[Array, Array]:
    """(channels, sums): integers whose product with a channel's factor is near half a step.

    A boundary (k + 1/2) / factor is near an integer where (2 k + 1) * u is, with u = 1 / (2
    factor): in units of 2**-32, modulo 2**32, that takes a multiplication of 32 bits.

    Args:
        real: factors [n], f64; of those up to 2**-31 nothing is said.
        reach: the greatest magnitude of a result on either side of a boundary.

    Returns:
        numbers of factors [m] and integers [m], i32: all up to `MOST_SUMS`, beyond it the one
        nearest to each boundary; with an integer its negative.
    """
    used = np.flatnonzero(np.abs(real) > 2.0**-31)
    odd = (2 * np.arange(reach + 1) + 1).astype(np.uint32)
    inverse = 0.5 / np.abs(real[used])
    unit = ((inverse % 1.0) * _ONE).astype(np.uint32)[:, None]
    # Of the furthest boundary; a quarter of all there is, and everything is near.
    within = inverse * (CLOSE * _ONE * float(odd[-1])) + _FLOAT_ERROR
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
    kept = (np.abs(sums - boundary) <= CLOSE * boundary + 2.0**-32) & (sums < 2.0**31)
    channels, sums = used[row[kept]], sums[kept].astype(np.int32)
    return np.concatenate([channels, channels]), np.concatenate([sums, -sums])
