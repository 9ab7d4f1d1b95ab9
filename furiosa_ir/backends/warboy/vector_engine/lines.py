"""Vector programs made ready for speed: blocks of lines that stay in the cache, float64, tables.

A program is compiled once. Whatever depends on one i8 register alone becomes a table of its 256
values; the rest runs on blocks of rows in float64, after an interval analysis has shown that
every value is an integer that float64 holds exactly. What cannot be shown, or has other shapes than
rows and one value per channel, raises ValueError here and runs through `program` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, Range
from furiosa_ir.backends.warboy.vector_engine.float_rescale import EXACT
from furiosa_ir.backends.warboy.vector_engine.instruction import (
    TABLE,
    Instruction,
    VectorInstruction,
)
from furiosa_ir.backends.warboy.vector_engine.line_operation import LineOperand
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array

_LINE = 512
_BLOCK = 1 << 14  # elements: 128 KiB of float64, and a handful of them fits L2
_BYTES = (np.arange(256, dtype=np.int64) ^ 128) - 128
"""The i8 value of each byte."""

_RANGES: dict[int, Range] = {
    1: (-128, 127),
    4: (-(1 << 31), (1 << 31) - 1),
    8: (-EXACT, EXACT),
}


@dataclass(frozen=True)
class Register:
    """What is known of a register before a run.

    Attributes:
        shape: (N, H, W, C), or (256,) for a table.
        element: bytes of an element.
        range: least and greatest value.
        constant: its elements if they are known.
    """

    shape: tuple[int, ...]
    element: int
    range: Range
    constant: Array | None = None

    @staticmethod
    def of_constant(array: Array, element: int) -> Register:
        """A parameter's register."""
        known = (int(array.min()), int(array.max()))
        return Register(array.shape, element, known, array)


@dataclass
class _Value:
    """A register while the program is compiled.

    Attributes:
        rows: one value an element, not one a channel.
        element, range: as in `Register`.
        slot: which slot holds it once it is computed.
        base: the slot of the i8 value that it is a function of, and
        table: that function, int64 by the byte of the i8 value.
        constant: float64 [line] or [1].
        integers: the same as int64.
    """

    rows: bool
    element: int
    range: Range
    slot: int = -1
    base: int = -1
    table: Array | None = None
    constant: Array | None = None
    integers: Array | None = None


_UNUSED = _Value(False, 0, (0, 0))

Slots = list[Array]
_Operation = Callable[[Slots], object]


@dataclass
class Scratch:
    """The buffers of one run: a block for each slot, and two more."""

    slots: Slots
    wide: Array
    spare: Array


class LineProgram:
    """A compiled vector program.

    Args:
        program: at least one instruction.
        registers: accumulator, operands and parameters; None for those that nothing reads.
        shape: (N, H, W, C) of the result.

    Raises:
        ValueError: this program needs `program.run_program`.
    """

    def __init__(
        self,
        program: Sequence[Instruction],
        registers: Sequence[Register | None],
        shape: tuple[int, ...],
    ) -> None:
        *outer, self.channels = shape
        self.pixels = int(np.prod(outer, dtype=np.int64))
        self._shape = tuple(shape)
        self._repeat = max(min(_LINE // self.channels, self.pixels), 1)
        self.line = self._repeat * self.channels
        self.block = max(_BLOCK // self.line, 1)
        self._operations: list[_Operation] = []
        self._slot_dtypes: list[np.dtype[np.generic]] = []
        self._slot_rows: list[bool] = []
        values = [_UNUSED if r is None else self._enter(r) for r in registers]
        for instruction in program:
            values.append(self._compile(instruction, [values[i] for i in instruction.operands]))
        self.element = program[-1].element
        last = values[-1]
        if not last.rows:
            raise ValueError("the result has one value a channel")
        self._result = self._slot(last)

    # Compiling -----------------------------------------------------------------------------

    def _enter(self, register: Register) -> _Value:
        if register.constant is not None:
            return self._enter_constant(register)
        rows = register.shape == self._shape
        if not rows and register.shape != (1, 1, 1, self.channels):
            raise ValueError("an operand is broadcast along pixels")
        slot = self._new_slot(DTYPES[register.element], rows=rows)
        return self._made(rows, register.element, register.range, slot)

    def _enter_constant(self, register: Register) -> _Value:
        array = register.constant
        assert array is not None
        if register.shape == (256,):
            table = array.astype(np.int64)
            return _Value(False, register.element, register.range, integers=table)
        if array.size != 1 and register.shape != (1, 1, 1, self.channels):
            raise ValueError("a parameter is neither one number nor one a channel")
        _in_float64(register.range, register.element)
        line = array.astype(np.int64).reshape(-1)
        if line.size > 1:
            line = np.tile(line, self._repeat)
        return _Value(
            False, register.element, register.range, constant=line.astype(float), integers=line
        )

    def _new_slot(self, dtype: np.dtype[np.generic], *, rows: bool) -> int:
        self._slot_dtypes.append(dtype)
        self._slot_rows.append(rows)
        return len(self._slot_dtypes) - 1

    def _made(self, rows: bool, element: int, limits: Range, slot: int) -> _Value:
        """A computed value; an i8 one is also the identity function of itself."""
        value = _Value(rows, element, limits, slot)
        if element == 1:
            value.base, value.table = slot, _BYTES
        return value

    def _slot(self, value: _Value) -> int:
        """The slot of a value, computing its table first if it has only that."""
        if value.slot < 0:
            if value.table is None:
                raise ValueError("a constant is used as a result")
            _in_float64(value.range, value.element)
            dtype = np.dtype(np.int8) if value.element == 1 else np.dtype(np.float64)
            value.slot = slot = self._new_slot(dtype, rows=value.rows)
            table, base = value.table.astype(dtype), value.base
            self._operations.append(
                lambda slots: table.take(slots[base].view(np.uint8), out=slots[slot], mode="clip")
            )
        return value.slot

    def _compile(self, instruction: Instruction, operands: Sequence[_Value]) -> _Value:
        declared = INSTRUCTIONS[instruction.opcode]
        table = self._as_table(declared, instruction, operands)
        if table is not None:
            return table
        if declared.lines is None:
            raise ValueError(f"'{declared.name}' is not made for lines")
        known = [LineOperand(v.range, v.integers, v.constant) for v in operands]
        operation = declared.lines(instruction, *known)
        given = [v for v in operands if v.integers is None]
        if not given:
            raise ValueError("all operands are constant")
        sources = [self._slot(v) for v in given]
        rows = any(v.rows for v in given)
        result = self._output(instruction, rows, operation.range)
        self._operations.append(_step(operation.run, result.slot, sources, rows=rows))
        return result

    def _as_table(
        self, declared: VectorInstruction, instruction: Instruction, operands: Sequence[_Value]
    ) -> _Value | None:
        """The result as a function of one i8 register, if it is one."""
        if not (declared.elementwise and declared.total):
            return None
        sources = [v for v in operands if v.integers is None]
        bases = {v.base for v in sources}
        if len(bases) != 1 or any(v.table is None for v in sources):
            return None
        arguments: list[Array] = []
        for name, value in zip(declared.operands, operands, strict=True):
            if value.table is not None:
                arguments.append(value.table.astype(DTYPES[value.element]))
            elif value.integers is not None and (value.integers.size == 1 or name == TABLE):
                arguments.append(value.integers.astype(DTYPES[value.element]))
            else:
                return None
        try:
            result = declared.evaluate(instruction, *arguments).astype(np.int64)
        except ExecutionFailure:  # for a value that need not occur
            return None
        limits = (int(result.min()), int(result.max()))
        source = sources[0]
        return _Value(source.rows, instruction.element, limits, base=source.base, table=result)

    def _output(self, instruction: Instruction, rows: bool, limits: Range) -> _Value:
        _in_float64(limits, instruction.element)
        dtype = np.dtype(np.int8) if instruction.element == 1 else np.dtype(np.float64)
        slot = self._new_slot(dtype, rows=rows)
        return self._made(rows, instruction.element, limits, slot)

    # Running -------------------------------------------------------------------------------

    def scratch(self) -> Scratch:
        """Buffers for any number of calls of `run`, one at a time."""
        size = (self.block, self.line)
        slots = [
            np.empty(size if rows else (1, self.line), dtype)
            for dtype, rows in zip(self._slot_dtypes, self._slot_rows, strict=True)
        ]
        return Scratch(slots, np.empty(size), np.empty(size))

    def run(self, registers: Sequence[Array], out: Array, scratch: Scratch) -> None:
        """The result of the registers of some whole pixels.

        Args:
            registers: those that are neither None nor constant: contiguous, of as many pixels as
                `out` (or one value a channel).
            out: contiguous.
            scratch: see `scratch`.
        """
        flat = [r.reshape(-1) for r in registers]
        target = out.reshape(-1)
        step = self.block * self.line
        whole = target.size - target.size % self.line
        for start in range(0, whole, step):
            end = min(start + step, whole)
            self._run_block(flat, target, slice(start, end), self.line, scratch)
        if whole < target.size:
            tail = slice(whole, target.size)
            self._run_tail(flat, target, tail, scratch)

    def _run_tail(
        self, flat: Sequence[Array], target: Array, tail: slice, scratch: Scratch
    ) -> None:
        """The pixels that do not fill a line: the line is filled up with what lies in the slot."""
        size = tail.stop - tail.start
        padded: list[Array] = []
        for array, rows in zip(flat, self._slot_rows, strict=False):
            if rows:
                line = np.zeros(self.line, array.dtype)
                line[:size] = array[tail]
                padded.append(line)
            else:
                padded.append(array)
        out = np.empty(self.line, target.dtype)
        self._run_block(padded, out, slice(0, self.line), self.line, scratch)
        target[tail] = out[:size]

    def _run_block(
        self, flat: Sequence[Array], target: Array, part: slice, line: int, scratch: Scratch
    ) -> None:
        out = target[part].reshape(-1, line)
        rows = len(out)
        slots = [
            slot[:rows] if full else slot
            for slot, full in zip(scratch.slots, self._slot_rows, strict=True)
        ]
        for i, array in enumerate(flat):
            if self._slot_rows[i]:
                slots[i] = array[part].reshape(rows, line)
            else:
                slots[i] = np.tile(array, self._repeat).reshape(1, line)
        direct = self._result >= len(flat) and out.dtype == slots[self._result].dtype
        if direct:
            slots[self._result] = out
        slots += [scratch.wide[:rows], scratch.spare[:rows]]
        for operation in self._operations:
            operation(slots)
        if not direct:
            np.copyto(out, slots[self._result], casting="unsafe")


def _in_float64(limits: Range, element: int) -> None:
    """Refuses values that an element, or a float64 in its place, does not hold.

    Raises:
        ValueError: there are such.
    """
    least, greatest = _RANGES[element]
    if limits[0] < least or limits[1] > greatest:
        raise ValueError("a value may wrap")


def _step(
    run: Callable[..., object], target: int, sources: Sequence[int], *, rows: bool
) -> _Operation:
    """An instruction that reads and writes slots; the usual numbers of operands cost no loop."""
    if not rows:
        return lambda slots: run(
            *[slots[s] for s in sources], slots[target], slots[-2][:1], slots[-1][:1]
        )
    match sources:
        case [x]:
            return lambda slots: run(slots[x], slots[target], slots[-2], slots[-1])
        case [x, y]:
            return lambda slots: run(slots[x], slots[y], slots[target], slots[-2], slots[-1])
        case _:
            return lambda slots: run(
                *[slots[s] for s in sources], slots[target], slots[-2], slots[-1]
            )
