"""Factors in float64 that round every integer as a multiplier and a shift do."""

from __future__ import annotations

import numpy as np
import pytest

from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import Rounding, quantize_multipliers, rescale
from furiosa_ir.numerics.float_factors import MAGIC, float_factors
from furiosa_ir.numerics.rounding_boundaries import near_boundaries
from tests.draws import draws

LOW, HIGH = -131, 124


def rounded(sums: Array, factor: float, low: int = LOW, high: int = HIGH) -> Array:
    """As native code computes it: the lower bits of a float64 that has no room for others."""
    within = np.clip(sums * factor, float(low), float(high))
    return (within + MAGIC).view(np.int64).astype(np.int32).astype(np.int64)


def beside(real: float, reach: int, most: int, width: int) -> Array:
    """All integers that lie next to a boundary of a factor."""
    boundaries = (np.arange(-reach - 1, reach + 1) + 0.5) / real
    found = np.floor(boundaries).astype(np.int64)[:, None] + np.arange(-width, width + 2)
    return np.unique(found[np.abs(found) <= most])


@pytest.mark.draws
@pytest.mark.parametrize("rounding", ["near_even", "even", "up", "away"])
@pytest.mark.parametrize("most", [255, 1 << 20, 1 << 31])
def test_integers_beside_each_boundary(rounding: Rounding, most: int) -> None:
    """Random factors, and such as make ties: few bits, and quotients of small numbers."""
    rng = np.random.default_rng(most % 1000)
    count = draws(1000)
    reals = np.concatenate(
        [
            2.0 ** rng.uniform(-22, 0, count),
            rng.integers(1, 64, count) / 2.0 ** rng.integers(4, 20, count),
            rng.integers(1, 50, count) / rng.integers(50, 5000, count),
        ]
    ) * rng.choice([-1.0, 1.0, 1.0], 3 * count)
    multipliers, shifts = quantize_multipliers(reals)
    taken = 0
    for real, multiplier, shift in zip(reals, multipliers, shifts, strict=True):
        found = float_factors(
            np.array([multiplier]), np.array([shift]),
            rounding=rounding, low=LOW, high=HIGH, most=most,
        )  # fmt: skip
        if found is None:
            continue
        taken += 1
        sums = beside(float(real), 132, most, 9 if most > 1 << 27 else 1)
        want = rescale(
            sums, int(multiplier), int(shift),
            rounding=rounding, minimum=LOW, maximum=HIGH, dtype=np.int64,
        )  # fmt: skip
        np.testing.assert_array_equal(rounded(sums, float(found[0])), want)
    assert taken > count


def test_every_integer_of_some_factors() -> None:
    rng = np.random.default_rng(5)
    sums = np.arange(-(1 << 18), 1 << 18)
    reals = np.concatenate([2.0 ** rng.uniform(-12, -4, 12), [1 / 3, 1 / 12, 7 / 300, 0.5, 1.0]])
    multipliers, shifts = quantize_multipliers(reals)
    taken = 0
    for multiplier, shift in zip(multipliers, shifts, strict=True):
        found = float_factors(
            np.array([multiplier]), np.array([shift]),
            rounding="near_even", low=LOW, high=HIGH, most=1 << 18,
        )  # fmt: skip
        if found is not None:
            taken += 1
            want = rescale(
                sums, int(multiplier), int(shift),
                rounding="near_even", minimum=LOW, maximum=HIGH, dtype=np.int64,
            )  # fmt: skip
            np.testing.assert_array_equal(rounded(sums, float(found[0])), want)
    assert taken >= 14


def test_a_factor_moves_so_that_what_counts_as_a_tie_is_one() -> None:
    """A sum of MobileNetV1: 92373 times its factor is 148.50000007, which is taken for a tie."""
    multiplier, shift = quantize_multipliers(np.array([148.50000007263498 / 92373]))
    real = float(np.ldexp(multiplier[0].astype(np.float64), -int(shift[0])))
    found = float_factors(multiplier, shift, rounding="near_even", low=0, high=255, most=1 << 27)
    assert found is not None
    assert found[0] < real
    assert rounded(np.array([92373]), real, 0, 255)[0] == 149
    assert rounded(np.array([92373]), float(found[0]), 0, 255)[0] == 148


@pytest.mark.parametrize("rounding", ["floor", "double"])
def test_other_roundings_have_none(rounding: Rounding) -> None:
    one = np.array([1 << 30]), np.array([34])
    assert float_factors(*one, rounding=rounding, low=-128, high=127, most=1 << 20) is None


def test_wide_results_have_none() -> None:
    one = np.array([1 << 30]), np.array([34])
    assert float_factors(*one, rounding="even", low=-(1 << 15), high=1 << 15, most=1 << 30) is None


def test_ties_up_on_both_sides_have_none() -> None:
    """What is rounded up of 1/2 and of -1/2 is no result of one that rounds to even."""
    half = np.array([1 << 30]), np.array([31])
    assert float_factors(*half, rounding="up", low=-128, high=127, most=100) is None
    assert float_factors(*half, rounding="even", low=-128, high=127, most=100) is not None


def test_near_boundaries_has_all_that_are_near() -> None:
    rng = np.random.default_rng(2)
    reals = 2.0 ** rng.uniform(-16, 0, draws(500))
    channels, sums = near_boundaries(reals, 200)
    for channel, real in enumerate(reals):
        every = beside(float(real), 199, 1 << 27, 1)
        product = every * real
        boundary = np.floor(product) + 0.5
        near = every[np.abs(product - boundary) <= 1e-9 * np.maximum(np.abs(boundary), 1)]
        assert set(near.tolist()) <= set(sums[channels == channel].tolist())
