"""Calibration data: samples of a network's inputs, from arrays or from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from furiosa_ir.arrays import ArraySource, array_files, read_arrays
from furiosa_ir.errors import FuriosaError
from furiosa_ir.numerics.array import Array

Sample = Mapping[str, Array]
"""An array for each input of the network, of the shape that the network takes."""

Calibration = ArraySource
"""Where samples to calibrate with come from."""


@dataclass(frozen=True)
class InputDescription:
    """What a network takes.

    Attributes:
        name: of the input.
        dtype: of its elements.
        shape: None for an extent that the data decides.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | None, ...]


def load_samples(
    calibration: Calibration, inputs: Sequence[InputDescription], limit: int | None = None
) -> list[Sample]:
    """The samples of calibration data, each in the form that the network takes.

    An array holds samples along its first axis. It has the input's rank (an open or single batch
    dimension then holds one sample at a time; a batch of four takes four), or one more.

    Args:
        calibration: see `Calibration`; a file or mapping has an array for each input name, or a
            single array for a network with a single input.
        inputs: the network's inputs.
        limit: at most that many samples.

    Raises:
        FuriosaError: the data cannot be read or does not fit the network.
    """
    samples: list[Sample] = []
    for name, arrays in _groups(calibration):
        samples.extend(_samples_of(arrays, inputs, name))
        if limit is not None and len(samples) >= limit:
            return samples[:limit]
    if not samples:
        name = str(calibration) if isinstance(calibration, str | Path) else None
        raise FuriosaError("there are no calibration samples", file=name)
    return samples


def calibration_files(calibration: Calibration) -> list[Path]:
    """The files that the samples are in; none for arrays.

    Raises:
        FuriosaError: a folder cannot be read, or holds none.
    """
    if isinstance(calibration, np.ndarray | Mapping):
        return []
    return array_files(Path(calibration))


def _groups(calibration: Calibration) -> Iterator[tuple[str | None, dict[str, Array]]]:
    """Arrays that belong together, with the name of their file."""
    if isinstance(calibration, np.ndarray):
        yield None, {"arr_0": calibration}
    elif isinstance(calibration, Mapping):
        yield None, dict(calibration)
    else:
        for file in calibration_files(calibration):
            yield str(file), read_arrays(file)


def _samples_of(
    arrays: dict[str, Array], inputs: Sequence[InputDescription], file: str | None
) -> list[Sample]:
    single = len(arrays) == 1 and len(inputs) == 1
    columns: dict[str, list[Array]] = {}
    for description in inputs:
        array = next(iter(arrays.values())) if single else arrays.get(description.name)
        if array is None:
            raise FuriosaError(
                f"there is no array for the input '{description.name}'",
                file=file,
                hint=f"there are {', '.join(map(repr, arrays)) or 'no arrays'}",
            )
        columns[description.name] = _split(array, description, file)
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{count} for '{name}'" for name, count in counts.items())
        raise FuriosaError(f"inputs have different numbers of samples: {text}", file=file)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _split(array: Array, description: InputDescription, file: str | None) -> list[Array]:
    array = _converted(array, description, file)
    shape = description.shape
    rows: list[Array] = []
    if array.ndim == len(shape) + 1:
        rows = [np.asarray(row) for row in array]  # those of a vector are no arrays
    elif array.ndim == len(shape) and shape:
        batch = shape[0] or 1
        rows = [array[i : i + batch] for i in range(0, len(array) - batch + 1, batch)]
    elif array.ndim == len(shape) - 1 and shape[0] in (None, 1):
        rows = [array[None]]
    if not rows or not _fits(rows[0].shape, shape):
        if array.size == 0:
            raise FuriosaError(f"the input '{description.name}' has no samples", file=file)
        wanted = ", ".join("?" if n is None else str(n) for n in shape)
        raise FuriosaError(
            f"the input '{description.name}' takes [{wanted}], not {list(array.shape)}",
            file=file,
            hint="the first axis counts samples",
        )
    return rows


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        w is None or w == n for n, w in zip(shape, wanted, strict=True)
    )


def _converted(array: Array, description: InputDescription, file: str | None) -> Array:
    """The array in the input's element type; real numbers never become integers."""
    if array.dtype.kind not in "biuf" or (
        array.dtype.kind == "f" and description.dtype.kind != "f"
    ):
        raise FuriosaError(
            f"the input '{description.name}' takes {description.dtype}, not {array.dtype}",
            file=file,
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise FuriosaError(f"the input '{description.name}' has a NaN or an infinity", file=file)
    return np.ascontiguousarray(array, description.dtype).reshape(array.shape)
