"""Words of vector programs (`source/vector.h`).

An instruction is here if the kernels know it: an entry of `_INSTRUCTIONS`. A program with another
one runs in numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from furiosa_ir.backends.warboy.simulator.native.words import NoWords, Words
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS, Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS
from furiosa_ir.backends.warboy.vector_engine.instruction import RegisterType
from furiosa_ir.backends.warboy.vector_engine.program import result_register
from furiosa_ir.numerics import fixed_point
from furiosa_ir.numerics.array import Array

Shape = tuple[int, ...]

_LINE = 512
_MOST_REGISTERS = 128
_ROUNDINGS = {"floor": 0, "up": 0, "away": 1, "even": 2, "near_even": 3, "double": 4}
_DOUBLE_LEFT = 5
_UP = 6
_RESCALE_BY = 12
_REGISTER, _LINE_OF_CONSTANTS, _ARRAY_OF_CONSTANTS = range(3)
_INSTRUCTION_WORDS = 16


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
class _Coded:
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
class _Context:
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


def _rescale(i: Instruction, c: _Context) -> _Coded:
    if c.operands[1].constant is None or c.operands[2].constant is None:
        mode = _UP if i.mode == "up" else _ROUNDINGS[i.mode]
        input_zp, output_zp, minimum, maximum = i.immediates
        limits = minimum - output_zp, maximum - output_zp
        return _Coded(mode, (0, 0, input_zp, output_zp, *limits), (0, 1, 2), _RESCALE_BY)
    multiplier, shift = c.constant(1), c.constant(2)
    if shift.min() < 0 or shift.max() > fixed_point.MAX_SHIFT:
        raise NoWords("the factor is refused")
    if multiplier.min() < LIMITS[4][0] or multiplier.max() > LIMITS[4][1]:
        raise NoWords("the factor is refused")
    input_zp, output_zp, minimum, maximum = i.immediates
    low, high = minimum - output_zp, maximum - output_zp
    multiplier, shift = c.lined(multiplier), c.lined(shift)
    mode, extra = _ROUNDINGS[i.mode], np.zeros_like(shift)
    right = shift
    if i.mode == "double":
        extra, right = np.maximum(31 - shift, 0), np.maximum(shift - 31, 0)
        mode = _DOUBLE_LEFT if extra.any() else mode
    half = np.left_shift(np.int64(1), right) >> 1
    if i.mode == "floor":
        half = np.zeros_like(half)
    if i.mode == "near_even":
        extra = fixed_point.tie_slack(shift, max(abs(low), abs(high)) + 1)
    address = c.words.constants.address
    narrow = 0
    if _is_narrow(i.mode, c.operands[0], multiplier, right, half, i.immediates):
        # AVX2 shifts 64 bits to the right without their sign, which is added in front.
        less = np.right_shift(np.uint64(1 << 63), right.astype(np.uint64)).astype(np.uint32)
        narrow = address(np.stack([right.astype(np.int32), less.view(np.int32)]), np.int32)
    return _Coded(
        mode,
        (
            address(multiplier, np.int32), address(right, np.int64), address(half, np.int64),
            address(extra, np.int64), input_zp, output_zp, low, high, narrow,
        ),
        (0,),
    )  # fmt: skip


def _is_narrow(
    mode: str,
    operand: Register,
    multiplier: Array,
    right: Array,
    half: Array,
    immediates: Sequence[int],
) -> bool:
    """Whether all of a rescale but its products fits 32 bits.

    Args:
        mode: its rounding.
        operand: what is rescaled.
        multiplier: int64, of each element.
        right: int64, by how much each is shifted to the right, last.
        half: int64, what is added in front of that.
        immediates: of the instruction.
    """
    input_zp, output_zp, minimum, maximum = immediates
    if operand.element == 8 or (operand.element == 4 and input_zp):
        return False
    low, high = minimum - output_zp, maximum - output_zp
    if low >= 1 << 31 or high < -(1 << 31):  # the other end of what 32 bits hold
        return False
    reach = operand.magnitude + abs(input_zp)
    if mode == "double":
        # The first rounding leaves no more than x, to which a half is added.
        reach = max(reach + 1 + int(half.max()), output_zp - minimum, maximum - output_zp)
        return reach < 1 << 31
    if reach > 1 << 31:
        return False
    return int((reach * np.abs(multiplier) + half >> right).max()) < (1 << 31) - 1


def _reach(i: Instruction, operands: Sequence[Register]) -> int | None:
    """The greatest magnitude of an instruction's result, None if that of its type."""
    match i.opcode:
        case "rescale" | "clamp" | "divide":
            return max(map(abs, i.immediates[-2:]))
        case "lookup" if operands[1].constant is not None:
            return int(np.abs(operands[1].constant.astype(np.int64)).max())
        case "add" | "sub":
            reach = sum(operand.magnitude for operand in operands)
            return reach if reach < 1 << (8 * i.element - 1) else None
        case _:
            return None


def _pair(_i: Instruction, _c: _Context) -> _Coded:
    return _Coded(operands=(0, 1))


def _divide(i: Instruction, _c: _Context) -> _Coded:
    return _Coded(words=(0, 0, 0, 0, *i.immediates), operands=(0, 1))


def _clamp(i: Instruction, c: _Context) -> _Coded:
    least, greatest = LIMITS[c.operands[0].element]
    minimum, maximum = i.immediates
    return _Coded(words=(0, 0, 0, 0, max(minimum, least), min(maximum, greatest)), operands=(0,))


def _lookup(i: Instruction, c: _Context) -> _Coded:
    table = np.roll(c.constant(1), 128)
    if table.shape != (256,):
        raise NoWords("its table has not 256 entries")
    return _Coded(words=(c.words.constants.address(table, DTYPES[i.element]),), operands=(0,))


def _along_an_axis(c: _Context) -> None:
    """Refuses constants: kernels hold them as int64 and index by the operand's own element.

    Raises:
        NoWords: what is read along an axis is one.
    """
    if c.operands[0].constant is not None:
        raise NoWords("a constant is read along an axis")


def _reduce(i: Instruction, c: _Context) -> _Coded:
    _along_an_axis(c)
    return _Coded(int(i.mode == "max"), (0, 0, 0, 0, i.immediates[0]), (0,))


def _gather(i: Instruction, c: _Context) -> _Coded:
    _along_an_axis(c)
    axis, *indices = i.immediates
    address = c.words.constants.address(np.array(indices), np.int64)
    return _Coded(words=(address, 0, 0, 0, axis, len(indices)), operands=(0,))


def _interpolate(i: Instruction, c: _Context) -> _Coded:
    _along_an_axis(c)
    axis, count, *tables = i.immediates
    address = c.words.constants.address(np.array(tables), np.int64)
    return _Coded(words=(address, 0, 0, 0, axis, count), operands=(0,))


_INSTRUCTIONS: Mapping[str, tuple[int, Callable[[Instruction, _Context], _Coded]]] = {
    "rescale": (0, _rescale),
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
        context = _Context(self.words, operands, numbers, channels)
        made = make(i, context)
        sources = [source(context, o) for o in made.operands]
        sources += [(_LINE_OF_CONSTANTS, 0)] * (2 - len(sources))  # nothing reads it
        if made.code is not None:
            code = made.code
        words = [code, made.mode, i.element, *(w for s in sources for w in s), *made.words]
        return words + [0] * (_INSTRUCTION_WORDS - len(words))


SourceOf = Callable[[_Context, int], tuple[int, int]]


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

    def source(context: _Context, operand: int) -> tuple[int, int]:
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

        def source(
            context: _Context, operand: int, shapes: list[Shape] = shapes
        ) -> tuple[int, int]:
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
