"""Operations of `ftensor` that the vector engine carries out: it has an instruction of their name.

An operation's operands are the instruction's, in order. Its properties are the instruction's
immediates and mode, by name; axes become those of (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS, VectorInstruction
from furiosa_ir.dialects.ftensor import OPERATIONS, TensorOp
from furiosa_ir.ir.shaped_operation import ints

Axes = Callable[[Sequence[int]], Sequence[int]]
"""An operation's axes -> those of (N, H, W, C)."""


def instruction_of(op: type[TensorOp] | TensorOp) -> VectorInstruction:
    """The instruction that an operation of `VECTOR` becomes."""
    return INSTRUCTIONS[op.name.removeprefix("ftensor.")]


VECTOR: tuple[type[TensorOp], ...] = tuple(
    op for op in OPERATIONS if op.name.removeprefix("ftensor.") in INSTRUCTIONS
)
"""All that the vector engine carries out."""

ELEMENTWISE: tuple[type[TensorOp], ...] = tuple(
    op for op in VECTOR if instruction_of(op).elementwise
)
"""What it does element by element."""


def immediates_of(op: TensorOp, axes: Axes) -> tuple[int, ...]:
    """The immediates of an operation's instruction, in the instruction's order."""
    return tuple(_values(op, axes))


def _values(op: TensorOp, axes: Axes) -> Iterator[int]:
    names = instruction_of(op).immediates
    for name in names:
        plain = name.partition("[")[0]
        if plain in op.properties:
            values = _integers(op.properties[plain])
            yield from axes(values) if plain in ("axis", "axes") else values
        else:
            # How many there are of the lists that it is the length of.
            lists = (other.partition("[") for other in names)
            first = next((other for other, _, length in lists if length == f"{name}]"), name)
            yield len(_integers(op.properties[first]))


def _integers(attribute: Attribute) -> Sequence[int]:
    if isinstance(attribute, IntegerAttr):
        return (cast("IntegerAttr[Any]", attribute).value.data,)
    return ints(cast("DenseArrayBase", attribute))


def mode_of(op: TensorOp) -> str:
    """The mode of an operation's instruction."""
    name = instruction_of(op).mode
    return cast("StringAttr", op.properties[name]).data if name else ""


def tables_of(operations: Iterable[TensorOp]) -> set[SSAValue]:
    """The operands of operations that are tables; contractions among them have none."""
    tables: set[SSAValue] = set()
    for op in operations:
        declared = INSTRUCTIONS.get(op.name.removeprefix("ftensor."))
        if declared is not None and declared.table >= 0:
            tables.add(op.operands[declared.table])
    return tables


def axes_of(op: TensorOp) -> tuple[bool, tuple[int, ...]] | None:
    """(whether they may be folded into one, axes) that an operation of `VECTOR` runs along.

    None: it works element by element. `axes` are those of a reduction, in whatever order; along an
    `axis` elements have places.
    """
    if instruction_of(op).elementwise:
        return None
    several = "axes" in op.properties
    return several, tuple(_integers(op.properties["axes" if several else "axis"]))
