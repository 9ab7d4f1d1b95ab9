"""What an instruction of a vector program is written with and as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from furiosa_ir.backends.warboy.simulator.native.words import NoWords, Words
from furiosa_ir.numerics.array import Array

Shape = tuple[int, ...]

_LINE = 512


class Register(NamedTuple):
    """What a program may read.

    Attributes:
        shape: (N, H, W, C), or (256,) of a table.
        element: bytes of an element.
        constant: its elements if they are known.
        reach: the greatest magnitude of an element, where it is known to be less than its type's.
    """

    shape: Shape
    element: int
    constant: Array | None = None
    reach: int | None = None

    @property
    def magnitude(self) -> int:
        """The greatest magnitude of an element."""
        of_type = 1 << (8 * self.element - 1)
        return of_type if self.reach is None else min(self.reach, of_type)


@dataclass(frozen=True)
class Coded:
    """An instruction's words but for its operands.

    Attributes:
        mode: the second word.
        words: what follows the operands.
        operands: which of the instruction's operands remain, two words each.
        code: the first word, where it is another than the instruction's.
    """

    mode: int = 0
    words: tuple[int, ...] = ()
    operands: tuple[int, ...] = ()
    code: int | None = None


@dataclass
class Context:
    """What an instruction is coded in: constants' home, what is read, the line's channels."""

    words: Words
    operands: Sequence[Register]
    registers: Sequence[int]
    channels: int

    @property
    def line(self) -> int:
        """Elements of a line: whole pixels."""
        return line_of(self.channels)

    def constant(self, number: int) -> Array:
        """An operand that is known, int64."""
        array = self.operands[number].constant
        if array is None:
            raise NoWords("an operand is not constant")
        return array.astype(np.int64)

    def lined(self, array: Array) -> Array:
        """One value, or one a channel, as a line."""
        flat = array.reshape(-1)
        if flat.size not in (1, self.channels) or array.shape[-1:] != (flat.size,):
            raise NoWords("a parameter is neither one number nor one a channel")
        return np.tile(flat, self.line // flat.size)


def line_of(channels: int) -> int:
    """Elements of a line of so many channels."""
    return max(_LINE // channels, 1) * channels
