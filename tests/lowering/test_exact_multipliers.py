"""31-bit multipliers of real factors: exact where they can be, else the nearest."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.errors import CompilationFailure
from furiosa_ir.lowering.exact.scale import exact_multipliers


def fractions(*reals: float) -> list[Fraction]:
    return [Fraction(int(m), 2 ** int(s)) for m, s in zip(*exact_multipliers(reals), strict=True)]


@given(n=st.integers(1, 2**31 - 1), k=st.integers(0, 62))
def test_dyadic_factors_are_exact(n: int, k: int) -> None:
    assert fractions(n / 2**k, 0.0) == [Fraction(n, 2**k), 0]


@given(real=st.floats(2.0**-31, 2.0**30))
def test_others_are_the_nearest(real: float) -> None:
    for made, wanted in zip(fractions(real, -real), (real, -real), strict=True):
        assert abs(made - Fraction(wanted)) <= Fraction(real) / 2**31


@pytest.mark.parametrize("real", [2.0**31, -1e300, math.inf, math.nan])
def test_what_no_multiplier_expresses_is_refused(real: float) -> None:
    with pytest.raises(CompilationFailure, match="factors below"):
        exact_multipliers([1.0, real])
