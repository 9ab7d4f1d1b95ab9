"""Rules of vector instructions: operands, immediates, element sizes, shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from furiosa_ir.backends.warboy.enf.records import Instruction
from furiosa_ir.backends.warboy.enf.shapes import instruction_shape

Shape: TypeAlias = tuple[int, ...]

ROUNDINGS = ("even", "near_even", "up", "away", "double", "floor")
OPERAND_COUNTS = {
    "rescale": 3,
    "add": 2,
    "sub": 2,
    "mul": 2,
    "minimum": 2,
    "maximum": 2,
    "divide": 2,
    "clamp": 1,
    "lookup": 2,
    "reduce": 1,
    "gather": 1,
    "interpolate": 1,
}
_IMMEDIATE_COUNTS = {"rescale": 4, "divide": 3, "clamp": 2}
_RANGE = {
    1: (-128, 127),
    4: (-(1 << 31), (1 << 31) - 1),
    8: (-(1 << 63), (1 << 63) - 1),
}
_ZERO_POINTS = (-(1 << 31), (1 << 31) - 1)


def result_register(
    program: Sequence[Instruction], registers: Sequence[tuple[Shape, int]]
) -> tuple[Shape, int]:
    """(shape, element) of a program's last register, register 0 if it is empty.

    Args:
        program: instructions.
        registers: (shape, element) of accumulator, operands and parameters.

    Raises:
        ValueError: an instruction breaks a rule.
    """
    if not program:
        return registers[0]
    known = list(registers)
    for number, instruction in enumerate(program):
        try:
            known.append(_result(instruction, known))
        except ValueError as error:
            raise ValueError(f"instruction {number} ({instruction.opcode}): {error}") from None
    return known[-1]


def _result(i: Instruction, known: Sequence[tuple[Shape, int]]) -> tuple[Shape, int]:
    if i.opcode not in OPERAND_COUNTS:
        raise ValueError("there is no such instruction")
    if len(i.operands) != OPERAND_COUNTS[i.opcode]:
        raise ValueError(f"it takes {OPERAND_COUNTS[i.opcode]} operands")
    if any(not 0 <= register < len(known) for register in i.operands):
        raise ValueError("it reads a register that does not exist")
    if i.element not in _RANGE:
        raise ValueError(f"its result has elements of {i.element} bytes")
    wanted = _IMMEDIATE_COUNTS.get(i.opcode)
    if wanted is not None and len(i.immediates) != wanted:
        raise ValueError(f"it takes {wanted} immediates")
    operands = [known[register] for register in i.operands]
    _limits(i)
    _modes(i)
    if i.opcode == "lookup":
        if operands[0][1] != 1 or operands[1][0] != (256,) or operands[1][1] != i.element:
            raise ValueError("it takes an int8 and a table of 256 entries of its result's type")
    elif any(shape == (256,) for shape, _ in operands):
        raise ValueError("it reads a table as an operand")
    if i.opcode in ("clamp", "gather") and operands[0][1] != i.element:
        raise ValueError("it changes the type of its operand")
    if i.opcode in ("reduce", "gather", "interpolate"):
        _axes(i, operands[0][0])
    return instruction_shape(i, [shape for shape, _ in operands]), i.element


def _limits(i: Instruction) -> None:
    """The result's limits fit its type and its zero points 32 bits."""
    if i.opcode not in ("rescale", "divide", "clamp"):
        return
    *zero_points, minimum, maximum = i.immediates
    least, greatest = _RANGE[i.element]
    if i.opcode == "clamp":
        least, greatest = _RANGE[8]
    if not least <= minimum <= maximum <= greatest:
        raise ValueError("its limits do not fit its result")
    if any(not _ZERO_POINTS[0] <= zp <= _ZERO_POINTS[1] for zp in zero_points):
        raise ValueError("a zero point is out of range")


def _modes(i: Instruction) -> None:
    modes = {"rescale": ROUNDINGS, "reduce": ("sum", "max")}.get(i.opcode, ("",))
    if i.mode not in modes:
        raise ValueError(f"it has no mode '{i.mode}'")


def _axes(i: Instruction, shape: Shape) -> None:
    if i.opcode == "reduce":
        axes = i.immediates[1:]
        if not axes or any(not 0 <= axis < len(shape) for axis in axes):
            raise ValueError("an axis does not exist")
        if len(set(axes)) != len(axes):
            raise ValueError("an axis is named twice")
        return
    if len(i.immediates) < 2 or not 0 <= i.immediates[0] < len(shape):
        raise ValueError("its axis does not exist")
    size = shape[i.immediates[0]]
    indices = i.immediates[1:]
    if i.opcode == "interpolate":
        n = indices[0]
        if n < 1 or len(indices) != 1 + 4 * n:
            raise ValueError("its tables differ in length")
        indices = indices[1 : 1 + 2 * n]
    if any(not 0 <= index < size for index in indices):
        raise ValueError("an index is out of range")
