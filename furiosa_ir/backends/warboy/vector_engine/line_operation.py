"""What an instruction looks like to `lines`: known facts of its operands in, a fast step out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from furiosa_ir.backends.warboy.vector_engine.elements import Range
from furiosa_ir.numerics.array import Array


@dataclass(frozen=True, slots=True)
class LineOperand:
    """What is known of an operand before a program runs.

    Attributes:
        range: least and greatest value.
        integers: int64 [line] or [1], if it is a constant.
        constant: the same as float64; None for a table.
    """

    range: Range
    integers: Array | None = None
    constant: Array | None = None


@dataclass(frozen=True, slots=True)
class LineOperation:
    """One instruction on blocks of lines.

    Attributes:
        range: least and greatest result.
        run: (*operands, out, wide, spare) -> None. Arrays are [rows, line] (or [1, line] for one
            value a channel); `out` is int8, or float64 for wider elements; `wide` and `spare` are
            float64 scratch; `operands` are those that are no constants, in order: int8, int32,
            float32 or float64.
    """

    range: Range
    run: Callable[..., object]


RangeRule: TypeAlias = Callable[[Range, Range], Range]


def in_float64(
    function: np.ufunc, limits: RangeRule
) -> Callable[[Any, LineOperand, LineOperand], LineOperation]:
    """The line rule of an instruction on pairs of elements that is a function of numpy.

    Args:
        function: exact on integers that float64 holds.
        limits: the result's range by the operands' ranges.
    """

    def rule(i: Any, a: LineOperand, b: LineOperand) -> LineOperation:
        # No wrapping: `LineProgram` has shown that the result fits.
        how: dict[str, Any] = {"casting": "unsafe"} if i.element == 1 else {"dtype": np.float64}
        left, right = a.constant, b.constant

        def run(x: Array, y: Array, out: Array, _wide: Array, _spare: Array) -> None:
            function(x, y, out=out, **how)

        def run_right(y: Array, out: Array, _wide: Array, _spare: Array) -> None:
            function(left, y, out=out, **how)

        def run_left(x: Array, out: Array, _wide: Array, _spare: Array) -> None:
            function(x, right, out=out, **how)

        chosen = run_right if left is not None else run_left if right is not None else run
        return LineOperation(limits(a.range, b.range), chosen)

    return rule
