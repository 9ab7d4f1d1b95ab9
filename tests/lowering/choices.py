"""What test networks are drawn from: hypothesis's choices, so that a failing network shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.strategies import DrawFn

from furiosa_ir.ir.constants import Array

T = TypeVar("T")

FEW = 8
"""A tensor of so many elements is drawn element by element; each takes some 25 microseconds."""

REACHES = (0, 1 / 64, 1 / 8, *[1] * 13)
"""Part of its range that a larger tensor fills: most fill it all; shrinking tries zeros first."""

PRINTED = 64
"""A tensor of so many elements is printed in full; those of a network that shrank have fewer."""


class Choices:
    """Numbers, items and tensors, drawn.

    Bounds are inclusive. What shrinks best stands first: `choose` shrinks to its first item,
    `one_in` and `boolean` to False, integers to the one nearest to 0, tensors to zeros.

    Args:
        draw: of a composite strategy; None for a network that is written out, not drawn.
    """

    def __init__(self, draw: DrawFn | None) -> None:
        self._draw = draw

    def draw(self, strategy: st.SearchStrategy[T]) -> T:
        """An example of any strategy."""
        assert self._draw is not None, "nothing to draw from"
        return self._draw(strategy)

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high], uniform where these are less than 256 apart."""
        return self.draw(st.integers(low, high))

    def integers(self, count: int, low: int, high: int) -> list[int]:
        """`count` integers in [low, high]."""
        return [self.integer(low, high) for _ in range(count)]

    def shape(self, low: int, high: int, longest: int = 5) -> tuple[int, ...]:
        """A shape of rank `low` to `high`."""
        return tuple(self.integers(self.integer(low, high), 1, longest))

    def broadcast(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to `shape`, of its rank or less."""
        extents = [1 if self.one_in(3) else n for n in shape]
        return tuple(extents)[self.integer(0, len(shape) - 1) :]

    def boolean(self) -> bool:
        """Either."""
        return self.draw(st.booleans())

    def one_in(self, count: int) -> bool:
        """True once in `count` draws."""
        return self.integer(0, count - 1) == count - 1

    def choose(self, *items: T) -> T:
        """One of the items."""
        return items[self.integer(0, len(items) - 1)]

    def order(self, count: int) -> list[int]:
        """A permutation of range(count)."""
        return list(self.draw(st.permutations(range(count))))

    def real(self, low: float, high: float) -> float:
        """A float32 in [low, high], nearly uniform."""
        return float(np.float32(self.draw(st.floats(low, high))))

    def zero_point(self, low: int, high: int) -> int:
        """A stored integer for 0; now and then 0 or an end of the range, as in real files."""
        return self.choose(0, low, high) if self.one_in(4) else self.integer(low, high)

    def array(self, shape: Sequence[int], low: int, high: int, dtype: type = np.int8) -> Array:
        """A tensor of integers in [low, high].

        A few elements are drawn one by one. More come from a generator of which the seed and the
        part of the range are drawn.
        """
        if np.prod(shape) <= FEW:
            each = st.integers(low, high)
            arrays = npst.arrays(np.int64, tuple(shape), elements=each, fill=st.nothing())
            return self.draw(arrays).astype(dtype)
        data = self._generator().integers(low, high + 1, shape) * self.choose(*REACHES)
        return np.clip(np.trunc(data), low, high).astype(dtype)

    def normal(self, shape: Sequence[int], deviation: float = 1.0) -> Array:
        """A tensor of normally distributed float64s around 0, or of zeros."""
        return self._generator().normal(0, deviation, shape) * self.choose(*REACHES)

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(self.integer(0, 2**32 - 1))


def described(array: Array) -> str:
    """The elements of a small array; of a larger one what it is."""
    text = f"{array.dtype}{list(array.shape)}"
    return f"{text} {array.tolist()}" if array.size <= PRINTED else text
