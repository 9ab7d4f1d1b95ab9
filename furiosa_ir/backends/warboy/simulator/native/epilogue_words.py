"""Words of what follows the accumulator (`source/epilogue.h`), and of `Vector`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from furiosa_ir.backends.warboy.enf.records import Dot, Pool, Vector
from furiosa_ir.backends.warboy.simulator.memory import TileAccess
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes, dense_strides, put_tile
from furiosa_ir.backends.warboy.simulator.native.vector_words import (
    Register,
    put_array_program,
    put_line_program,
)
from furiosa_ir.backends.warboy.simulator.native.words import NoWords, Words
from furiosa_ir.numerics.array import Array

VECTOR = 3
NOTHING, LINES, ARRAYS = range(3)
_MOST_OPERANDS = 16
_SLACK = 64


def put_epilogue(
    words: Words,
    command: Vector | Dot | Pool,
    accumulator: Register | None,
    parameters: Sequence[Array],
    sizes: Sizes,
) -> tuple[Words, int]:
    """The epilogue's words, and which kind of program it has.

    Args:
        words: of the command, from which room is taken.
        command: the command.
        accumulator: what is known of it; None for `Vector`.
        parameters: the program's constants.
        sizes: of the memories.
    """
    program, result = command.program, command.result
    inputs: list[Register | None] = []
    if accumulator is not None:
        inputs.append(accumulator)
    used = {number for i in program for number in i.operands} if program else {0}
    tiles = command.operands
    if len(tiles) > _MOST_OPERANDS:
        raise NoWords("it has too many operands")
    read = [len(inputs) + number in used for number in range(len(tiles))]
    inputs += [
        Register(t.extent, t.element) if r else None for t, r in zip(tiles, read, strict=True)
    ]
    kind, coded = _program(words, command, inputs, parameters)
    part = words.part()
    part.put(kind, int(accumulator is not None), len(tiles))
    for tile, is_read in zip(tiles, read, strict=True):
        part.put(int(is_read))
        if not is_read:
            continue
        part.put(words.room(prod(tile.extent) * tile.element + _SLACK))
        part.put(*dense_strides(tile.extent, tile.element))
        put_tile(part, TileAccess(tile, sizes.stride), sizes)
    part.put(words.room(prod(result.extent) * result.element + _SLACK), result.element)
    part.put(*dense_strides(result.extent, result.element))
    part.put_sized(coded)
    put_tile(part, TileAccess(result, sizes.stride), sizes)
    return part, kind


def _program(
    words: Words,
    command: Vector | Dot | Pool,
    inputs: Sequence[Register | None],
    parameters: Sequence[Array],
) -> tuple[int, Words]:
    program, result = command.program, command.result
    if not program:
        first = inputs[0]
        if first is None or (first.shape, first.element) != (result.extent, result.element):
            raise NoWords("what is copied is not what is stored")
        return NOTHING, words.part()
    if program[-1].element != result.element:
        raise NoWords("the result is not what is stored")
    try:
        return LINES, put_line_program(words, program, inputs, parameters, result.extent)
    except NoWords:
        return ARRAYS, put_array_program(words, program, inputs, parameters, result.extent)


def put_vector(words: Words, command: Vector, parameters: Sequence[Array], sizes: Sizes) -> None:
    """A `Vector`."""
    part, _ = put_epilogue(words, command, None, parameters, sizes)
    words.put(VECTOR, prod(command.result.extent[:3]), *part.words)
