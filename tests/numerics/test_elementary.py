"""Elementary functions: close to numpy's, the same bits everywhere, and exact where expected."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from furiosa_ir.numerics import elementary

RNG = np.random.default_rng(0)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, np.inf, -np.inf, np.nan, 5e-324, 710.0, -745.2])
REALS = np.concatenate(
    [
        SPECIAL,
        RNG.uniform(-20, 20, 4000),
        RNG.uniform(-1e-3, 1e-3, 400),
        RNG.uniform(-700, 700, 400),
    ]
)
HUGE = np.concatenate([REALS, 10.0 ** RNG.uniform(5, 308, 300), [2.0**1023, 1e22]])
POSITIVE = np.concatenate(
    [
        SPECIAL,
        RNG.uniform(0, 20, 4000),
        RNG.uniform(0.99, 1.01, 400),
        10 ** RNG.uniform(-300, 300, 400),
    ]
)
UNIT = np.concatenate([SPECIAL, RNG.uniform(-1, 1, 4000), RNG.uniform(0.999, 1, 100)])

# name -> (arguments, numpy's or math's function, greatest distance in units in the last place)
FUNCTIONS: dict[str, tuple[np.ndarray, Callable[[np.ndarray], np.ndarray], int]] = {
    "exp": (REALS, np.exp, 2),
    "expm1": (REALS, np.expm1, 3),
    "log": (POSITIVE, np.log, 2),
    "log1p": (np.concatenate([UNIT, POSITIVE]), np.log1p, 3),
    "sin": (HUGE, np.sin, 2),
    "cos": (HUGE, np.cos, 2),
    "tan": (REALS, np.tan, 5),
    "arcsin": (UNIT, np.arcsin, 6),
    "arccos": (UNIT, np.arccos, 6),
    "arctan": (HUGE, np.arctan, 6),
    "sinh": (REALS, np.sinh, 5),
    "cosh": (REALS, np.cosh, 5),
    "tanh": (REALS, np.tanh, 4),
    "arcsinh": (HUGE, np.arcsinh, 4),
    "arccosh": (np.concatenate([POSITIVE, HUGE]), np.arccosh, 4),
    "arctanh": (UNIT, np.arctanh, 4),
    "softplus": (REALS, lambda x: np.logaddexp(x, 0.0), 4),
    "erf": (REALS, np.vectorize(math.erf), 8),
}


def distances(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """In units in the last place of `want`."""
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(all="ignore"):
        return np.where(same, 0.0, np.abs(got - want) / np.spacing(np.abs(want)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_close_to_the_library_s(name: str) -> None:
    x, function, limit = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        want = function(x)
    got = getattr(elementary, name)(x)
    found = distances(got, want)
    worst = int(np.argmax(found))
    assert found[worst] <= limit, (x[worst], got[worst], want[worst])
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))


def test_erfc_has_small_relative_errors_too() -> None:
    x = np.concatenate([RNG.uniform(-6, 26, 4000), [0.0, 2.0, -2.0, 30.0, -30.0, np.inf, -np.inf]])
    want = np.vectorize(math.erfc)(x)
    assert np.max(np.abs(elementary.erfc(x) - want) / np.maximum(want, 1e-300)) < 1e-12
    assert np.isnan(elementary.erfc(np.nan))


# SHA-256 of the results as bytes. They hold on every machine: a difference is a machine that does
# not compute as IEEE 754 says, or a change of the functions, which changes programs.
DIGESTS = {
    "exp": "b224f1e6d6b4e5b1",
    "expm1": "0bf142a9c0ceb708",
    "log": "1003b34f9e5c091a",
    "log1p": "902949469ea4f64a",
    "sin": "815c91170413cc51",
    "cos": "811579bc9c231741",
    "tan": "1f52e64f1498b5de",
    "arcsin": "fc44b41ab2c10955",
    "arccos": "a70588b568ad7e00",
    "arctan": "13294c413b903fad",
    "sinh": "9eb9973d7840d54e",
    "cosh": "66b41a65f76e5823",
    "tanh": "d7b1c7671b67d5e5",
    "arcsinh": "a1317c2be8eba702",
    "arccosh": "2bea16e6e6dcb58e",
    "arctanh": "151d95c2adfb31ba",
    "softplus": "e8ee50b9b47003ec",
    "erf": "356e3560efe0c9c0",
    "erfc": "7b38e86a234ddfb3",
    "power": "66e62b0eb9b47873",
}


def arguments() -> np.ndarray:
    """Numbers that no library had to compute: multiples of 2**-7 from -32 to 32."""
    return np.arange(-4096, 4097) / 128.0


def digest(results: np.ndarray) -> str:
    plain = np.where(np.isnan(results), np.nan, results) + 0.0  # one NaN, one zero
    return hashlib.sha256(plain.astype("<f8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", [*FUNCTIONS, "erfc"])
def test_results_are_the_same_bits_on_every_machine(name: str) -> None:
    x = arguments() / 32 if name in ("arcsin", "arccos", "arctanh") else arguments()
    assert digest(getattr(elementary, name)(x)) == DIGESTS[name]


def test_powers_are_the_same_bits_on_every_machine() -> None:
    powers = [elementary.power(np.abs(arguments()), b) for b in (1.7, -3.25, 0.5, 3.0, 100.0)]
    assert digest(np.concatenate(powers)) == DIGESTS["power"]


def test_what_is_exact_is_exact() -> None:
    assert elementary.exp(0.0) == 1
    assert elementary.log(1.0) == 0
    assert elementary.tanh(0.0) == 0
    assert elementary.erf(0.0) == 0
    n = np.arange(-40, 41)
    np.testing.assert_array_equal(elementary.power(2.0, n), np.ldexp(1.0, n))
    np.testing.assert_array_equal(elementary.power(np.arange(100.0), 3.0), np.arange(100) ** 3)
    squares = np.arange(1, 100.0) ** 2
    np.testing.assert_array_equal(elementary.power(squares, 1.5), np.arange(1, 100) ** 3)
    np.testing.assert_array_equal(elementary.power(squares, -0.5), 1 / np.arange(1, 100))


@pytest.mark.parametrize("exponent", [2.0, 3.0, -1.0, -2.0, 0.5, -0.5, 0.0, 1.7, -3.3, 65.0, 1 / 3])
def test_powers_are_close_to_numpy_s(exponent: float) -> None:
    x = np.concatenate([RNG.uniform(-20, 20, 1000), [0.0, 1.0, -1.0, np.inf, np.nan]])
    with np.errstate(all="ignore"):
        want = np.power(x, exponent)
        got = elementary.power(x, exponent)
        bound = 4 + 2 * np.abs(exponent * np.log(np.abs(x)))
    found = distances(got, want)
    assert np.all((found <= bound) | (found == 0))


def test_integer_powers_stay_integers() -> None:
    result = elementary.power(np.array([2, 3], np.int32), np.array([3, 2], np.int32))
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, [8, 9])


def test_narrow_floats_stay_narrow_and_shapes_stay() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        x = np.linspace(-2, 2, 6, dtype=dtype).reshape(2, 3)
        result = elementary.exp(x)
        assert (result.dtype, result.shape) == (dtype, (2, 3))
        wide = elementary.exp(x.astype(np.float64))
        np.testing.assert_array_equal(result, wide.astype(dtype))
    assert elementary.exp(np.array([1, 2])).dtype == np.float64
    assert elementary.tanh(np.zeros((0, 3))).shape == (0, 3)
    assert elementary.power(np.float32(2), np.float32(0.3)).dtype == np.float32


@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 700.0, -5000.0, 300_000.0])
def test_exponentials_of_any_size(x: float) -> None:
    mantissa, exponent = elementary.exp_parts(x)
    assert 0.5 <= mantissa < 1
    assert math.isclose(math.log(mantissa) + int(exponent) * math.log(2), x, abs_tol=1e-10)


def test_binary_logarithms_are_rounded_up_exactly() -> None:
    for n in range(1, 2000):
        assert elementary.ceil_log2(n) == (n - 1).bit_length()
    np.testing.assert_array_equal(elementary.ceil_log2([0.25, 0.26, 1.0, 2.0**40]), [-2, -1, 0, 40])


def test_portable_products_are_exact_but_for_the_last_roundings() -> None:
    a = RNG.standard_normal((2, 5, 300)).astype(np.float32).astype(float)
    a *= 10.0 ** RNG.integers(-8, 8, (2, 5, 1))
    b = RNG.standard_normal((300, 4)).astype(np.float32).astype(float)
    with elementary.portable_products():
        got = elementary.matmul(a, b)
        assert elementary.matmul(a[0], b[:, 0]).shape == (5,)
        assert elementary.matmul(np.zeros((2, 0)), np.zeros((0, 3))).tolist() == [[0.0] * 3] * 2
        assert np.isnan(elementary.matmul(np.full((1, 1), np.nan), np.ones((1, 1)))).all()
    for i, j, k in np.ndindex(got.shape):
        want = float(sum(Fraction(x) * Fraction(y) for x, y in zip(a[i, j], b[:, k], strict=True)))
        size = float(np.abs(a[i, j]) @ np.abs(b[:, k]))
        assert abs(got[i, j, k] - want) <= 2.0**-52 * size
    np.testing.assert_array_equal(elementary.matmul(a, b), np.matmul(a, b))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_portable_products_do_not_depend_on_the_order_of_a_sum(dtype: type[np.floating]) -> None:
    a = RNG.standard_normal((4, 500)).astype(dtype)
    b = RNG.standard_normal((500, 4)).astype(dtype)
    order = RNG.permutation(500)
    with elementary.portable_products():
        same = elementary.matmul(a[:, order], b[order])
        np.testing.assert_array_equal(elementary.matmul(a, b), same)
        assert same.dtype == dtype
    assert not np.array_equal(np.matmul(a, b), np.matmul(a[:, order], b[order]))
