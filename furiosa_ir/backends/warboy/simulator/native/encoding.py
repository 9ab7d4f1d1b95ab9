"""Which words a command has: the one place that knows all kinds of commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    Dot,
    Load,
    Parameter,
    Pool,
    SramFlat,
    SramTile,
    Store,
)
from furiosa_ir.backends.warboy.simulator.native.dot import put_dot
from furiosa_ir.backends.warboy.simulator.native.epilogue_words import put_vector
from furiosa_ir.backends.warboy.simulator.native.library import Packing
from furiosa_ir.backends.warboy.simulator.native.tiles import (
    Sizes,
    put_copy,
    put_flat_load,
    put_tile_move,
)
from furiosa_ir.backends.warboy.simulator.native.windows import put_pool
from furiosa_ir.backends.warboy.simulator.native.words import Constants, NoWords, Words
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES
from furiosa_ir.numerics.array import Array


class Encoder:
    """Writes the commands of one segment.

    Args:
        sizes: of the memories.
        constants: where what words point to is kept.
        packing: `Kernels.packing`.
    """

    def __init__(self, sizes: Sizes, constants: Constants, packing: Packing) -> None:
        self._sizes = sizes
        self._constants = constants
        self._packing: Packing = packing

    def encode(self, command: Command, known: Mapping[SramFlat, Array]) -> Words | None:
        """The words of a command, None if it has none.

        Args:
            command: the command.
            known: the bytes of parameters in SRAM that are the program's constants.
        """
        words = Words(self._constants)
        try:
            self._put(words, command, known)
        except (NoWords, ValueError):  # what is wrong with it, numpy's way says
            return None
        return words if words.fit() else None

    def _put(self, words: Words, command: Command, known: Mapping[SramFlat, Array]) -> None:
        sizes = self._sizes
        match command:
            case Load(target=SramTile()) | Store():
                put_tile_move(words, command, sizes)
            case Load():
                put_flat_load(words, command, sizes)
            case Copy():
                put_copy(words, command, sizes)
            case _:
                parameters = [_parameter(p, known) for p in command.parameters]
                match command:
                    case Dot():
                        weight, bias = _weight(command, known), None
                        if command.bias is not None:
                            bias = _bytes(command.bias, known).view("<i4")
                        put_dot(words, command, weight, bias, parameters, sizes, self._packing)
                    case Pool():
                        put_pool(words, command, parameters, sizes)
                    case _:
                        put_vector(words, command, parameters, sizes)


def _bytes(flat: SramFlat, known: Mapping[SramFlat, Array]) -> Array:
    if flat not in known:
        raise NoWords("a parameter is not constant")
    return known[flat]


def _weight(command: Dot, known: Mapping[SramFlat, Array]) -> Array | None:
    if command.weight is None:
        return None
    return _bytes(command.weight, known).view(np.int8).reshape(command.weight_shape)


def _parameter(parameter: Parameter, known: Mapping[SramFlat, Array]) -> Array:
    data: Array = _bytes(parameter.memory, known)
    element: Any = DTYPES[parameter.element]
    # The constant section need not be aligned.
    return np.frombuffer(data.tobytes(), element).reshape(parameter.shape)
