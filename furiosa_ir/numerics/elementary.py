"""Elementary functions of arrays that give the same bits on every machine.

numpy's `exp`, `tanh`, `power` ... differ in their last bits from one processor to another (it has
implementations for several instruction sets), and so do those of C libraries. Here they are made
of additions, multiplications, divisions and square roots in float64, each a numpy operation of its
own, which IEEE 754 defines to the last bit; so tables and folded constants, and with them programs,
are the same wherever they are compiled.

Results are within a few units in the last place of the exact ones, and exact where that is easily
expected: exp(0), log(1), integer powers of few digits. Special values are numpy's. All take any
real array; float32 and float16 are computed in float64 and rounded once.

Argument reductions and identities are those of any handbook (Abramowitz and Stegun, chapters 4 and
7); coefficients are Taylor's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from furiosa_ir.numerics.array import Array, Reals

if TYPE_CHECKING:
    import numpy.typing as npt

# ln 2 and pi / 2 in parts of 33 bits, so that their products with integers of 20 bits are exact.
_LN2 = (float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33"))
_HALF_PI = (
    float.fromhex("0x1.921fb54400000p+0"),
    float.fromhex("0x1.0b4611a600000p-34"),
    float.fromhex("0x1.3198a2e037073p-69"),
)
_PI_2 = _HALF_PI[0] + _HALF_PI[1]
_MANY_TURNS = float(1 << 20)


def _real(function: Callable[[Reals], Reals]) -> Callable[[npt.ArrayLike], Array]:
    """A function of float64 as one of any real array."""

    @wraps(function)
    def apply(x: npt.ArrayLike) -> Array:
        given = np.asarray(x)
        with np.errstate(all="ignore"):
            result = function(given.astype(np.float64))
            narrow = given.dtype.kind == "f" and given.dtype.itemsize < 8
            return result.astype(given.dtype) if narrow else result

    return apply


def _series(x: Reals, coefficients: list[float]) -> Reals:
    """The sum of coefficients[i] * x**i, by Horner's scheme."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


_EXP = [1 / factorial(i + 2) for i in range(13)]
_LOG = [2 / (2 * i + 3) for i in range(11)]
_ATAN = [(-1) ** i / (2 * i + 1) for i in range(13)]
_SIN = [(-1) ** (i + 1) / factorial(2 * i + 3) for i in range(9)]
_COS = [(-1) ** i / factorial(2 * i + 4) for i in range(8)]


def _reduced(x: Reals) -> tuple[Reals, npt.NDArray[np.int64]]:
    """(m, k): exp(x) = 2**k * (1 + m), |m| < 0.42; x is no NaN."""
    x = np.clip(x, -7e5, 7e5)
    k = np.rint(x / (_LN2[0] + _LN2[1]))
    upper, lower = x - k * _LN2[0], k * _LN2[1]
    r = upper - lower
    rest = (upper - r) - lower
    return r + (r * r * _series(r, _EXP) + rest), k.astype(np.int64)


def _exp(x: Reals) -> Reals:
    nan = np.isnan(x)
    m, k = _reduced(np.where(nan, 0.0, x))
    return np.where(nan, x, np.ldexp(1.0 + m, k))


def _expm1(x: Reals) -> Reals:
    nan = np.isnan(x)
    m, k = _reduced(np.where(nan, 0.0, x))
    # Half of 2**k - 1 + 2**k * m: the whole may be finite where 2**k is not.
    half = np.ldexp(1.0, k - 1) - 0.5 + np.ldexp(m, k - 1)
    return np.where(nan | (x == 0), x, np.where(x > 710.0, np.inf, 2.0 * half))


def _log(x: Reals) -> Reals:
    usual = (x > 0) & (x < np.inf)
    mantissa, exponent = np.frexp(np.where(usual, x, 1.0))
    low = mantissa < np.sqrt(0.5)
    mantissa, exponent = np.where(low, 2.0 * mantissa, mantissa), exponent - low
    # With f = m - 1 and s = f / (2 + f): log m = 2 * artanh(s), and 2 * s = f - s * f.
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    tail = s * (half + z * _series(z, _LOG)) + exponent * _LN2[1]
    result = exponent * _LN2[0] - ((half - tail) - f)
    special = np.where(x == 0, -np.inf, np.where(x > 0, x, np.nan))
    return np.where(usual, result, special)


def _log1p(x: Reals) -> Reals:
    whole = 1.0 + x
    usual = (x > -1.0) & (x < np.inf)
    lost = np.where(usual, (x - (whole - 1.0)) / np.where(usual, whole, 1.0), 0.0)
    return np.where(x == 0, x, _log(whole) + lost)


def _tanh(x: Reals) -> Reals:
    grown = _expm1(2.0 * np.minimum(np.abs(x), 22.0))
    return np.copysign(grown / (grown + 2.0), x)


def _sinh(x: Reals) -> Reals:
    size = np.abs(x)
    grown = _expm1(size)
    small = 0.5 * (grown + grown / (grown + 1.0))
    half = _exp(0.5 * size)
    return np.copysign(np.where(size < 100.0, small, 0.5 * half * half), x)


def _cosh(x: Reals) -> Reals:
    half = _exp(0.5 * np.abs(x))
    return 0.5 * half * half + 0.5 / half / half


def _arcsinh(x: Reals) -> Reals:
    size = np.abs(x)
    square = size * size
    small = _log1p(size + square / (1.0 + np.sqrt(1.0 + square)))
    large = _log(size) + (_LN2[0] + _LN2[1])
    return np.copysign(np.where(size < 1e100, small, large), x)


def _arccosh(x: Reals) -> Reals:
    above = x - 1.0
    large = _log(x) + (_LN2[0] + _LN2[1])
    return np.where(x < 1e100, _log1p(above + np.sqrt(above * (x + 1.0))), large)


def _arctanh(x: Reals) -> Reals:
    size = np.abs(x)
    return np.copysign(0.5 * _log1p(2.0 * size / (1.0 - size)), x)


def _arctan(x: Reals) -> Reals:
    size = np.abs(x)
    inverted = size > 1.0
    t = np.where(inverted, 1.0 / size, size)
    # Twice half the angle, and again: below 0.2.
    for _ in range(2):
        t = t / (1.0 + np.sqrt(1.0 + t * t))
    angle = 4.0 * t * _series(t * t, _ATAN)
    return np.copysign(np.where(inverted, _HALF_PI[0] - (angle - _HALF_PI[1]), angle), x)


def _arcsin(x: Reals) -> Reals:
    return _arctan(x / np.sqrt((1.0 - x) * (1.0 + x)))


def _arccos(x: Reals) -> Reals:
    return 2.0 * _arctan(np.sqrt((1.0 - x) / (1.0 + x)))


def _turned(x: Reals) -> tuple[Reals, npt.NDArray[np.int64]]:
    """(r, k): x = k * pi / 2 + r, |r| <= pi / 4, k mod 4."""
    usual = np.abs(x) < _MANY_TURNS
    near = np.where(usual, x, 0.0)
    k = np.rint(near / _PI_2)
    # As arrays: of a scalar, numpy's arithmetic makes what nothing can be assigned to.
    r = np.asarray(((near - k * _HALF_PI[0]) - k * _HALF_PI[1]) - k * _HALF_PI[2])
    turns = np.asarray(k.astype(np.int64) & 3)
    for index in map(tuple, np.argwhere(~usual & np.isfinite(x))):
        r[index], turns[index] = _turned_far(float(x[index]))
    return np.where(np.isfinite(x), r, np.nan), turns


def _turned_far(x: float) -> tuple[float, int]:
    """`_turned` of one number of any size, in integers."""
    numerator, denominator = x.as_integer_ratio()
    right_angle, scaled = _pi(), (numerator << (_PI_BITS + 1)) // denominator
    k = (2 * scaled + right_angle) // (2 * right_angle)
    return (scaled - k * right_angle) / (1 << (_PI_BITS + 1)), k & 3


_PI_BITS = 1200
"""The greatest float64 has 1024 bits, and its distance from a multiple of pi is above 2**-70."""


@cache
def _pi() -> int:
    """pi * 2**_PI_BITS, by Machin's formula: pi = 16 * arctan(1 / 5) - 4 * arctan(1 / 239)."""
    extra = 32

    def arctan_of_inverse(n: int) -> int:
        term = (1 << (_PI_BITS + extra)) // n
        total, i = 0, 0
        while term:
            total += (-term if i & 1 else term) // (2 * i + 1)
            term //= n * n
            i += 1
        return total

    return (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)) >> extra


def _sin_of_turned(x: Reals, ahead: int) -> Reals:
    """sin(x + ahead * pi / 2)."""
    r, k = _turned(x)
    square = r * r
    sine = r + r * square * _series(square, _SIN)
    cosine = 1.0 - (0.5 * square - square * square * _series(square, _COS))
    k = k + ahead
    return np.where(k & 1, cosine, sine) * np.where(k & 2, -1.0, 1.0)


def _sin(x: Reals) -> Reals:
    return np.where(x == 0, x, _sin_of_turned(x, 0))


def _cos(x: Reals) -> Reals:
    return _sin_of_turned(x, 1)


def _tan(x: Reals) -> Reals:
    return _sin(x) / _cos(x)


_ROOT_PI = float.fromhex("0x1.c5bf891b4ef6ap+0")
_ERF_TERMS = 32
_ERFC_LEVELS = 60


def _exp_of_minus_square(x: Reals) -> Reals:
    # The square of 24 bits is exact.
    short = x.astype(np.float32).astype(np.float64)
    return _exp(-short * short) * _exp((short - x) * (short + x))


def _erf_near(x: Reals) -> Reals:
    """For |x| <= 2: 2 / sqrt(pi) * exp(-x**2) * sum of 2**n * x**(2 * n + 1) / (2 * n + 1)!!."""
    double_square = 2.0 * x * x
    total = np.ones_like(x)
    for n in range(_ERF_TERMS, 0, -1):
        total = 1.0 + total * double_square / (2 * n + 1)
    return x * (2.0 / _ROOT_PI) * _exp_of_minus_square(x) * total


def _erfc_far(x: Reals) -> Reals:
    """For x >= 2: exp(-x**2) / sqrt(pi) / (x + (1 / 2) / (x + (2 / 2) / (x + (3 / 2) / ...)))."""
    fraction = x
    for n in range(_ERFC_LEVELS, 0, -1):
        fraction = x + 0.5 * n / fraction
    return _exp_of_minus_square(x) / (_ROOT_PI * fraction)


def _erfc(x: Reals) -> Reals:
    size = np.abs(x)
    far = _erfc_far(np.clip(size, 2.0, 30.0))
    near = 1.0 - _erf_near(np.clip(x, -2.0, 2.0))
    return np.where(size < 2.0, near, np.where(x > 0, far, 2.0 - far)) + np.where(np.isnan(x), x, 0)


def _erf(x: Reals) -> Reals:
    size = np.abs(x)
    far = np.copysign(1.0 - _erfc_far(np.clip(size, 2.0, 30.0)), x)
    near = _erf_near(np.clip(x, -2.0, 2.0))
    return np.where(size < 2.0, near, far) + np.where(np.isnan(x), x, -0.0)


def _softplus(x: Reals) -> Reals:
    return np.maximum(x, 0.0) + _log1p(_exp(-np.abs(x)))


exp = _real(_exp)
expm1 = _real(_expm1)
log = _real(_log)
log1p = _real(_log1p)
sin = _real(_sin)
cos = _real(_cos)
tan = _real(_tan)
arcsin = _real(_arcsin)
arccos = _real(_arccos)
arctan = _real(_arctan)
sinh = _real(_sinh)
cosh = _real(_cosh)
tanh = _real(_tanh)
arcsinh = _real(_arcsinh)
arccosh = _real(_arccosh)
arctanh = _real(_arctanh)
erf = _real(_erf)
erfc = _real(_erfc)
softplus = _real(_softplus)
"""log(1 + exp(x))."""


def exp_parts(x: npt.ArrayLike) -> tuple[Reals, npt.NDArray[np.int64]]:
    """(m, e) with exp(x) = m * 2**e and m in [0.5, 1), also where exp(x) is no float64.

    x is no NaN; beyond 700,000 it counts as that.
    """
    m, k = _reduced(np.asarray(x, np.float64))
    mantissa, exponent = np.frexp(1.0 + m)
    return mantissa, k + exponent


def ceil_log2(x: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The least n with x <= 2**n, x > 0."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    return exponent.astype(np.int64) - (mantissa == 0.5)


_GREATEST_EXPONENT = 64
"""Of those that are powers by multiplication."""


@contextmanager
def portable_products() -> Generator[None]:
    """Within it, `matmul` of reals gives the same bits on every machine, at nine times the cost."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


_portable: ContextVar[bool] = ContextVar("portable", default=False)

_PARTS = 3


def matmul(a: Array, b: Array) -> Array:
    """`numpy.matmul`, whose sums of reals depend on the order in which a library takes them.

    Within `portable_products`, factors are split into parts of so few bits that products and sums
    of parts are exact in float64, whatever the order; only the sums of those are rounded, to
    float32 last of all where both factors are. Bits beyond the first 60 below the greatest of a row
    or column are dropped. (K. Ozaki et al., "Error-free transformations of matrix multiplication",
    Numerical Algorithms 59, 2012.)
    """
    reals = a.dtype == b.dtype and a.dtype.char in "fd"
    if not (_portable.get() and reals and np.isfinite(a).all() and np.isfinite(b).all()):
        return np.matmul(a, b)
    if a.dtype == np.float32:
        with np.errstate(over="ignore"):  # as in numpy's own, what is too large is infinite
            return matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
    bits = (52 - int(ceil_log2(max(a.shape[-1], 1)))) // 2
    lefts, rights = _parts(a, -1, bits), _parts(b, -2 if b.ndim > 1 else -1, bits)
    total: Array = np.zeros((), np.float64)
    for i in range(2 * _PARTS - 1):
        for j in range(max(0, i - _PARTS + 1), min(i, _PARTS - 1) + 1):
            total = total + np.matmul(lefts[j], rights[i - j])
    return total


def _parts(x: Reals, axis: int, bits: int) -> list[Reals]:
    """Arrays that sum up to x, each of multiples of one number for all along `axis`."""
    parts: list[Reals] = []
    for _ in range(_PARTS):
        _, exponent = np.frexp(np.abs(x).max(axis, keepdims=True, initial=0.0))
        parts.append(np.ldexp(np.rint(np.ldexp(x, bits - exponent)), exponent - bits))
        x = x - parts[-1]
    return parts


def power(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """a to the power of b: by multiplication and a square root if 2 * b is a small integer.

    Powers of integers by integers are integers, as numpy's.
    """
    base, exponent = np.asarray(a), np.asarray(b)
    if base.dtype.kind in "iub" and exponent.dtype.kind in "iub":
        return base**exponent
    dtype = np.result_type(base, exponent)
    with np.errstate(all="ignore"):
        result = _power(*np.broadcast_arrays(base.astype(np.float64), exponent.astype(np.float64)))
    return result.astype(dtype) if dtype.kind == "f" and dtype.itemsize < 8 else result


def _power(a: Reals, b: Reals) -> Reals:
    size = np.abs(b)
    simple = (size <= _GREATEST_EXPONENT) & (np.rint(2.0 * size) == 2.0 * size)
    whole = np.where(simple, np.floor(size), 0.0)
    product, square = np.ones_like(a), a
    for bit in range(_GREATEST_EXPONENT.bit_length()):
        product = np.where(whole.astype(np.int64) >> bit & 1, product * square, product)
        square = square * square
    product = np.where(simple & (size != whole), product * np.sqrt(a), product)
    product = np.where(b < 0, 1.0 / product, product)
    general = _exp(b * _log(np.abs(a)))
    integer = np.rint(b) == b
    odd = integer & (np.rint(0.5 * b) != 0.5 * b)
    general = np.where((a < 0) & ~integer & np.isfinite(a) & np.isfinite(b), np.nan, general)
    general = np.where((a < 0) & odd, -general, general)
    return np.where(simple, product, np.where(a == 1.0, 1.0, general))
