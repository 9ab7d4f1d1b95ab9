"""What an instruction of the vector engine is, and how one is declared.

    @vector_instruction(5, ("a", "b"), lines=in_float64(np.maximum, ...))
    def maximum(i: Instruction, a: Array, b: Array) -> Array:
        \"\"\"The greater of a and b.\"\"\"
        return np.maximum(*in_result_type(i, a, b))

The function is the instruction's meaning, in integers, on whole arrays. What stands in front of it
is data: everything that reads, writes, checks, prints or simulates programs looks there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from furiosa_ir.backends.warboy.vector_engine.line_operation import LineOperation
from furiosa_ir.numerics.array import Array

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a program; it makes one new register.

    Registers are numbered: first the kernel's accumulator (`Dot` and `Pool` only), then its operand
    tiles, then its parameters, then one for each instruction in order. The last is the result.

    Attributes:
        opcode: the name of one of `INSTRUCTIONS`, which says what the other attributes are for it.
        operands: register numbers.
        immediates: integers.
        mode: one of the instruction's modes; "" for those that have none.
        element: bytes of the result's elements: 1 (i8), 4 (i32), 8 (i48).
    """

    opcode: str
    operands: tuple[int, ...]
    immediates: tuple[int, ...] = ()
    mode: str = ""
    element: int = 1


class RegisterType(NamedTuple):
    """What a register is before a program runs.

    Attributes:
        shape: (N, H, W, C), or (256,) of a table.
        element: bytes of an element.
    """

    shape: Shape
    element: int


ShapeRule: TypeAlias = Callable[[Instruction, Sequence[Shape]], Shape]
"""The result's shape by the operands' shapes. Raises ValueError if they do not fit together."""

Rule: TypeAlias = Callable[[Instruction, Sequence[RegisterType]], None]
"""Raises ValueError if an instruction and its operands break it; a clause that says how."""

Evaluator: TypeAlias = Callable[..., Array]
"""(instruction, each operand's array) -> the result, of the element's dtype."""

LineRule: TypeAlias = Callable[..., LineOperation]
"""(instruction, each operand as a `LineOperand`) -> the same, fast, on lines of float64.

Raises ValueError if float64 is not provably exact, or the operands are of other kinds.
"""

TABLE = "table"
"""An operand of this name is a table of 256 entries of the result's type, and no other is one."""


@dataclass(frozen=True)
class VectorInstruction:
    """One of the engine's instructions.

    Attributes:
        name: in text and records; an `ftensor` operation of this name becomes it.
        code: its number in a file.
        operands: their names.
        immediates: their names, in order. `x[n]` stands for as many as the immediate `n` says,
            `x[]` for one or more, up to the end.
        table: which operand is a table, -1 if none is.
        takes: how many immediates it takes; None if they vary in number.
        mode: what its modes are, "" if it has none.
        modes: name -> number in a file.
        shape: of its result.
        rules: what has to hold beside what is true of all instructions.
        elementwise: whether an element of its result depends on those at the same place alone.
        total: whether it has a result for all values of its operands; then one whose operands all
            come from one i8 is simulated as a table.
        evaluate: its meaning.
        lines: how it is simulated fast on lines; None if it is not.
    """

    name: str
    code: int
    operands: tuple[str, ...]
    immediates: tuple[str, ...]
    table: int
    takes: int | None
    mode: str
    modes: Mapping[str, int]
    shape: ShapeRule
    rules: tuple[Rule, ...]
    elementwise: bool
    total: bool
    evaluate: Evaluator
    lines: LineRule | None

    @property
    def description(self) -> str:
        """What it does, from the docstring of its function."""
        return inspect.getdoc(self.evaluate) or ""


_DECLARED: dict[str, VectorInstruction] = {}

INSTRUCTIONS: Mapping[str, VectorInstruction] = MappingProxyType(_DECLARED)
"""All instructions by name."""

NO_MODE: Mapping[str, int] = {"": 0}


def broadcast(_i: Instruction, operands: Sequence[Shape]) -> Shape:
    """numpy's broadcasting rule.

    Raises:
        ValueError: the shapes do not fit together.
    """
    rank = max(map(len, operands))
    result = [1] * rank
    for shape in operands:
        for axis, size in enumerate(shape, rank - len(shape)):
            if size != 1:
                if result[axis] not in (1, size):
                    raise ValueError(f"shapes {operands[0]} and {shape} do not broadcast")
                result[axis] = size
    return tuple(result)


def vector_instruction(
    code: int,
    operands: Sequence[str],
    *,
    immediates: Sequence[str] = (),
    mode: str = "",
    modes: Mapping[str, int] = NO_MODE,
    shape: ShapeRule = broadcast,
    rules: Sequence[Rule] = (),
    elementwise: bool = True,
    total: bool = True,
    lines: LineRule | None = None,
) -> Callable[[Evaluator], Evaluator]:
    """Declares the instruction that the function below carries out; it has the function's name.

    Arguments are attributes of `VectorInstruction`.

    Raises:
        ValueError: its name, its number, or the number of one of its modes is another's.
    """

    def declare(evaluate: Evaluator) -> Evaluator:
        table = operands.index(TABLE) if TABLE in operands else -1
        takes = None if any("[" in name for name in immediates) else len(immediates)
        declared = VectorInstruction(
            evaluate.__name__, code, tuple(operands), tuple(immediates), table, takes, mode,
            dict(modes), shape, tuple(rules), elementwise, total, evaluate, lines,
        )  # fmt: skip
        _check_numbers(declared)
        _DECLARED[declared.name] = declared
        return evaluate

    return declare


def _check_numbers(declared: VectorInstruction) -> None:
    for other in _DECLARED.values():
        if declared.name == other.name or declared.code == other.code:
            raise ValueError(
                f"'{declared.name}' is instruction {declared.code}, '{other.name}' is {other.code}"
            )
    known = mode_names()
    for name, code in declared.modes.items():
        if known.get(code, name) != name:
            raise ValueError(f"mode {code} is '{name}' and '{known[code]}'")


def mode_names() -> dict[int, str]:
    """The modes of all instructions by their numbers in a file."""
    return {code: name for d in _DECLARED.values() for name, code in d.modes.items()}
