"""`rescale` in float64 where that is provably exact: several times faster than 64-bit integers.

A double holds integers up to 2**53, and multiplying by a power of two is exact, so the product of
x and `multiplier * 2**-shift` is the exact rational number as long as |x * multiplier| < 2**53; the
margin below keeps room for the half that some roundings add. What is left is one rounding to an
integer, which the machine's own additions do (ties to even) or `floor` and `trunc`.

Larger products are off by one part in 2**53 at most. Roundings to nearest then still agree unless
the value lies that near to a tie; the few that do are computed anew in integers.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from furiosa_ir.backends.warboy.vector_engine.elements import Range, low_bytes
from furiosa_ir.backends.warboy.vector_engine.instruction import Instruction
from furiosa_ir.numerics import fixed_point
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import TIE_PRECISION, Rounding

EXACT = 1 << 51
"""Products below this are exact in float64 with two bits to spare."""

# Added to |x| < 2**51 it leaves x, rounded to the nearest integer with ties to even, in the low
# bits of the double's mantissa; its own low bits are zero, so the parity is x's.
_MAGIC = float(3 << 51)
_INT64 = 1 << 62
_INT32 = (-(1 << 31), (1 << 31) - 1)


class Rescale:
    """One `rescale`, with a multiplier per element of a line or one for all.

    Attributes:
        range: least and greatest result.

    Args:
        instruction: the instruction; its result's type decides `out`'s: int8 or float64.
        multiplier, shift: int64 [line] or [1].
        x_range: least and greatest x.

    Raises:
        ValueError: float64 is not provably exact.
    """

    def __init__(
        self, instruction: Instruction, multiplier: Array, shift: Array, x_range: Range
    ) -> None:
        self.input_zp, output_zp, minimum, maximum = instruction.immediates
        self.rounding: Rounding = cast("Rounding", instruction.mode)
        self.range = (minimum, maximum)
        self.output_zp = output_zp
        self.low, self.high = float(minimum - output_zp), float(maximum - output_zp)
        multiplier, shift = np.broadcast_arrays(multiplier, shift)
        least, greatest = x_range[0] - self.input_zp, x_range[1] - self.input_zp
        if max(-least, greatest) >= _INT64:
            raise ValueError("the operand may exceed 62 bits")
        left = int(np.maximum(31 - shift, 0).max()) if self.rounding == "double" else 0
        if left and max(-least, greatest) << left > _INT32[1]:
            raise ValueError("LiteRT's left shift may wrap")
        self.first: Array | None = None
        self.last: Array | None = None
        bounds = (least, greatest)
        limits = self._input_limits(multiplier, shift, least, greatest)
        if limits is not None:
            first, last = limits
            magnitude = np.maximum(np.abs(first), np.abs(last))
            if np.any(first > least):
                self.first = (first + self.input_zp).astype(np.int32)
            if np.any(last < greatest):
                self.last = (last + self.input_zp).astype(np.int32)
            self.saturates = False
        else:
            magnitude = np.array(max(map(abs, bounds)), np.int64)
            self.saturates = True
        product = int(np.max(magnitude.astype(object) * np.abs(multiplier).astype(object)))
        self.exact = product < EXACT
        if not self.exact and (self.rounding in ("double", "floor") or product >= _INT64):
            raise ValueError("the product may exceed 51 bits")
        if self.rounding == "double":
            self.factor = np.ldexp(multiplier.astype(np.float64), np.maximum(31 - shift, 0) - 31)
            right = np.maximum(shift - 31, 0)
            self.second = np.ldexp(1.0, -right)
            self.nudge = np.where(right > 0, 0.25, 0.0)
        else:
            self.factor = np.ldexp(multiplier.astype(np.float64), -shift)
        self.multiplier, self.shift = multiplier, shift
        self.margin = 0.0
        if self.rounding == "near_even":
            self.margin = self._tie_margin(multiplier, shift, magnitude)
            if not self.margin and self.exact:
                self.rounding = "even"
        if not self.exact:
            greatest_value = float(np.max(magnitude * np.abs(self.factor)))
            self.margin += greatest_value * 2.0**-51 + 2.0**-60
            if self.margin > 0.25:
                raise ValueError("float64 leaves too much open")

    def _input_limits(
        self, multiplier: Array, shift: Array, least: int, greatest: int
    ) -> tuple[Array, Array] | None:
        """Values of (x - zp) beyond which the result saturates, for each multiplier.

        Clamping x to them first keeps the product small (so that float64 is exact) and makes the
        clamp of the result superfluous. Needs multipliers > 0 and a result that takes every value
        between its limits (a factor up to 1). None if there are no such values.
        """
        if np.any(multiplier <= 0):
            return None
        factor = np.ldexp(multiplier.astype(np.float64), -shift)

        def unlimited(x: Array) -> Array:
            return fixed_point.rescale(
                x,
                multiplier,
                shift,
                rounding=self.rounding,
                minimum=-_INT64,
                maximum=_INT64,
                dtype=np.int64,
            )

        found: list[Array] = []
        for lower, limit, end in ((True, self.low, least), (False, self.high, greatest)):
            guess = np.rint(limit / factor)
            guess = np.clip(guess, *_INT32).astype(np.int64)
            best = np.full(guess.shape, end, np.int64)
            settled = np.zeros(guess.shape, bool)
            for step in (0, 1, -1):
                candidate = np.clip(guess + step, *_INT32)
                fits = (unlimited(candidate) == int(limit)) & ~settled
                best = np.where(fits, candidate, best)
                settled |= fits
            # A limit outside the range of x is never reached: x's own end will do. Then also
            # those that no candidate met are settled if their end does not saturate.
            at_end = unlimited(np.full(guess.shape, end, np.int64))
            within = at_end >= limit if lower else at_end <= limit
            if not _INT32[0] <= end <= _INT32[1]:
                within[:] = False  # the 64-bit product above may have wrapped
            best = np.where(within, end, best)
            if not np.all(settled | within):
                return None
            found.append(best)
        low, high = np.maximum(found[0], least), np.minimum(found[1], greatest)
        inside = (low >= _INT32[0] + abs(self.input_zp)) & (high <= _INT32[1] - abs(self.input_zp))
        return (low, high) if np.all(inside & (low <= high)) else None

    @staticmethod
    def _tie_margin(multiplier: Array, shift: Array, magnitude: Array) -> float:
        """How far from a tie a value may lie to count as one; 0 if only ties do."""
        products = magnitude * np.abs(multiplier)
        tolerance = np.maximum(np.left_shift(np.int64(1), shift), products) // TIE_PRECISION
        # Products are multiples of the multiplier's lowest set bit, and so is their distance.
        lowest_bit = np.where(multiplier == 0, 1 << 62, multiplier & -multiplier)
        if np.all((tolerance < lowest_bit) | (shift == 0)):
            return 0.0
        return float(np.max(np.ldexp((tolerance + 1).astype(np.float64), -shift)))

    def _settle_ties(self, wide: Array, spare: Array) -> None:
        """Moves what lies near a tie, but not on it, to the even integer beside it."""
        np.rint(wide, out=spare)
        np.subtract(wide, spare, out=spare)
        np.abs(spare, out=spare)
        edge = 0.5 - self.margin
        if spare.max() < edge:
            return
        rows, columns = np.nonzero((spare >= edge) & (spare != 0.5))
        if rows.size == 0:
            return
        shift = self.shift[columns] if self.shift.size > 1 else self.shift
        value = np.ldexp(wide[rows, columns], shift).astype(np.int64)
        one = np.left_shift(np.int64(1), shift)
        distance = np.abs((value & (one - 1)) - (one >> 1))
        tie = (distance <= np.maximum(one, np.abs(value)) // TIE_PRECISION) & (shift > 0)
        below = value >> shift
        wide[rows[tie], columns[tie]] = (below + (below & 1))[tie]

    def _settle_inexact(self, x: Array, wide: Array, spare: Array) -> None:
        """Puts the exact result where the product is too near to a tie for float64 to tell."""
        np.rint(wide, out=spare)
        np.subtract(wide, spare, out=spare)
        np.abs(spare, out=spare)
        edge = 0.5 - self.margin
        if spare.max() < edge:
            return
        rows, columns = np.nonzero(spare >= edge)
        line = wide.shape[1]
        exact = x[rows, columns].astype(np.int64)
        if self.first is not None:
            exact = np.maximum(exact, np.broadcast_to(self.first, line)[columns])
        if self.last is not None:
            exact = np.minimum(exact, np.broadcast_to(self.last, line)[columns])
        wide[rows, columns] = fixed_point.rescale(
            exact,
            np.broadcast_to(self.multiplier, line)[columns],
            np.broadcast_to(self.shift, line)[columns],
            input_zero_point=self.input_zp,
            rounding=self.rounding,
            minimum=-(1 << 62),
            maximum=1 << 62,
            dtype=np.int64,
        )

    def __call__(self, x: Array, out: Array, wide: Array, spare: Array) -> None:
        """The result of x into `out`.

        Args:
            x: [rows, line]; int8, int32, float32 or float64.
            out: int8 or float64, like x.
            wide: float64 scratch of x's shape.
            spare: another.
        """
        given = x
        if self.first is not None or self.last is not None:
            clamped = spare if x.dtype != np.int32 else spare.view(np.int32)[:, : x.shape[1]]
            if self.first is not None:
                x = np.maximum(x, self.first, out=clamped)
            if self.last is not None:
                x = np.minimum(x, self.last, out=clamped)
        if self.input_zp:
            x = np.subtract(x, float(self.input_zp), out=wide)
        np.multiply(x, self.factor, out=wide)
        match self.rounding if self.exact else "":
            case "":
                self._settle_inexact(given, wide, spare)
            case "up":
                wide += 0.5
                np.floor(wide, out=wide)
            case "floor":
                np.floor(wide, out=wide)
            case "near_even":
                self._settle_ties(wide, spare)
            case "away":
                np.copysign(0.5, wide, out=spare)
                wide += spare
                np.trunc(wide, out=wide)
            case "double":
                wide += 0.5
                np.floor(wide, out=wide)
                # A quarter away from zero moves the ties of the second rounding, and only them.
                np.copysign(self.nudge, wide, out=spare)
                wide += spare
                wide *= self.second
            case _:
                pass
        if self.saturates:
            np.maximum(wide, self.low, out=wide)
            np.minimum(wide, self.high, out=wide)
        if out.dtype == np.int8:
            wide += _MAGIC
            np.add(low_bytes(wide), np.int8(((self.output_zp + 128) & 255) - 128), out=out)
        else:
            np.rint(wide, out=out)
            if self.output_zp:
                out += float(self.output_zp)
