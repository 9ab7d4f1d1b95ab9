"""What a test vector of docs/enf.md is, and how one is declared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from furiosa_ir.program import Program
from tests.backends.warboy.enf.vector_builder import Builder

Arrays = Sequence[np.ndarray]
Made = tuple[Builder, Sequence[Arrays]]
I32, I64 = np.iinfo(np.int32), np.iinfo(np.int64)
FULL = {1: (-128, 127), 4: (I32.min, I32.max), 8: (I64.min, I64.max)}


@dataclass(frozen=True)
class TestVector:
    """Attributes: its name, what it is for, its program, the inputs of each run."""

    __test__ = False
    name: str
    what: str
    program: Program
    runs: tuple[tuple[np.ndarray, ...], ...]


MAKERS: dict[str, Callable[[], TestVector]] = {}


def vector(what: str, **cases: Sequence[Any]) -> Callable[[Callable[..., Made]], Any]:
    """Declares the vector that the function below makes, or one for each case of its argument."""

    def declare(make: Callable[..., Made]) -> Any:
        base = make.__name__
        (case, values) = next(iter(cases.items()), ("", [None]))

        def maker(name: str, *arguments: Any) -> Callable[[], TestVector]:
            def made() -> TestVector:
                builder, runs = make(*arguments)
                given = tuple(tuple(run) for run in runs)
                return TestVector(name, what, builder.program(), given)

            return made

        for value in values:
            name = f"{base}_{value}" if case else base
            MAKERS[name] = maker(name, *([value] if case else []))
        return make

    return declare


def draw(shape: Sequence[int], dtype: str = "int8", seed: int = 0) -> np.ndarray:
    """All values of the type alike; the same with every version of everything."""
    size = prod(shape) * np.dtype(dtype).itemsize
    digest = hashlib.shake_256(f"{seed} {dtype} {tuple(shape)}".encode()).digest(size)
    return np.frombuffer(digest, dtype).reshape(shape).copy()


def ends(dtype: str) -> np.ndarray:
    """[1, 1, 1, 16]: extremes of the type and what lies around zero."""
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    some = [low, low + 1, low // 2 - 1, low // 2, -3, -2, -1, 0, 1, 2, 3, high // 2, high // 2 + 1]
    return np.array([*some, high - 1, high, low // 3], dtype).reshape(1, 1, 1, 16)
