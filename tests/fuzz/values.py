"""Numbers and names that programs get wrong."""

from __future__ import annotations

import random

INTEGERS = (
    *(0, 1, -1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 256, -128, -129, 32767, 65535, 65536),
    *(2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32, 2**40, 2**60, 2**63 - 1, -(2**63)),
    *(10**6, 10**9),
)
REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-38, 3e38, float("inf"), float("-inf"), float("nan"))


def integer(old: int, rng: random.Random) -> int:
    """Another integer: near the old one, or a notorious one."""
    match rng.randrange(4):
        case 0:
            return old + rng.choice((-2, -1, 1, 2))
        case 1:
            return rng.choice((old * 2, old // 2, -old, old ^ (1 << rng.randrange(16))))
        case 2:
            return rng.randrange(-2, 10)
        case _:
            return rng.choice(INTEGERS)


def text(old: str, rng: random.Random) -> str:
    """Another text."""
    return rng.choice(
        ("", old + "_", old * 2, old[:-1], "\n", "a\nb", "\0", "é", "../x", "%d{}", "x" * 300)
    )
