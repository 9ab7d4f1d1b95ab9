"""Numbers, names and arrays that importers may stumble over, chosen by a seeded generator."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

INTEGERS = (
    *(0, 0, 1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 63, 64, 127, 128, 255, 256, 1000),
    *(-1, -1, -2, -3, -4, -7, -128, -129, 1 << 15, 1 << 20, 1 << 24),
    *(2**31 - 1, 2**31, -(2**31), 1 << 40, 2**63 - 1, -(2**63)),
)

FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 6.0, 1e-3, 1e3, 255.0, 1e-8, 1e8),
    *(float("nan"), float("inf"), float("-inf"), 1e-45, 1e-38, 3.4e38, -3.4e38, 1e-30, 1e30),
)

NAMES = (
    *("", " ", "a", "/", "::", "%0", "@main", "'", '"', "\\", "a b", "a/b:0", "../../etc/passwd"),
    *("two\nlines", "tab\there", "carriage\rreturn", "bell\a", "escape\x1b[31m", "delete\x7f"),
    *("\u0000", "nul\u0000inside", "é", "名前", "🙂", "\u202eright to left", "\u2028", "\ufeff"),
    *("x" * 5000, "y" * 70000, "{}", "%s%n", "'; DROP TABLE", "\x85", "a\u0300"),
)

EXTENTS = (*(0, 1, 1, 2, 3, 4, 5, 7, 8, 31, 33, 64, 100, 255, 257), *(-1, 1 << 16, 2**31 - 1))


def integer(rng: random.Random, near: int | None = None) -> int:
    """An int64: a little off `near`, or one from the borders."""
    if near is not None and rng.random() < 0.5:
        return max(-(2**63), min(2**63 - 1, near + rng.choice((-2, -1, 1, 2, near))))
    return rng.choice(INTEGERS)


def number(rng: random.Random, near: float | None = None) -> float:
    """A float32 as a Python float: a multiple of `near`, or one from the borders."""
    if near is not None and rng.random() < 0.5:
        return float(np.float32(near) * np.float32(rng.choice((-1, 0.5, 2, 1e-3, 1e3))))
    return rng.choice(FLOATS)


def name(rng: random.Random) -> str:
    """A name that a careless printer or parser breaks on."""
    return rng.choice(NAMES)


def shape(rng: random.Random, near: list[int], *, signed: bool = True) -> list[int]:
    """Another shape: one extent changed, added or dropped, two swapped, or all new."""
    dims = list(near)
    kind = rng.randrange(8)
    if kind <= 2 and dims:
        i = rng.randrange(len(dims))
        dims[i] = rng.choice((*EXTENTS, dims[i] + 1, dims[i] - 1, 2 * dims[i]))
    elif kind == 3 and dims:
        del dims[rng.randrange(len(dims))]
    elif kind == 4 and len(dims) > 1:
        i, j = rng.sample(range(len(dims)), 2)
        dims[i], dims[j] = dims[j], dims[i]
    elif kind == 5:
        dims = []
    elif kind == 6:
        dims = [rng.choice((1, 2, 3, 1 << 20, 1 << 31, 1 << 40)) for _ in range(rng.randrange(9))]
    else:
        dims.insert(rng.randint(0, len(dims)), rng.choice(EXTENTS))
    return [max(0, n) for n in dims] if not signed else dims


def disturb(rng: random.Random, array: np.ndarray) -> np.ndarray:
    """The array with other elements: one, all the same, random, scaled or in another order."""
    flat = array.reshape(-1).copy()
    if flat.size == 0:
        return array
    kind = rng.randrange(5)
    with np.errstate(all="ignore"):
        if kind == 0:
            flat[rng.randrange(flat.size)] = _element(rng, flat.dtype, flat[0])
        elif kind == 1:
            flat[:] = _element(rng, flat.dtype, flat[0])
        elif kind == 2:
            raw = rng.randbytes(min(flat.nbytes, 4096) // flat.itemsize * flat.itemsize)
            if flat.dtype.kind != "b":
                flat[: len(raw) // flat.itemsize] = np.frombuffer(raw, flat.dtype)
        elif kind == 3 and flat.dtype.kind in "iuf":
            flat *= np.array(rng.choice((0, 2, 3, 100)), flat.dtype)
        else:
            flat = flat[::-1].copy()
    return flat.reshape(array.shape)


def _element(rng: random.Random, dtype: Any, near: Any) -> Any:
    if dtype.kind == "f":
        return np.float64(number(rng, float(near))).astype(dtype)
    return np.array(integer(rng, int(near)), np.int64).astype(dtype)
