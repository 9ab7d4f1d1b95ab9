"""Instructions that work element by element; operands broadcast as numpy does.

Each is the `ftensor` operation of its name, and is computed in integers that wrap like the
machine's registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS, Range
from furiosa_ir.backends.warboy.vector_engine.instruction import (
    Instruction,
    RegisterType,
    Shape,
    broadcast,
    vector_instruction,
)
from furiosa_ir.backends.warboy.vector_engine.line_operation import (
    LineOperand,
    LineOperation,
    in_float64,
)
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics import fixed_point
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import Rounding

_ZERO_POINTS = LIMITS[4]
ROUNDING_NUMBERS: dict[Rounding, int] = {
    "even": 1,
    "up": 2,
    "away": 3,
    "double": 4,
    "floor": 5,
    "near_even": 8,
}


def in_result_type(i: Instruction, *operands: Array) -> Sequence[Array]:
    """Operands in the type of the instruction's result."""
    dtype = DTYPES[i.element]
    return [operand.astype(dtype, copy=False) for operand in operands]


def _limits(i: Instruction, _operands: Sequence[RegisterType]) -> None:
    """The result's limits fit its type and its zero points 32 bits."""
    *zero_points, minimum, maximum = i.immediates
    _ordered(minimum, maximum, LIMITS[i.element])
    if any(not _ZERO_POINTS[0] <= zp <= _ZERO_POINTS[1] for zp in zero_points):
        raise ValueError("a zero point is out of range")


def _ordered(minimum: int, maximum: int, limits: Range) -> None:
    if not limits[0] <= minimum <= maximum <= limits[1]:
        raise ValueError("its limits do not fit its result")


def _limits_of_sums(i: Instruction, _operands: Sequence[RegisterType]) -> None:
    """The limits fit 64 bits before the zero point is added."""
    _, output_zp, minimum, maximum = i.immediates
    _ordered(minimum - output_zp, maximum - output_zp, LIMITS[8])


def keeps_type(i: Instruction, operands: Sequence[RegisterType]) -> None:
    """The result has the type of the first operand."""
    if operands[0].element != i.element:
        raise ValueError("it changes the type of its operand")


def of_first(_i: Instruction, operands: Sequence[Shape]) -> Shape:
    """The result has the shape of the first operand."""
    return operands[0]


def _rescaled(i: Instruction, operands: Sequence[Shape]) -> Shape:
    shape = broadcast(i, operands)
    if shape != operands[0]:
        raise ValueError("a multiplier is larger than what it rescales")
    return shape


def _rescale_lines(
    i: Instruction, x: LineOperand, multiplier: LineOperand, shift: LineOperand
) -> LineOperation:
    # Compiling declares instructions and carries none out.
    from furiosa_ir.backends.warboy.vector_engine.float_rescale import Rescale  # noqa: PLC0415
    from furiosa_ir.backends.warboy.vector_engine.integer_rescale import IntegerRescale  # noqa: PLC0415

    if multiplier.integers is None or shift.integers is None or x.integers is not None:
        raise ValueError("a factor is not constant")
    check_factor(multiplier.integers, shift.integers)
    try:
        run = Rescale(i, multiplier.integers, shift.integers, x.range)
    except ValueError:
        run = IntegerRescale(i, multiplier.integers, shift.integers, x.range)
    return LineOperation(run.range, run)


@vector_instruction(
    0,
    ("x", "multiplier", "shift"),
    immediates=("input_zp", "output_zp", "minimum", "maximum"),
    mode="rounding",
    modes=cast("dict[str, int]", ROUNDING_NUMBERS),
    shape=_rescaled,
    rules=(_limits, _limits_of_sums),
    lines=_rescale_lines,
)
def rescale(i: Instruction, x: Array, multiplier: Array, shift: Array) -> Array:
    """clamp(round((x - input_zp) * multiplier * 2**-shift) + output_zp, minimum, maximum).

    The mode is the rounding (`numerics.fixed_point.rescale`).
    """
    check_factor(multiplier, shift)
    input_zp, output_zp, minimum, maximum = i.immediates
    return fixed_point.rescale(
        x,
        multiplier,
        shift,
        input_zero_point=input_zp,
        output_zero_point=output_zp,
        rounding=cast("Rounding", i.mode),
        minimum=minimum,
        maximum=maximum,
        dtype=DTYPES[i.element],
    )


def check_factor(multiplier: Array, shift: Array) -> None:
    """Checks a rescale's factor: 32-bit multipliers, shifts from 0 to 62.

    Raises:
        ExecutionFailure: they are others.
    """
    if shift.min() < 0 or shift.max() > fixed_point.MAX_SHIFT:
        raise ExecutionFailure("a rescale's shift is not within 0 and 62")
    if multiplier.min() < -(1 << 31) or multiplier.max() >= 1 << 31:
        raise ExecutionFailure("a rescale's multiplier has more than 32 bits")


def _of_products(a: Range, b: Range) -> Range:
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


@vector_instruction(
    1, ("a", "b"), lines=in_float64(np.add, lambda a, b: (a[0] + b[0], a[1] + b[1]))
)
def add(i: Instruction, a: Array, b: Array) -> Array:
    """a + b, in the result's type."""
    return np.add(*in_result_type(i, a, b))


@vector_instruction(
    2, ("a", "b"), lines=in_float64(np.subtract, lambda a, b: (a[0] - b[1], a[1] - b[0]))
)
def sub(i: Instruction, a: Array, b: Array) -> Array:
    """a - b, in the result's type."""
    return np.subtract(*in_result_type(i, a, b))


@vector_instruction(3, ("a", "b"), lines=in_float64(np.multiply, _of_products))
def mul(i: Instruction, a: Array, b: Array) -> Array:
    """a * b, in the result's type."""
    return np.multiply(*in_result_type(i, a, b))


@vector_instruction(
    4, ("a", "b"), lines=in_float64(np.minimum, lambda a, b: (min(a[0], b[0]), min(a[1], b[1])))
)
def minimum(i: Instruction, a: Array, b: Array) -> Array:
    """The lesser of a and b."""
    return np.minimum(*in_result_type(i, a, b))


@vector_instruction(
    5, ("a", "b"), lines=in_float64(np.maximum, lambda a, b: (max(a[0], b[0]), max(a[1], b[1])))
)
def maximum(i: Instruction, a: Array, b: Array) -> Array:
    """The greater of a and b."""
    return np.maximum(*in_result_type(i, a, b))


@vector_instruction(
    6, ("a", "b"), immediates=("output_zp", "minimum", "maximum"), rules=(_limits,), total=False
)
def divide(i: Instruction, a: Array, b: Array) -> Array:
    """clamp(a / b, to the nearest integer, ties to even, + output_zp, minimum, maximum); b > 0."""
    if np.any(b <= 0):
        raise ExecutionFailure("a divisor is not positive")
    output_zp, minimum, maximum = i.immediates
    quotient, remainder = np.divmod(a.astype(np.int64), b.astype(np.int64))
    twice = remainder * 2
    up = (twice > b) | ((twice == b) & (quotient & 1 == 1))
    return np.clip(quotient + up + output_zp, minimum, maximum).astype(DTYPES[i.element])


def _clamp_limits(i: Instruction, _operands: Sequence[RegisterType]) -> None:
    """Some value of the type lies between the limits."""
    minimum, maximum = i.immediates
    least, greatest = LIMITS[i.element]
    _ordered(max(minimum, least), min(maximum, greatest), LIMITS[8])


def _clamp_lines(i: Instruction, x: LineOperand) -> LineOperation:
    low, high = i.immediates
    if i.element == 1:
        raise ValueError("an i8 clamp is a table")

    def run(x: Array, out: Array, _wide: Array, _spare: Array) -> None:
        np.maximum(x, float(low), out=out, dtype=np.float64)
        np.minimum(out, float(high), out=out)

    return LineOperation((min(max(x.range[0], low), high), min(max(x.range[1], low), high)), run)


@vector_instruction(
    7,
    ("x",),
    immediates=("minimum", "maximum"),
    shape=of_first,
    rules=(_clamp_limits, keeps_type),
    lines=_clamp_lines,
)
def clamp(i: Instruction, x: Array) -> Array:
    """min(max(x, minimum), maximum), in x's type."""
    minimum, maximum = i.immediates
    limits = np.iinfo(x.dtype)
    return np.clip(x, max(minimum, int(limits.min)), min(maximum, int(limits.max)))


def _takes_a_byte(_i: Instruction, operands: Sequence[RegisterType]) -> None:
    if operands[0].element != 1:
        raise ValueError("it looks up what is not an int8")


@vector_instruction(8, ("x", "table"), shape=of_first, rules=(_takes_a_byte,))
def lookup(i: Instruction, x: Array, table: Array) -> Array:
    """table[x + 128]: any function of an i8."""
    # Seen as bytes, -128..-1 are 128..255: rotate the table instead of shifting x.
    return np.take(np.roll(table, 128), x.view(np.uint8)).astype(DTYPES[i.element], copy=False)
