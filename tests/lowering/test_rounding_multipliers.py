"""Multipliers with which every accumulator is rounded as its exact product is."""

from __future__ import annotations

import numpy as np
import pytest

from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import quantize
from furiosa_ir.lowering.exact.multipliers import rounding_multipliers
from furiosa_ir.lowering.exact.scale import exact_multipliers
from furiosa_ir.numerics.fixed_point import rescale
from tests.draws import draws


def is_right(real: float, multiplier: int, shift: int, target: Quantization) -> bool:
    """Whether the sums on both sides of each boundary are rounded as exact products are."""
    low, high = target.storage_range
    boundaries = np.arange(low - 1, high + 1) - target.zero_point + 0.5
    sums = np.unique([np.floor(boundaries / real), np.ceil(boundaries / real)])
    sums = sums[np.abs(sums) < 2**31].astype(np.int32)
    got = rescale(
        sums,
        multiplier,
        shift,
        output_zero_point=target.zero_point,
        rounding="near_even",
        dtype=target.dtype,
    )
    return bool(np.array_equal(got, quantize(sums * real * target.scale, target)))


@pytest.mark.draws
@pytest.mark.parametrize(("storage", "zero_point"), [("i8", -128), ("i8", 5), ("u8", 128)])
def test_every_boundary_of_random_factors(storage: str, zero_point: int) -> None:
    rng = np.random.default_rng(zero_point % 256)
    target = Quantization(storage, (0.02,), (zero_point,))
    real = 2.0 ** rng.uniform(-20, 2, draws(5000))
    nearest, shift = exact_multipliers(real)
    chosen = rounding_multipliers(real, nearest, shift, target)
    wrong = 0
    for r, n, c, s in zip(real, nearest, chosen, shift, strict=True):
        factor, near, made, places = float(r), int(n), int(c), int(s)
        wrong += not is_right(factor, near, places, target)
        if not is_right(factor, made, places, target):
            steps = [step for step in range(-3, 4) if near + step < 1 << 31]
            assert not any(is_right(factor, near + step, places, target) for step in steps)
            assert made == near
        assert abs(made - near) <= 3
    assert wrong > 0  # or the nearest would do


def test_a_sum_of_ssd_resnet34() -> None:
    """195235 of its factor is 186.50000022: with the nearest multiplier, a tie, and rounded down.

    The factor is one of the layer 'Conv_19', for which `--verify` found it.
    """
    target = Quantization("i8", (1.0,), (-128,))
    real = np.array([0.0009552590479301311])
    multiplier, shift = exact_multipliers(real)
    assert not is_right(float(real[0]), int(multiplier[0]), int(shift[0]), target)
    chosen = rounding_multipliers(real, multiplier, shift, target)
    assert is_right(float(real[0]), int(chosen[0]), int(shift[0]), target)


def test_exact_multipliers_and_wide_targets_stay() -> None:
    real = np.array([0.5, 3 / 64, 1.0, 5 / 2**12])
    multiplier, shift = exact_multipliers(real)
    for storage in ("i8", "i16"):
        target = Quantization(storage, (1.0,), (0,))
        made = rounding_multipliers(real, multiplier, shift, target)
        np.testing.assert_array_equal(made, multiplier)
