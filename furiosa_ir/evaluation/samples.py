"""The samples of a validation set, read one by one, in the form that a network takes.

An .npz or .npy file, a folder of such files, or arrays. An array has samples along its first axis:
it has the rank of the network's input, whose first extent is then the number of samples of a run,
or one more. In a folder a file may also hold a single sample. Of a network with state an array may
have a further axis, the second one: each sample is that many runs in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from furiosa_ir.arrays import ArraySource, array_files
from furiosa_ir.errors import FuriosaError
from furiosa_ir.evaluation.columns import Column, Rows, column_of, columns_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.runtime.tensor import DataType, TensorDesc

Data = ArraySource
"""Where samples come from."""


@dataclass(frozen=True)
class Part:
    """Samples that are in one file.

    Attributes:
        file: it; None for arrays.
        columns: of each input.
        count: how many samples there are.
        steps: how many runs in order each of them is, of a network with state; 0: one, as it is.
    """

    file: Path | None
    columns: tuple[Column, ...]
    count: int
    steps: int = 0

    def named(self, index: int) -> str:
        """What a message calls a sample of it."""
        return f"sample {index}" if self.file is None else f"sample {index} of {self.file.name}"


@dataclass(frozen=True)
class Samples:
    """A validation set.

    Attributes:
        parts: its files, in the order of their names.
        inputs: what the network takes.
        per_run: how many samples one run takes.
    """

    parts: tuple[Part, ...]
    inputs: tuple[TensorDesc, ...]
    per_run: int

    @property
    def count(self) -> int:
        """How many samples there are."""
        return sum(part.count for part in self.parts)

    @property
    def bytes(self) -> int:
        """Of a sample."""
        return sum(prod(shape) * d.numpy_dtype.itemsize for shape, d in self._shapes())

    def _shapes(self) -> list[tuple[tuple[int, ...], TensorDesc]]:
        """The shape of a sample of each input: the run's own, or a part of it."""
        return [(d.shape[1:] if self.per_run > 1 else d.shape, d) for d in self.inputs]

    def name(self, index: int) -> str:
        """What a message calls a sample: by its file, where there are several."""
        for part in self.parts:
            if index < part.count:
                return part.named(index)
            index -= part.count
        raise IndexError(index)

    def file_names(self) -> list[str] | None:
        """The file of each sample, without its suffix; None unless there is a file a sample."""
        if any(part.file is None or part.count != 1 for part in self.parts):
            return None
        return [part.file.stem for part in self.parts if part.file is not None]

    def read(self, wanted: Iterable[int]) -> Generator[tuple[int, list[Array]]]:
        """(number, an array for each input) of some samples.

        Args:
            wanted: their numbers, rising.

        Raises:
            FuriosaError: a file cannot be read, or a value does not fit the input's type.
        """
        parts = iter(self.parts)
        part, first = next(parts), 0
        with ExitStack() as stack:
            readers: list[Rows] | None = None
            for index in wanted:
                while index >= first + part.count:
                    stack.close()
                    readers, first = None, first + part.count
                    part = next(parts)
                if readers is None:
                    readers = [stack.enter_context(c.opened()) for c in part.columns]
                at = index - first
                steps = (part.steps,) if part.steps else ()
                arrays = [
                    _converted(rows(at, at + 1), desc, part, at).reshape(steps + shape)
                    for rows, (shape, desc) in zip(readers, self._shapes(), strict=True)
                ]
                yield index, arrays

    def fingerprint(self) -> str:
        """Of files' names, sizes and times, or of arrays' contents: another set has another one."""
        digest = hashlib.sha256()
        for part in self.parts:
            if part.file is not None:
                digest.update(f"{part.file.name} {part.columns[0].state}\n".encode())
                continue
            for column in part.columns:
                digest.update(f"{column.dtype} {column.shape}\n".encode())
                assert column.array is not None
                digest.update(np.ascontiguousarray(column.array).data)
        return digest.hexdigest()


def open_samples(
    data: Data,
    inputs: Sequence[TensorDesc],
    beside: str | None = None,
    *,
    keeps_state: bool = False,
) -> Samples:
    """The samples of a validation set; of files the headers are read.

    Args:
        data: see `Data`.
        inputs: what the network takes.
        beside: the name of an array of the file that is no input: the labels.
        keeps_state: whether the network does, from run to run.

    Raises:
        FuriosaError: a file cannot be read, an array is missing, does not fit its input, or has
            another number of samples than its neighbours.
    """
    for desc in inputs:
        if desc.dtype is DataType.STRING or any(n < 0 for n in desc.shape):
            raise FuriosaError(f"the input '{desc.name}' is text, or of an open shape")
    found: list[tuple[Path | None, dict[str, Column]]] = []
    if isinstance(data, str | Path):
        found = [(file, columns_of(file)) for file in array_files(Path(data))]
    elif isinstance(data, Mapping):
        found = [(None, {name: column_of(np.asarray(array)) for name, array in data.items()})]
    else:
        found = [(None, {"": column_of(np.asarray(data))})]
    forms = [_part(file, columns, inputs, beside, keeps_state) for file, columns in found]
    per_run = {runs for _, runs in forms}
    if len(per_run) > 1:
        raise FuriosaError("some arrays hold samples, and others batches of them")
    samples = Samples(tuple(part for part, _ in forms), tuple(inputs), per_run.pop())
    if not samples.count:
        raise FuriosaError("there are no samples", file=_shown(data))
    return samples


def _shown(data: Data) -> str | None:
    return str(data) if isinstance(data, str | Path) else None


def _part(
    file: Path | None,
    columns: dict[str, Column],
    inputs: Sequence[TensorDesc],
    beside: str | None,
    keeps_state: bool,
) -> tuple[Part, int]:
    """A file's samples, and how many of them a run takes."""
    name = None if file is None else str(file)
    others = {n: c for n, c in columns.items() if n != beside}
    chosen: list[Column] = []
    per_run: list[int] = []
    steps: list[int] = []
    for desc in inputs:
        column = others.get(desc.name)
        if column is None and len(inputs) == 1:
            column = _only_one(others, desc)
        if column is None:
            raise FuriosaError(
                f"there is no array for the input '{desc.name}'",
                file=name,
                hint=f"there are {', '.join(map(repr, columns)) or 'no arrays'}",
            )
        _check_type(column, desc, name)
        steps.append(_steps(column, desc) if keeps_state else 0)
        rows, runs = (column, 1) if steps[-1] else _rows(column, desc, name)
        chosen.append(rows)
        per_run.append(runs)
    counts = {column.count for column in chosen}
    if len(counts) > 1:
        text = ", ".join(f"{c.count} of '{d.name}'" for c, d in zip(chosen, inputs, strict=True))
        raise FuriosaError(f"the inputs have different numbers of samples: {text}", file=name)
    if len(set(steps)) > 1:
        text = ", ".join(f"{n or 1} of '{d.name}'" for n, d in zip(steps, inputs, strict=True))
        raise FuriosaError(f"the inputs have different numbers of runs: {text}", file=name)
    if max(per_run) > 1 and len(set(per_run)) > 1:
        text = ", ".join(f"{n} of '{d.name}'" for n, d in zip(per_run, inputs, strict=True))
        raise FuriosaError(f"a run takes different numbers of samples: {text}", file=name)
    return Part(file, tuple(chosen), counts.pop(), steps[0]), per_run[0]


def _steps(column: Column, desc: TensorDesc) -> int:
    """How many runs each row of a column is, if it is several: [samples, runs, ...]."""
    shape, wanted = column.shape, desc.shape
    if len(shape) == len(wanted) + 2 and shape[2:] == wanted:
        return shape[1]
    is_single = wanted[:1] == (1,) and len(shape) == len(wanted) + 1
    return shape[1] if is_single and shape[2:] == wanted[1:] and shape[1] != 1 else 0


def _only_one(columns: Mapping[str, Column], desc: TensorDesc) -> Column | None:
    """The array that is there, or the one of several that fits the input."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    fitting: list[Column] = []
    for column in columns.values():
        with suppress(FuriosaError):
            _check_type(column, desc, None)
            _rows(column, desc, None)
            fitting.append(column)
    return fitting[0] if len(fitting) == 1 else None


def _rows(column: Column, desc: TensorDesc, file: str | None) -> tuple[Column, int]:
    """A column whose rows are the samples, and how many of them a run takes."""
    shape, wanted = column.shape, desc.shape
    if shape[1:] == wanted and len(shape) == len(wanted) + 1:
        return column, 1
    if wanted and shape[1:] == wanted[1:] and len(shape) == len(wanted):
        return column, wanted[0]
    if wanted and wanted[0] == 1 and shape == wanted[1:]:
        array = None if column.array is None else column.array[None]
        return replace(column, shape=(1, *shape), array=array), 1
    listed = ", ".join(map(str, wanted))
    raise FuriosaError(
        f"the input '{desc.name}' takes [{listed}], and the array has shape {list(shape)}",
        file=file,
        hint="its first axis counts samples",
    )


def _check_type(column: Column, desc: TensorDesc, file: str | None) -> None:
    """Whether elements of the column may become the input's: real numbers no integers.

    Raises:
        FuriosaError: they may not.
    """
    given, wanted = column.dtype, desc.numpy_dtype
    if given.kind not in "biuf" or (given.kind == "f" and wanted.kind in "biu"):
        hint = None
        if given.kind == "f" and desc.scale:
            hint = f"quantise them: x / {desc.scale:g} + {desc.zero_point}, rounded"
        raise FuriosaError(
            f"the input '{desc.name}' takes {wanted}, and the array is of {given}",
            file=file,
            hint=hint,
        )


def _converted(row: Array, desc: TensorDesc, part: Part, at: int) -> Array:
    """A row in the input's type.

    Raises:
        FuriosaError: it has a NaN, an infinity, or a number beyond the type.
    """
    file = None if part.file is None else str(part.file)
    wanted = desc.numpy_dtype
    with np.errstate(over="ignore", invalid="ignore"):
        converted = row.astype(wanted)
    if row.dtype.kind == "f" and not np.isfinite(converted).all():
        raise FuriosaError(
            f"sample {at} of the input '{desc.name}' has a NaN or an infinity", file=file
        )
    beyond = row.dtype.kind in "iu" and wanted.kind in "iu" and not np.array_equal(converted, row)
    if beyond:
        raise FuriosaError(
            f"sample {at} of the input '{desc.name}' has numbers that {wanted} does not hold",
            file=file,
        )
    return converted
