"""Factors in float64 that round every integer as a multiplier and a shift do."""

from __future__ import annotations

import numpy as np
import pytest

from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import Rounding, quantize_multipliers, rescale
from furiosa_ir.numerics.float_factors import MAGIC, FloatFactors, float_factors
from furiosa_ir.numerics.rounding_boundaries import near_boundaries
from tests.draws import draws

LOW, HIGH = -131, 124


def rounded(sums: Array, found: FloatFactors, low: int = LOW, high: int = HIGH) -> Array:
    """As native code computes it: the lower bits of a float64 that has no room for others."""
    within = np.clip(sums * found.factors + found.nudge, float(low), float(high))
    return (within + MAGIC).view(np.int64).astype(np.int32).astype(np.int64)


def within(most: int) -> tuple[Array, Array]:
    """Sums of some magnitude at most."""
    return np.array(-most), np.array(most)


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
            rounding=rounding, low=LOW, high=HIGH, sums=within(most),
        )  # fmt: skip
        if found is None:
            continue
        taken += 1
        sums = beside(float(real), 132, most, 9 if most > 1 << 27 else 1)
        want = rescale(
            sums, int(multiplier), int(shift),
            rounding=rounding, minimum=LOW, maximum=HIGH, dtype=np.int64,
        )  # fmt: skip
        np.testing.assert_array_equal(rounded(sums, found), want)
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
            rounding="near_even", low=LOW, high=HIGH, sums=within(1 << 18),
        )  # fmt: skip
        if found is not None:
            taken += 1
            want = rescale(
                sums, int(multiplier), int(shift),
                rounding="near_even", minimum=LOW, maximum=HIGH, dtype=np.int64,
            )  # fmt: skip
            np.testing.assert_array_equal(rounded(sums, found), want)
    assert taken >= 14


def test_a_factor_moves_so_that_what_counts_as_a_tie_is_one() -> None:
    """A sum of MobileNetV1: 92373 times its factor is 148.50000007, which is taken for a tie."""
    multiplier, shift = quantize_multipliers(np.array([148.50000007263498 / 92373]))
    real = float(np.ldexp(multiplier[0].astype(np.float64), -int(shift[0])))
    found = float_factors(
        multiplier, shift, rounding="near_even", low=0, high=255, sums=within(1 << 27)
    )
    assert found is not None
    assert found.factors[0] < real
    unmoved = FloatFactors(np.array([real]))
    assert rounded(np.array([92373]), unmoved, 0, 255)[0] == 149
    assert rounded(np.array([92373]), found, 0, 255)[0] == 148


@pytest.mark.draws
@pytest.mark.parametrize("rounding", ["near_even", "even", "up", "away"])
@pytest.mark.parametrize("limits", [(LOW, HIGH), (0, 255), (-3, 200), (-128, -1), (-400, 400)])
def test_exact_products(rounding: Rounding, limits: tuple[int, int]) -> None:
    """Multipliers of few bits: every integer beside a tie, and many of those are ties."""
    rng = np.random.default_rng(abs(sum(limits)))
    taken = 0
    for _ in range(draws(60)):
        bits, count = int(rng.integers(1, 30)), int(rng.integers(1, 5))
        odd = rng.integers(1 << bits - 1, 1 << bits, count) | 1
        odd *= rng.choice([-1, 1], count)
        # Results around the limits, for integers of up to `most`.
        most = int(2 ** rng.uniform(8, 31))
        places = max(int(np.log2(most) + bits - rng.uniform(4, 12)), 1)
        zeros = rng.integers(0, 31 - bits, count)
        shift = np.maximum(places + rng.integers(-3, 4, count), 0) + zeros
        multiplier = odd << zeros
        found = float_factors(
            multiplier, shift, rounding=rounding, low=limits[0], high=limits[1], sums=within(most)
        )
        if found is None:
            continue
        taken += 1
        for channel in range(count):
            real = float(np.ldexp(multiplier[channel], -shift[channel]))
            near = beside(abs(real), 420, most, 2)
            sums = np.concatenate([near, -near, rng.integers(-most, most + 1, 1000), [most, -most]])
            want = rescale(
                sums, int(multiplier[channel]), int(shift[channel]),
                rounding=rounding, minimum=limits[0], maximum=limits[1], dtype=np.int64,
            )  # fmt: skip
            one = FloatFactors(found.factors[channel : channel + 1], found.nudge)
            np.testing.assert_array_equal(rounded(sums, one, *limits), want)
    assert taken > draws(60) // 4


@pytest.mark.draws
@pytest.mark.parametrize("rounding", ["near_even", "even", "up", "away"])
def test_sums_of_each_channel(rounding: Rounding) -> None:
    """Far from 0, as those of a channel with small weights and a great bias, and around it."""
    rng = np.random.default_rng(8)
    count, taken = 16, 0
    for _ in range(draws(60)):
        middle = rng.integers(-(1 << 30), 1 << 30, count) >> rng.integers(0, 24, count)
        half = rng.integers(1, 1 << 20, count) >> rng.integers(0, 16, count)
        # So that the window is in a result's range or reaches out of it.
        reals = rng.uniform(0.0, 200.0, count) / np.maximum(np.abs(middle), half)
        multipliers, shifts = quantize_multipliers(np.maximum(reals, 2.0**-31))
        least, greatest = middle - half, middle + half
        found = float_factors(
            multipliers, shifts, rounding=rounding, low=LOW, high=HIGH, sums=(least, greatest)
        )
        if found is None:
            continue
        taken += 1
        for channel in range(count):
            multiplier, shift = int(multipliers[channel]), int(shifts[channel])
            near = beside(float(np.ldexp(multiplier, -shift)), 132, 1 << 31, 9)
            ends = [least[channel], middle[channel], greatest[channel]]
            sums = np.concatenate([near, ends])
            sums = sums[(sums >= least[channel]) & (sums <= greatest[channel])]
            want = rescale(
                sums, multiplier, shift,
                rounding=rounding, minimum=LOW, maximum=HIGH, dtype=np.int64,
            )  # fmt: skip
            one = FloatFactors(found.factors[channel : channel + 1], found.nudge)
            np.testing.assert_array_equal(rounded(sums, one), want)
    assert taken > draws(60) // 2


def test_an_integer_that_no_sum_reaches_decides_nothing() -> None:
    """1762632547 * 2**-39 asks for two factors, of sums beyond some 10,000."""
    one = np.array([1762632547]), np.array([39])
    how = {"rounding": "near_even", "low": 0, "high": 255}
    assert float_factors(*one, **how, sums=within(300_000)) is None  # pyright: ignore[reportArgumentType]
    assert float_factors(*one, **how, sums=within(1000)) is not None  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("rounding", ["floor", "double"])
def test_other_roundings_have_none(rounding: Rounding) -> None:
    one = np.array([1 << 30]), np.array([34])
    assert float_factors(*one, rounding=rounding, low=-128, high=127, sums=within(1 << 20)) is None


def test_wide_results_have_none() -> None:
    one = np.array([1 << 30]), np.array([34])
    sums = within(1 << 30)
    assert float_factors(*one, rounding="even", low=-(1 << 15), high=1 << 15, sums=sums) is None


def test_ties_up_on_both_sides_need_a_nudge() -> None:
    """What is rounded up of 1/2 and of -1/2 is no result of one that rounds to even."""
    half = np.array([1 << 30]), np.array([31])
    found = float_factors(*half, rounding="up", low=-128, high=127, sums=within(100))
    assert found is not None
    assert found.nudge > 0
    assert rounded(np.array([-3, -1, 1, 3]), found).tolist() == [-1, 0, 1, 2]


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
