"""Vector programs: what has to hold for one, and running one on whole arrays.

Running is in integers here: always right, not the fastest. `lines` has a faster way for the usual
programs.
"""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS
from furiosa_ir.backends.warboy.vector_engine.elements import LIMITS
from furiosa_ir.backends.warboy.vector_engine.instruction import (
    Instruction,
    RegisterType,
)
from furiosa_ir.numerics.array import Array

_TABLE_SHAPE = (256,)


def result_register(
    program: Sequence[Instruction], registers: Sequence[RegisterType]
) -> RegisterType:
    """A program's last register, register 0 if it is empty.

    Args:
        program: instructions.
        registers: accumulator, operands and parameters.

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


def _result(i: Instruction, known: Sequence[RegisterType]) -> RegisterType:
    declared = INSTRUCTIONS.get(i.opcode)
    if declared is None:
        raise ValueError("there is no such instruction")
    if len(i.operands) != len(declared.operands):
        raise ValueError(f"it takes {len(declared.operands)} operands")
    if min(i.operands) < 0 or max(i.operands) >= len(known):
        raise ValueError("it reads a register that does not exist")
    if i.element not in LIMITS:
        raise ValueError(f"its result has elements of {i.element} bytes")
    if declared.takes is not None and len(i.immediates) != declared.takes:
        raise ValueError(f"it takes {declared.takes} immediates")
    if i.mode not in declared.modes:
        raise ValueError(f"it has no mode '{i.mode}'")
    operands = [known[register] for register in i.operands]
    if declared.table >= 0 and operands[declared.table] != (_TABLE_SHAPE, i.element):
        raise ValueError("its table has not 256 entries of its result's type")
    for place, operand in enumerate(operands):
        if operand.shape == _TABLE_SHAPE and place != declared.table:
            raise ValueError("it reads a table as an operand")
    for rule in declared.rules:
        rule(i, operands)
    return RegisterType(declared.shape(i, [operand.shape for operand in operands]), i.element)


def run_program(program: Sequence[Instruction], registers: Sequence[Array]) -> Array:
    """The last register after `program`, or register 0 if it is empty.

    Args:
        program: instructions that `result_register` accepts.
        registers: accumulator, operands, parameters; int8, int32 or int64.

    Raises:
        ExecutionFailure: an instruction has no result for its operands' values.
    """
    values = list(registers)
    for instruction in program:
        evaluate = INSTRUCTIONS[instruction.opcode].evaluate
        values.append(evaluate(instruction, *[values[r] for r in instruction.operands]))
    return values[-1] if program else values[0]
