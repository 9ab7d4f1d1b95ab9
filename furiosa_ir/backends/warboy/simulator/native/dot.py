"""Words of `Dot`: convolutions and fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Dot
from furiosa_ir.backends.warboy.enf.shapes import accumulator_shape
from furiosa_ir.backends.warboy.simulator.native.dense import put_dense
from furiosa_ir.backends.warboy.simulator.native.epilogue_words import put_epilogue
from furiosa_ir.backends.warboy.simulator.native.instruction_words import Register
from furiosa_ir.backends.warboy.simulator.native.library import Packing
from furiosa_ir.backends.warboy.simulator.native.tiles import Sizes
from furiosa_ir.backends.warboy.simulator.native.windows import put_depthwise
from furiosa_ir.backends.warboy.simulator.native.words import NoWords, Words
from furiosa_ir.numerics.array import Array


def put_dot(
    words: Words,
    command: Dot,
    weight: Array | None,
    bias: Array | None,
    parameters: Sequence[Array],
    sizes: Sizes,
    packing: Packing,
) -> None:
    """A `Dot`.

    Args:
        words: of the command.
        command: the command.
        weight: int8 [O, Kh, Kw, I].
        bias: int32 [O] or None.
        parameters: the program's constants.
        sizes: of the memories.
        packing: `Kernels.packing`.

    Raises:
        NoWords: it multiplies activations.
    """
    if weight is None:
        raise NoWords("it multiplies activations")
    outputs, _, _, inner = weight.shape
    if outputs % command.group or command.x.extent[3] != command.group * inner:
        raise NoWords("its channels are no multiples of its groups")
    if bias is not None and bias.size != outputs:
        raise NoWords("its bias has another number of channels")
    shape = accumulator_shape(command)
    accumulator = Register(shape, 4, reach=_reach(command, weight, bias))
    epilogue, kind = put_epilogue(words, command, accumulator, parameters, sizes)
    if inner == 1 and command.group > 1:
        put_depthwise(words, command, weight, bias, shape, kind, sizes)
    else:
        put_dense(words, command, weight, bias, shape, kind, sizes, packing)
    words.put(*epilogue.words)


def _reach(command: Dot, weight: Array, bias: Array | None) -> int | None:
    """The greatest magnitude of an accumulator; None where it may wrap."""
    x = max(command.x_zp + 128, 127 - command.x_zp)
    factor = max(command.weight_zp + 128, 127 - command.weight_zp)
    reach = weight.size // len(weight) * x * factor
    if bias is not None:
        reach += int(np.abs(bias.astype(np.int64)).max())
    return reach if reach < 1 << 31 else None
