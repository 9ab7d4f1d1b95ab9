"""Inputs that show a wrong rewrite: like images, noise, and the edges of what an input may be.

A rounding shows in smooth values, a saturation at the ends of the range, a zero point or padding in
what is constant, exchanged axes in what changes along one of them. A part of a network may be given
anything: all values of 8 bits in turn, and sums that a rescale puts halfway between two integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp, RescaleOp
from furiosa_ir.dialects.ftensor.fused import FusedOp
from furiosa_ir.ir.segments import main_function
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.verification.inputs import (
    Feeds,
    NetworkInput,
    drawn_inputs,
    given_inputs,
    network_inputs,
)

DEFAULT_COUNT = 8
"""Inputs that are run where nobody says how many."""


@dataclass(frozen=True)
class NumberedInput:
    """An input to run.

    Attributes:
        number: from 1.
        kind: what it is like, for messages: "smooth values", "greatest values".
        feeds: arrays by name.
    """

    number: int
    kind: str
    feeds: Feeds


_WIDE = {4: 1 << 20, 8: 1 << 40}
"""Bytes of an integer -> how far it goes from 0: like an accumulator, of most of its bits."""


@dataclass(frozen=True)
class DebuggingInput(NetworkInput):
    """An input of a module, which may be a part of a network.

    Attributes:
        rescale: what reads it first, where that is a rescale by constants; `None` elsewhere.
    """

    rescale: RescaleOp | None = field(default=None, compare=False)


def inputs_of(module: ModuleOp) -> list[DebuggingInput]:
    """The inputs of a module, which may be a part of a network: accumulators are data there.

    Raises:
        FuriosaError: one has elements that cannot be drawn, or an open extent.
    """
    functions = {f.sym_name.data: f for f in module.ops if isinstance(f, FuncOp)}
    found: list[DebuggingInput] = []
    arguments = main_function(module).body.block.args
    for entry, value in zip(network_inputs(module), arguments, strict=True):
        readers = [op for op in _readers(value, functions) if isinstance(op, TensorOp | FusedOp)]
        low, high = entry.low, entry.high
        if entry.dtype.kind == "i" and entry.dtype.itemsize in _WIDE and readers:
            low, high = -_WIDE[entry.dtype.itemsize], _WIDE[entry.dtype.itemsize]
        rescale = next((op for op in readers if _is_rescale_of(op, entry)), None)
        found.append(
            DebuggingInput(
                entry.name, entry.shape, entry.dtype, low, high, cast("RescaleOp | None", rescale)
            )
        )
    return found


def _readers(value: SSAValue, functions: Mapping[str, FuncOp]) -> Iterator[Operation]:
    """What reads a value, in `@main` or in a segment that it calls."""
    for use in value.uses:
        user = use.operation
        if isinstance(user, CallOp):
            called = functions[user.callee.string_value()].body.block.args[use.index]
            yield from _readers(called, functions)
        else:
            yield user


def _is_rescale_of(op: Operation, entry: NetworkInput) -> bool:
    if not isinstance(op, RescaleOp) or shape_of(op.x) != entry.shape:
        return False
    return isinstance(op.multiplier.owner, ConstantOp) and isinstance(op.shift.owner, ConstantOp)


def debugging_inputs(
    inputs: Sequence[DebuggingInput], count: int = DEFAULT_COUNT, seed: int = 0
) -> list[NumberedInput]:
    """Inputs of each kind in turn, the same each time.

    Args:
        inputs: what the network takes.
        count: how many to draw.
        seed: of the random ones.
    """
    made: list[tuple[str, Feeds]] = []
    edges, drawn = cycle(_edges(inputs)), _endless(inputs, seed)
    while len(made) < count:
        made.append(next(drawn))
        kind, edge = next(edges)
        rng = np.random.default_rng((seed, len(made)))
        made.append((kind, {i.name: edge(i, rng) for i in inputs}))
        made.append(next(drawn))
    return [NumberedInput(n, *one) for n, one in enumerate(made[:count], 1)]


def thorough_count(inputs: Sequence[DebuggingInput]) -> int:
    """How many inputs have every edge among them."""
    return 3 * len(_edges(inputs))


def _endless(inputs: Sequence[NetworkInput], seed: int) -> Iterator[tuple[str, Feeds]]:
    """Smooth inputs and noise, two and one in turn, as `drawn_inputs` has them."""
    while True:
        for number, feeds in enumerate(drawn_inputs(inputs, seed)):
            yield "noise" if number % 3 == 2 else "smooth values", feeds
        seed += 1


Edge = Callable[[DebuggingInput, np.random.Generator], Array]
"""Elements of one input."""


def _between(share: Callable[[DebuggingInput, np.random.Generator], Array]) -> Edge:
    """Elements at a share, 0 to 1, of the way from the least that an input may be to the most."""

    def edge(entry: DebuggingInput, rng: np.random.Generator) -> Array:
        values = entry.low + (entry.high - entry.low) * share(entry, rng)
        if entry.dtype.kind == "b":
            return values >= 0.5
        return (np.rint(values) if entry.dtype.kind in "iu" else values).astype(entry.dtype)

    return edge


@_between
def _greatest(entry: DebuggingInput, _rng: np.random.Generator) -> Array:
    return np.ones(entry.shape)


@_between
def _least(entry: DebuggingInput, _rng: np.random.Generator) -> Array:
    return np.zeros(entry.shape)


@_between
def _middle(entry: DebuggingInput, _rng: np.random.Generator) -> Array:
    return np.full(entry.shape, 0.5)


@_between
def _by_channel(entry: DebuggingInput, rng: np.random.Generator) -> Array:
    """Each place along the longest way to its neighbours' left alone: constant but for channels."""
    shape = list(entry.shape)
    for axis in sorted(range(len(shape)), key=lambda a: -shape[a])[:2]:
        if len(shape) > 2:
            shape[axis] = 1
    return np.broadcast_to(rng.uniform(size=shape), entry.shape)


@_between
def _ramp(entry: DebuggingInput, _rng: np.random.Generator) -> Array:
    """Rising along the last axes, each at its own pace, so that no two axes are alike."""
    total = np.zeros(entry.shape)
    for axis, extent in enumerate(entry.shape):
        steps = np.arange(extent) * (axis + 1) % max(extent, 2)
        along = [-1 if a == axis else 1 for a in range(len(entry.shape))]
        total = total + (steps / max(extent, 1)).reshape(along)
    return total / max(len(entry.shape), 1)


@_between
def _noise(entry: DebuggingInput, rng: np.random.Generator) -> Array:
    return rng.uniform(size=entry.shape)


_EDGES: tuple[tuple[str, Edge], ...] = (
    ("greatest values", _greatest),
    ("one value a channel", _by_channel),
    ("least values", _least),
    ("a ramp", _ramp),
    ("middle values", _middle),
)

_VALUES = 256
"""Of 8 bits."""

_HALVES = 4
"""Inputs of sums halfway between integers."""


def _edges(inputs: Sequence[DebuggingInput]) -> list[tuple[str, Edge]]:
    """The edges of a module's inputs: those of all modules first."""
    edges = list(_EDGES)
    if any(entry.rescale is not None for entry in inputs):
        edges += [("halves", _halves)] * _HALVES
    few = [prod(i.shape) for i in inputs if i.dtype.kind in "iu" and i.dtype.itemsize == 1]
    if few:
        sweeps = -(-_VALUES // max(min(few), 1))
        edges += [("all values in turn", partial(_in_turn, part)) for part in range(sweeps)]
    return edges


def _in_turn(part: int, entry: DebuggingInput, rng: np.random.Generator) -> Array:
    """The values of 8 bits one after the other, from where the part before has ended."""
    if entry.dtype.itemsize != 1 or entry.dtype.kind == "b":
        return _noise(entry, rng)
    count = prod(entry.shape)
    numbers = np.arange(part * count, (part + 1) * count).reshape(entry.shape)
    return (numbers % _VALUES).astype(np.uint8).view(entry.dtype)


def _halves(entry: DebuggingInput, rng: np.random.Generator) -> Array:
    """What a rescale puts as near as can be to halfway between two of its results."""
    op = entry.rescale
    if op is None:
        return _noise(entry, rng)
    multiplier, shift = (cast("ConstantOp", v.owner).value.array for v in (op.multiplier, op.shift))
    limits = [limit.value.data - op.output_zp.value.data for limit in (op.minimum, op.maximum)]
    low, high = (min(max(limit, -_VALUES), _VALUES) for limit in limits)
    below = rng.integers(low - 1, high + 1, entry.shape)
    exact = (below + 0.5) * np.ldexp(1.0, shift) / np.where(multiplier == 0, 1, multiplier)
    info = np.iinfo(str(entry.dtype))
    nearest = np.rint(exact) + op.input_zp.value.data
    return np.clip(nearest, info.min, info.max).astype(entry.dtype)


def given_debugging_inputs(path: Path, inputs: Sequence[NetworkInput]) -> list[NumberedInput]:
    """The inputs in a file.

    Raises:
        FuriosaError: as `given_inputs`.
    """
    given = given_inputs(path, inputs)
    return [NumberedInput(n, f"of {path.name}", one) for n, one in enumerate(given, 1)]
