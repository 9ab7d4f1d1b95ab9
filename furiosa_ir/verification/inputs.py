"""Inputs for `--verify`: like images and signals, so that layers leave saturation, and noise.

Full-range noise drives most layers into saturation, where a wrong zero point or rounding shows
nowhere. Smooth random fields with a little noise have the statistics of images (neighbours alike,
many amplitudes), and their range is that of the input's own quantisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.arrays import read_arrays
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.errors import FuriosaError
from furiosa_ir.interpreter.elements import numpy_dtype
from furiosa_ir.interpreter.run import value_names
from furiosa_ir.ir.segments import main_function
from furiosa_ir.ir.shaped_operation import DYNAMIC, element_of, shape_of
from furiosa_ir.numerics.array import Array

Feeds = dict[str, Array]
"""One input of a network, by name."""

AMPLITUDES = (0.35, 1.0, 0.15, 0.6)
"""Of the smooth fields, in halves of the input's range, in turn."""

_COUNTS = ((1 << 10, 16), (1 << 14, 6))
"""(elements of all inputs at most, inputs drawn): of small networks one input shows few values."""

_LEAST_COUNT = 3

_NOISE = 0.04
_COARSE = 6
"""Extent of the random grid that a smooth field is interpolated from."""


@dataclass(frozen=True)
class NetworkInput:
    """An input of a network.

    Attributes:
        name, shape, dtype: as the network declares them.
        low, high: the range that its elements may use.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    low: float
    high: float


def network_inputs(module: ModuleOp) -> list[NetworkInput]:
    """The inputs of a module.

    Raises:
        FuriosaError: one has elements that cannot be drawn, or an open extent.
    """
    main = main_function(module)
    arguments = main.body.block.args
    found: list[NetworkInput] = []
    names = value_names(main.arg_attrs, len(arguments), "input")
    for name, value in zip(names, arguments, strict=True):
        shape, dtype = shape_of(value), numpy_dtype(element_of(value))
        if DYNAMIC in shape:
            raise FuriosaError(f"--verify: the input '{name}' has an open extent")
        low, high = -1.0, 1.0
        if dtype.kind in "iu" and (dtype.itemsize == 1 or quantization_of(value) is not None):
            info = np.iinfo(dtype)
            low, high = float(info.min), float(info.max)
        elif dtype.kind in "iu":  # indices and sizes, not data: small numbers
            low, high = 0.0, 1.0
        for use in value.uses:
            user = use.operation
            q = quantization_of(user.result) if isinstance(user, QuantizeOp) else None
            if dtype.kind == "f" and q is not None and q.axis is None:
                least, most = q.storage_range
                low, high = (least - q.zero_point) * q.scale, (most - q.zero_point) * q.scale
        found.append(NetworkInput(name, shape, dtype, low, high))
    return found


def drawn_inputs(inputs: Sequence[NetworkInput], seed: int = 0) -> list[Feeds]:
    """Smooth inputs of several amplitudes, every third one noise over the full range.

    Three for a large network, up to 16 for a small one; the same each time.
    """
    rng = np.random.default_rng(seed)
    size = sum(prod(i.shape) for i in inputs)
    count = next((c for most, c in _COUNTS if size <= most), _LEAST_COUNT)
    drawn: list[Feeds] = []
    for number in range(count):
        smooth = number - (number + 1) // 3
        amplitude = AMPLITUDES[smooth % len(AMPLITUDES)]
        noisy = number % 3 == 2
        drawn.append(
            {i.name: _noise(i, rng) if noisy else _smooth(i, amplitude, rng) for i in inputs}
        )
    return drawn


def _noise(entry: NetworkInput, rng: np.random.Generator) -> Array:
    if entry.dtype.kind == "b":
        return rng.integers(0, 2, entry.shape).astype(entry.dtype)
    if entry.dtype.kind in "iu":
        return rng.integers(int(entry.low), int(entry.high) + 1, entry.shape).astype(entry.dtype)
    if entry.dtype.kind not in "fV":
        raise FuriosaError(f"--verify: inputs of {entry.dtype} elements cannot be drawn")
    return rng.uniform(entry.low, entry.high, entry.shape).astype(entry.dtype)


def _smooth(entry: NetworkInput, amplitude: float, rng: np.random.Generator) -> Array:
    data = entry.dtype.kind == "f" or entry.dtype.itemsize == 1
    if entry.dtype.kind == "b" or not data or entry.dtype.kind not in "iuf":
        return _noise(entry, rng)
    field = rng.standard_normal([min(n, _COARSE) for n in entry.shape])
    for axis, extent in enumerate(entry.shape):
        field = _stretched(field, axis, extent)
    field += _NOISE * rng.standard_normal(entry.shape)
    middle, half = (entry.low + entry.high) / 2, (entry.high - entry.low) / 2
    values = np.clip(middle + half * amplitude * field / 1.5, entry.low, entry.high)
    if entry.dtype.kind in "iu":
        values = np.rint(values)
    return values.astype(entry.dtype)


def _stretched(x: Array, axis: int, extent: int) -> Array:
    """Linear interpolation along an axis to `extent` elements."""
    count = x.shape[axis]
    if count == extent:
        return x
    position: Array = np.arange(extent) * ((count - 1) / (extent - 1))
    lower = np.minimum(position.astype(int), count - 2)
    weight = (position - lower).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    low, high = np.take(x, lower, axis), np.take(x, lower + 1, axis)
    return low + (high - low) * weight


def given_inputs(path: Path, inputs: Sequence[NetworkInput]) -> list[Feeds]:
    """The inputs in a file: one run's, or samples along a further or longer first axis.

    Raises:
        FuriosaError: the file cannot be read, or its arrays do not fit the network's inputs.
    """
    arrays = read_arrays(path)
    names = [i.name for i in inputs]
    if not all(n in arrays for n in names):
        if len(arrays) != len(names) or not all(n.startswith("arr_") for n in arrays):
            missing = next(n for n in names if n not in arrays)
            raise FuriosaError(
                f"there is no array for the input '{missing}'",
                file=str(path),
                hint=f"the file has {', '.join(arrays) or 'no arrays'}",
            )
        arrays = dict(zip(names, arrays.values(), strict=True))
    samples = {i.name: _samples(arrays[i.name], i, path) for i in inputs}
    counts = {len(parts) for parts in samples.values()}
    if len(counts) != 1:
        listed = ", ".join(f"{len(parts)} of '{name}'" for name, parts in samples.items())
        raise FuriosaError(
            f"the arrays hold different numbers of samples: {listed}", file=str(path)
        )
    return [{n: samples[n][i] for n in names} for i in range(counts.pop())]


def _samples(array: Array, entry: NetworkInput, path: Path) -> list[Array]:
    shape = entry.shape
    fits = array.dtype == entry.dtype
    if fits and array.shape == shape:
        return [array]
    if fits and array.ndim == len(shape) + 1 and array.shape[1:] == shape and len(array):
        return list(array)
    same = shape and array.shape[1:] == shape[1:] and len(array) and len(array) % shape[0] == 0
    if fits and same:
        return cast("list[Array]", np.split(array, len(array) // shape[0]))
    raise FuriosaError(
        f"the array of '{entry.name}' is {array.dtype}{list(array.shape)}, the network takes "
        f"{entry.dtype}{list(shape)}",
        file=str(path),
        hint="samples lie along the first axis",
    )
