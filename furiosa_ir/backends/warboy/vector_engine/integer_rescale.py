"""`rescale` in 64-bit integers on blocks of lines: LiteRT's double rounding of large products."""

from __future__ import annotations

import numpy as np

from furiosa_ir.backends.warboy.vector_engine.elements import Range, low_bytes
from furiosa_ir.backends.warboy.vector_engine.instruction import Instruction
from furiosa_ir.numerics.array import Array


class IntegerRescale:
    """One `rescale` with the rounding "double" or "floor", called like `float_rescale.Rescale`.

    Attributes:
        range: least and greatest result.

    Args:
        instruction: the instruction; its result's type decides `out`'s: int8 or float64.
        multiplier, shift: int64 [line] or [1].
        x_range: least and greatest x.

    Raises:
        ValueError: another rounding, or the products may not fit 64 bits.
    """

    def __init__(
        self, instruction: Instruction, multiplier: Array, shift: Array, x_range: Range
    ) -> None:
        self.input_zp, self.output_zp, minimum, maximum = instruction.immediates
        self.range = (minimum, maximum)
        self.low, self.high = minimum - self.output_zp, maximum - self.output_zp
        self.multiplier = multiplier
        magnitude = max(abs(x_range[0] - self.input_zp), abs(x_range[1] - self.input_zp))
        if magnitude * int(np.abs(multiplier).max()) >= 1 << 62:
            raise ValueError("the product may exceed 64 bits")
        self.double = instruction.mode == "double"
        if instruction.mode not in ("double", "floor"):
            raise ValueError(f"'{instruction.mode}' is done in float64")
        if self.double and np.any(shift < 31):
            raise ValueError("LiteRT's left shift may wrap")
        self.shift = shift - 31 if self.double else shift
        self.half = np.left_shift(np.int64(1), self.shift) >> 1
        # Where nothing is left to shift, nothing is rounded a second time.
        self.mask = -(self.shift > 0).astype(np.int64)

    def __call__(self, x: Array, out: Array, wide: Array, spare: Array) -> None:
        """The result of x into `out`; arguments as of `Rescale`."""
        value, sign = wide.view(np.int64), spare.view(np.int64)
        if x.dtype.kind == "f":
            np.copyto(value, x, casting="unsafe")
            x = value
        if self.input_zp:
            x = np.subtract(x, self.input_zp, out=value, dtype=np.int64)
        np.multiply(x, self.multiplier, out=value, dtype=np.int64)
        if self.double:
            value += 1 << 30
            value >>= 31
            # Ties of the second rounding go away from zero.
            np.right_shift(value, 63, out=sign)
            sign &= self.mask
            value += sign
            value += self.half
        value >>= self.shift
        np.maximum(value, self.low, out=value)
        np.minimum(value, self.high, out=value)
        if out.dtype == np.int8:
            np.add(low_bytes(value), np.int8(((self.output_zp + 128) & 255) - 128), out=out)
        else:
            np.add(value, self.output_zp, out=out)
