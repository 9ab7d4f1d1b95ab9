"""What follows the accumulator: operands and parameters, the program, the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Shape4, SramTile
from furiosa_ir.backends.warboy.simulator.memory import Memory, TileAccess
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS
from furiosa_ir.backends.warboy.vector_engine.lines import LineProgram, Register, Scratch
from furiosa_ir.backends.warboy.vector_engine.program import run_program
from furiosa_ir.numerics.array import Array


class Epilogue:
    """A vector program with its operand tiles, parameters and result tile.

    Args:
        program: instructions.
        accumulator: shape, element size and range of the kernel's accumulator; None for `Vector`.
        operands: further tiles.
        parameters: constants, int8 to int64, of the kernel's broadcast shapes.
        result: the tile written.
        slice_stride: see `memory.slice_stride`.
    """

    def __init__(
        self,
        program: Sequence[Instruction],
        accumulator: Register | None,
        operands: Sequence[SramTile],
        parameters: Sequence[Array],
        result: SramTile,
        slice_stride: int,
    ) -> None:
        self.program = program
        self.shape: Shape4 = result.extent
        self.dtype = DTYPES[result.element]
        self.operands = [TileAccess(tile, slice_stride) for tile in operands]
        self.parameters = list(parameters)
        self.result = TileAccess(result, slice_stride)
        used = {number for i in program for number in i.operands} if program else {0}
        registers: list[Register | None] = []
        if accumulator is not None:
            registers.append(accumulator)
        self.reads: list[bool] = []
        for tile in operands:
            # A product's second factor is an operand that its program need not read again.
            self.reads.append(len(registers) in used)
            known = Register(tile.extent, tile.element, LIMITS[tile.element])
            registers.append(known if self.reads[-1] else None)
        registers += [Register.of_constant(p, p.dtype.itemsize) for p in self.parameters]
        self.lines: LineProgram | None = None
        if program:
            try:
                self.lines = LineProgram(program, registers, self.shape)
            except ValueError:
                self.lines = None

    @property
    def by_pixels(self) -> bool:
        """Whether `run_pixels` works: accumulators may come a few rows at a time."""
        return self.lines is not None

    def read_operands(self, memory: Memory) -> list[Array]:
        """The operand tiles that the program reads, dense."""
        return [
            tile.read(memory) for tile, read in zip(self.operands, self.reads, strict=True) if read
        ]

    def run(self, memory: Memory, accumulator: Array | None) -> None:
        """The whole step after the accumulator [N, H, W, C] has been computed."""
        tiles = self.read_operands(memory)
        registers = tiles if accumulator is None else [accumulator, *tiles]
        if self.lines is not None:
            dense = np.empty(self.shape, self.dtype)
            self.lines.run(registers, dense, self.lines.scratch())
        else:
            if accumulator is not None and accumulator.dtype == np.float32:
                registers[0] = accumulator.astype(np.int32)
            dense = run_program(self.program, self._all_registers(registers))
            if dense.dtype != self.dtype:
                dense = dense.astype(self.dtype)
        self.result.scatter(memory, dense.reshape(self.shape))

    def _all_registers(self, registers: list[Array]) -> list[Array]:
        """The registers by number; an operand that nothing reads is an empty array."""
        given = iter(registers)
        extra = len(registers) - sum(self.reads)
        whole = [next(given) for _ in range(extra)]
        whole += [next(given) if read else np.empty(0, np.int8) for read in self.reads]
        return whole + self.parameters

    def run_pixels(
        self,
        tiles: Sequence[Array],
        first: int,
        accumulator: Array,
        dense: Array,
        scratch: Scratch,
    ) -> None:
        """The program for consecutive pixels only, the first of which is number `first`.

        Args:
            tiles: `read_operands`.
            first: index among N * H * W.
            accumulator: [pixels, C], contiguous.
            dense: the step's whole result, contiguous.
            scratch: `lines.scratch()`.
        """
        assert self.lines is not None
        channels = self.shape[3]
        part = slice(first * channels, first * channels + accumulator.size)
        registers = [accumulator]
        for tile in tiles:
            flat = tile.reshape(-1)
            registers.append(flat[part] if flat.size == dense.size else flat)
        self.lines.run(registers, dense.reshape(-1)[part], scratch)


def row_chunks(n: int, rows: int, cost: int, limit: int) -> Iterator[tuple[slice, slice]]:
    """Pieces of [n, rows] whose rows of `cost` bytes each take about `limit` bytes together.

    Several images at once where they are small, some rows of one image where they are not.
    """
    images = max(limit // max(cost * rows, 1), 0)
    if images:
        for start in range(0, n, images):
            yield slice(start, min(start + images, n)), slice(0, rows)
        return
    step = max(limit // cost, 1)
    for image in range(n):
        for start in range(0, rows, step):
            yield slice(image, image + 1), slice(start, min(start + step, rows))
