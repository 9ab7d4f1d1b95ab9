"""What commands are written with: words, arrays they point to, room in the scratch memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from furiosa_ir.backends.warboy.simulator.memory import address_of
from furiosa_ir.numerics.array import Array

_ALIGNMENT = 64
_LIMIT = 1 << 63
_MOST_SCRATCH = 1 << 44


class NoWords(Exception):  # not an error: numpy does it
    """A command that the kernels do not know."""


class Constants:
    """Arrays that words point to, kept as long as the plan.

    Those made of the same bytes in the same way are made once (`shared`): tiles of a kernel have
    its weights in common.
    """

    def __init__(self) -> None:
        self._kept: list[Array] = []
        self._addresses: dict[Hashable, Any] = {}

    def address(self, array: Array, dtype: npt.DTypeLike) -> int:
        """The address of the array's elements in that type, contiguous."""
        kept = np.ascontiguousarray(array, dtype)
        self._kept.append(kept)
        return address_of(kept)

    def shared(self, key: Hashable) -> Any:
        """What `share` kept for the key, or None."""
        return self._addresses.get(key)

    def share(self, key: Hashable, made: Any) -> Any:
        """Keeps what has been made for the key, and answers it."""
        self._addresses[key] = made
        return made


class Words:
    """The words of one command.

    Attributes:
        words: so far.
        constants: see `Constants`.
        scratch: bytes of the scratch memory it takes.
    """

    def __init__(self, constants: Constants) -> None:
        self.words: list[int] = []
        self.constants = constants
        self.scratch = 0

    def put(self, *words: int) -> None:
        """Appends words."""
        self.words.extend(words)

    def room(self, size: int) -> int:
        """The offset of `size` more bytes in the scratch memory."""
        offset = self.scratch
        self.scratch += -(-size // _ALIGNMENT) * _ALIGNMENT
        return offset

    def fit(self) -> bool:
        """Whether words and room have numbers that the kernels can hold."""
        return self.scratch < _MOST_SCRATCH and all(-_LIMIT <= word < _LIMIT for word in self.words)

    def put_sized(self, part: Words) -> None:
        """Appends how many words `part` has, and those; its room must have been taken here."""
        self.put(len(part.words), *part.words)

    def part(self) -> Words:
        """Words of their own that take no room: to be appended later."""
        return Words(self.constants)
