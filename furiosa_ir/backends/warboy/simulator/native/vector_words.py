"""Words of vector programs (`source/vector.h`).

An instruction is here if the kernels know it: an entry of `_INSTRUCTIONS`. A program with another
one runs in numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from furiosa_ir.backends.warboy.simulator.native.instruction_words import (
    Coded,
    Context,
    Register,
    Shape,
    line_of,
)
from furiosa_ir.backends.warboy.simulator.native.rescale_words import code_rescale, product_reach
from furiosa_ir.backends.warboy.simulator.native.words import NoWords, Words
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS, Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS
from furiosa_ir.backends.warboy.vector_engine.instruction import RegisterType
from furiosa_ir.backends.warboy.vector_engine.program import result_register
from furiosa_ir.numerics.array import Array

_MOST_REGISTERS = 128
_REGISTER, _LINE_OF_CONSTANTS, _ARRAY_OF_CONSTANTS = range(3)
_INSTRUCTION_WORDS = 16


def _reach(i: Instruction, operands: Sequence[Register]) -> int | None:
    """The greatest magnitude of an instruction's result, None if that of its type."""
    match i.opcode:
        case "rescale" if (products := product_reach(i, operands)) is not None:
            return products
        case "rescale" | "clamp" | "divide":
            return max(map(abs, i.immediates[-2:]))
        case "lookup" if operands[1].constant is not None:
            return int(np.abs(operands[1].constant.astype(np.int64)).max())
        case "add" | "sub":
            reach = sum(operand.magnitude for operand in operands)
            return reach if reach < 1 << (8 * i.element - 1) else None
        case _:
            return None


def _pair(_i: Instruction, _c: Context) -> Coded:
    return Coded(operands=(0, 1))


def _divide(i: Instruction, _c: Context) -> Coded:
    return Coded(words=(0, 0, 0, 0, *i.immediates), operands=(0, 1))


def _clamp(i: Instruction, c: Context) -> Coded:
    least, greatest = LIMITS[c.operands[0].element]
    minimum, maximum = i.immediates
    return Coded(words=(0, 0, 0, 0, max(minimum, least), min(maximum, greatest)), operands=(0,))


def _lookup(i: Instruction, c: Context) -> Coded:
    table = np.roll(c.constant(1), 128)
    if table.shape != (256,):
        raise NoWords("its table has not 256 entries")
    return Coded(words=(c.words.constants.address(table, DTYPES[i.element]),), operands=(0,))


def _along_an_axis(c: Context) -> None:
    """Refuses constants: kernels hold them as int64 and index by the operand's own element.

    Raises:
        NoWords: what is read along an axis is one.
    """
    if c.operands[0].constant is not None:
        raise NoWords("a constant is read along an axis")


def _reduce(i: Instruction, c: Context) -> Coded:
    _along_an_axis(c)
    return Coded(int(i.mode == "max"), (0, 0, 0, 0, i.immediates[0]), (0,))


def _gather(i: Instruction, c: Context) -> Coded:
    _along_an_axis(c)
    axis, *indices = i.immediates
    address = c.words.constants.address(np.array(indices), np.int64)
    return Coded(words=(address, 0, 0, 0, axis, len(indices)), operands=(0,))


def _interpolate(i: Instruction, c: Context) -> Coded:
    _along_an_axis(c)
    axis, count, *tables = i.immediates
    address = c.words.constants.address(np.array(tables), np.int64)
    return Coded(words=(address, 0, 0, 0, axis, count), operands=(0,))


_INSTRUCTIONS: Mapping[str, tuple[int, Callable[[Instruction, Context], Coded]]] = {
    "rescale": (0, code_rescale),
    "add": (1, _pair),
    "sub": (2, _pair),
    "mul": (3, _pair),
    "minimum": (4, _pair),
    "maximum": (5, _pair),
    "divide": (6, _divide),
    "clamp": (7, _clamp),
    "lookup": (8, _lookup),
    "reduce": (9, _reduce),
    "gather": (10, _gather),
    "interpolate": (11, _interpolate),
}
"""The kernels' number of each, and what codes it."""


class _Program:
    """A vector program among its inputs.

    Args:
        words: of the command.
        program: at least one instruction.
        inputs: accumulator and operands; None for those that nothing reads.
        parameters: constants.
    """

    def __init__(
        self,
        words: Words,
        program: Sequence[Instruction],
        inputs: Sequence[Register | None],
        parameters: Sequence[Array],
    ) -> None:
        if len(inputs) + len(program) > _MOST_REGISTERS:
            raise NoWords("the program is too long")
        # Whatever the kernels index by has been checked, by whomever the program was made.
        types = [RegisterType((), 0) if r is None else RegisterType(*r[:2]) for r in inputs]
        try:
            result_register(
                program, [*types, *(RegisterType(p.shape, p.dtype.itemsize) for p in parameters)]
            )
        except (ValueError, IndexError) as error:
            raise NoWords(str(error)) from None
        self.words = words
        self.program = program
        self.inputs = inputs
        # The kernels number inputs and results; parameters are in the instructions.
        self.numbers = [*range(len(inputs)), *[-1] * len(parameters)]
        self.known = [
            *(r or Register((), 0) for r in inputs),
            *(Register(p.shape, p.dtype.itemsize, p) for p in parameters),
        ]
        for number, instruction in enumerate(program):
            if instruction.opcode not in _INSTRUCTIONS:
                raise NoWords(f"the kernels do not know '{instruction.opcode}'")
            operands = [self.known[o] for o in instruction.operands]
            shapes = [operand.shape for operand in operands]
            shape = INSTRUCTIONS[instruction.opcode].shape(instruction, shapes)
            reach = _reach(instruction, operands)
            self.known.append(Register(shape, instruction.element, reach=reach))
            self.numbers.append(len(inputs) + number)

    def result(self, number: int) -> Register:
        """Of an instruction."""
        return self.known[len(self.known) - len(self.program) + number]

    def coded(self, i: Instruction, channels: int, source: SourceOf) -> list[int]:
        """The words of an instruction; `source` says what those of an operand are."""
        code, make = _INSTRUCTIONS[i.opcode]
        operands = [self.known[o] for o in i.operands]
        numbers = [self.numbers[o] for o in i.operands]
        context = Context(self.words, operands, numbers, channels)
        made = make(i, context)
        sources = [source(context, o) for o in made.operands]
        sources += [(_LINE_OF_CONSTANTS, 0)] * (2 - len(sources))  # nothing reads it
        if made.code is not None:
            code = made.code
        words = [code, made.mode, i.element, *(w for s in sources for w in s), *made.words]
        return words + [0] * (_INSTRUCTION_WORDS - len(words))


SourceOf = Callable[[Context, int], tuple[int, int]]


def put_line_program(
    words: Words,
    program: Sequence[Instruction],
    inputs: Sequence[Register | None],
    parameters: Sequence[Array],
    shape: Shape,
) -> Words:
    """A program on lines, whose scratch room is taken from `words`.

    Args:
        words: of the command.
        program: at least one instruction.
        inputs: accumulator and operands; None for those that nothing reads.
        parameters: constants.
        shape: (N, H, W, C) of the result.

    Raises:
        NoWords: it works along axes, or something is broadcast otherwise than along channels.
    """
    p = _Program(words, program, inputs, parameters)
    channels, line = shape[-1], line_of(shape[-1])
    if not all(INSTRUCTIONS[i.opcode].elementwise for i in program) or p.known[-1].shape != shape:
        raise NoWords("it is no function of elements")
    factors = (o for i in program if i.opcode == "rescale" for o in i.operands[1:])
    if any(p.known[o].constant is None for o in factors):
        raise NoWords("a factor is computed")
    part = words.part()
    part.put(channels, line, words.room(8 * line * (3 + len(inputs) + len(program))), len(inputs))
    for given in inputs:
        if given is None:
            part.put(0, 1)
        elif given.shape == shape:
            part.put(1, given.element)
        elif given.shape == (1, 1, 1, channels):
            part.put(2, given.element)
        else:
            raise NoWords("an operand is broadcast along pixels")

    def source(context: Context, operand: int) -> tuple[int, int]:
        register = context.operands[operand]
        if register.constant is None:
            return _REGISTER, context.registers[operand]
        constant = context.lined(context.constant(operand))
        return _LINE_OF_CONSTANTS, words.constants.address(constant, np.int64)

    part.put(len(program))
    for instruction in program:
        part.put(*p.coded(instruction, channels, source))
    return part


def put_array_program(
    words: Words,
    program: Sequence[Instruction],
    inputs: Sequence[Register | None],
    parameters: Sequence[Array],
    shape: Shape,
) -> Words:
    """A program on whole arrays; arguments as for `put_line_program`.

    Raises:
        NoWords: an array has not four dimensions, or a factor is another than one number or one a
            channel.
    """
    p = _Program(words, program, inputs, parameters)
    part = words.part()
    results = [p.result(number) for number in range(len(program))]
    if p.known[-1].shape != shape:
        raise NoWords("the result is not what is stored")
    if any(len(r.shape) != 4 for r in (*results, *(r for r in inputs if r is not None))):
        raise NoWords("an array has not four dimensions")
    widest = max(line_of(r.shape[3]) for r in results)
    reduced = [prod(r.shape) for r, i in zip(results, program, strict=True) if i.opcode == "reduce"]
    part.put(words.room(8 * max(6 * widest, *reduced, 0)), len(inputs))
    part.put(*(1 if r is None else r.element for r in inputs), len(program))
    places = _rooms(words, p)
    for number, (instruction, made) in enumerate(zip(program, results, strict=True)):
        channels = made.shape[3]
        shapes: list[Shape] = []

        def source(context: Context, operand: int, shapes: list[Shape] = shapes) -> tuple[int, int]:
            register = context.operands[operand]
            shapes.append(register.shape)
            if register.constant is None:
                return _REGISTER, context.registers[operand]
            array = context.constant(operand)
            if array.size == 1 or array.shape == (1, 1, 1, context.channels):
                line = context.lined(array)
                return _LINE_OF_CONSTANTS, words.constants.address(line, np.int64)
            return _ARRAY_OF_CONSTANTS, words.constants.address(array, np.int64)

        coded = p.coded(instruction, channels, source)
        if any(len(s) != 4 for s in shapes):
            raise NoWords("an array has not four dimensions")
        part.put(*coded, places[number], *made.shape)
        for operand in range(2):
            part.put(*(shapes[operand] if operand < len(shapes) else (1, 1, 1, 1)))
        part.put(line_of(channels), *(shapes[2] if len(shapes) > 2 else (1, 1, 1, 1)), 0, 0)
    return part


def _rooms(words: Words, p: _Program) -> list[int]:
    """Each result's place in scratch; room that nothing reads any more is used again."""
    first = len(p.known) - len(p.program)
    last_read = {operand: number for number, i in enumerate(p.program) for operand in i.operands}
    free: list[tuple[int, int]] = []
    held: dict[int, tuple[int, int]] = {}
    places: list[int] = []
    for number, _ in enumerate(p.program[:-1]):
        made = p.result(number)
        size = prod(made.shape) * made.element
        fitting = [room for room in free if room[0] >= size]
        if fitting:
            room = min(fitting)
            free.remove(room)
        else:
            room = size, words.room(size)
        held[first + number] = room
        places.append(room[1])
        done = [r for r in held if last_read.get(r, number) <= number]
        free += [held.pop(r) for r in done]
    return [*places, 0]
