"""Inputs that show a wrong rewrite: like images, noise, and the edges of what an input may be.

A rounding shows in smooth values, a saturation at the ends of the range, a zero point or padding in
what is constant, exchanged axes in what changes along one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import TensorOp
from furiosa_ir.dialects.ftensor.fused import FusedOp
from furiosa_ir.ir.segments import main_function
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


def inputs_of(module: ModuleOp) -> list[NetworkInput]:
    """The inputs of a module, which may be a part of a network: accumulators are data there.

    Raises:
        FuriosaError: one has elements that cannot be drawn, or an open extent.
    """
    inputs = network_inputs(module)
    arguments = main_function(module).body.block.args
    return [
        replace(entry, low=-_WIDE[entry.dtype.itemsize], high=_WIDE[entry.dtype.itemsize])
        if entry.dtype.kind == "i" and entry.dtype.itemsize in _WIDE and _is_data(module, value)
        else entry
        for entry, value in zip(inputs, arguments, strict=True)
    ]


def _is_data(module: ModuleOp, value: SSAValue) -> bool:
    """Whether operations on integers read a value, in `@main` or in a segment that it calls."""
    functions = {f.sym_name.data: f for f in module.ops if isinstance(f, FuncOp)}
    for use in value.uses:
        user = use.operation
        if isinstance(user, CallOp):
            called = functions[user.callee.string_value()].body.block.args[use.index]
            if _is_data(module, called):
                return True
        elif isinstance(user, TensorOp | FusedOp):
            return True
    return False


def debugging_inputs(
    inputs: Sequence[NetworkInput], count: int = DEFAULT_COUNT, seed: int = 0
) -> list[NumberedInput]:
    """Inputs of each kind in turn, the same each time.

    Args:
        inputs: what the network takes.
        count: how many to draw.
        seed: of the random ones.
    """
    made: list[tuple[str, Feeds]] = []
    edges, drawn = cycle(_EDGES), _endless(inputs, seed)
    while len(made) < count:
        made.append(next(drawn))
        kind, edge = next(edges)
        rng = np.random.default_rng((seed, len(made)))
        made.append((kind, {i.name: _filled(i, edge, rng) for i in inputs}))
        made.append(next(drawn))
    return [NumberedInput(n, *one) for n, one in enumerate(made[:count], 1)]


def _endless(inputs: Sequence[NetworkInput], seed: int) -> Iterator[tuple[str, Feeds]]:
    """Smooth inputs and noise, two and one in turn, as `drawn_inputs` has them."""
    while True:
        for number, feeds in enumerate(drawn_inputs(inputs, seed)):
            yield "noise" if number % 3 == 2 else "smooth values", feeds
        seed += 1


Edge = Callable[[NetworkInput, np.random.Generator], Array]
"""Reals between 0 (the least that an input may be) and 1 (the greatest)."""


def _greatest(entry: NetworkInput, _rng: np.random.Generator) -> Array:
    return np.ones(entry.shape)


def _least(entry: NetworkInput, _rng: np.random.Generator) -> Array:
    return np.zeros(entry.shape)


def _middle(entry: NetworkInput, _rng: np.random.Generator) -> Array:
    return np.full(entry.shape, 0.5)


def _by_channel(entry: NetworkInput, rng: np.random.Generator) -> Array:
    """Each place along the longest way to its neighbours' left alone: constant but for channels."""
    shape = list(entry.shape)
    for axis in sorted(range(len(shape)), key=lambda a: -shape[a])[:2]:
        if len(shape) > 2:
            shape[axis] = 1
    return np.broadcast_to(rng.uniform(size=shape), entry.shape)


def _ramp(entry: NetworkInput, _rng: np.random.Generator) -> Array:
    """Rising along the last axes, each at its own pace, so that no two axes are alike."""
    total = np.zeros(entry.shape)
    for axis, extent in enumerate(entry.shape):
        steps = np.arange(extent) * (axis + 1) % max(extent, 2)
        along = [-1 if a == axis else 1 for a in range(len(entry.shape))]
        total = total + (steps / max(extent, 1)).reshape(along)
    return total / max(len(entry.shape), 1)


_EDGES: tuple[tuple[str, Edge], ...] = (
    ("greatest values", _greatest),
    ("one value a channel", _by_channel),
    ("least values", _least),
    ("a ramp", _ramp),
    ("middle values", _middle),
)


def _filled(entry: NetworkInput, edge: Edge, rng: np.random.Generator) -> Array:
    values = entry.low + (entry.high - entry.low) * edge(entry, rng)
    if entry.dtype.kind == "b":
        return values >= 0.5
    return (np.rint(values) if entry.dtype.kind in "iu" else values).astype(entry.dtype)


def given_debugging_inputs(path: Path, inputs: Sequence[NetworkInput]) -> list[NumberedInput]:
    """The inputs in a file.

    Raises:
        FuriosaError: as `given_inputs`.
    """
    given = given_inputs(path, inputs)
    return [NumberedInput(n, f"of {path.name}", one) for n, one in enumerate(given, 1)]
