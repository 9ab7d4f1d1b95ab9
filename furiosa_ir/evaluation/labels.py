"""What each sample of a validation set is: numbers of classes, or arrays for a metric."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from furiosa_ir.arrays import array_files
from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.evaluation.columns import (
    Column,
    Rows,
    column_of,
    columns_of,
    failures_of,
    is_array_file,
)
from furiosa_ir.evaluation.samples import Data, Samples
from furiosa_ir.input_files import open_input
from furiosa_ir.limits import limit, way_out
from furiosa_ir.numerics.array import Array

LabelSource = str | Path | Array | Sequence[int]
"""A text or array file, the name of an array of the data's own files, or the labels themselves."""


@dataclass(frozen=True)
class Labels:
    """The labels of a validation set.

    Attributes:
        columns: an entry along the first axis for each sample; several, one behind the other, where
            each of the data's files has its own.
        file: that they are from; None: they are given.
    """

    columns: tuple[Column, ...]
    file: str | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(column.count if column.shape else 1 for column in self.columns)

    def classes(self) -> list[int]:
        """The number of each sample's class.

        Raises:
            FuriosaError: they are no whole numbers, one a sample.
        """
        found: list[int] = []
        for column in self.columns:
            if column.dtype.kind not in "iu" or column.shape[1:] not in ((), (1,)):
                raise FuriosaError(
                    f"the labels are {column.dtype}{list(column.shape)}, no whole number for each "
                    "sample",
                    file=str(column.file or self.file),
                )
            found += cast("list[int]", column.whole().reshape(-1).tolist())
        return found

    def read(self, wanted: Iterable[int]) -> Generator[Any]:
        """The entry of each of some samples: a Python number, or an array.

        Args:
            wanted: their numbers, rising.
        """
        columns = iter(self.columns)
        column, first = next(columns), 0
        with ExitStack() as stack:
            rows: Rows | None = None
            for index in wanted:
                while index >= first + column.count:
                    stack.close()
                    rows, first = None, first + column.count
                    column = next(columns)
                if rows is None:
                    rows = stack.enter_context(column.opened())
                row = rows(index - first, index - first + 1)[0]
                yield row.item() if np.ndim(row) == 0 else row

    def fingerprint(self) -> str:
        """Of files' sizes and times, or of the numbers."""
        digest = hashlib.sha256()
        for column in self.columns:
            if column.file is not None:
                digest.update(f"{column.member} {column.state}\n".encode())
            else:
                whole = np.ascontiguousarray(column.whole())
                digest.update(f"{whole.dtype} {whole.shape}\n".encode() + whole.data)
        return digest.hexdigest()


def inner_name(labels: LabelSource, data: Data) -> str | None:
    """The name of an array of the data's files that the labels are; None: they are elsewhere.

    Raises:
        FuriosaError: there is neither such an array nor such a file.
    """
    if not isinstance(labels, str) or not isinstance(data, str | Path) or Path(labels).exists():
        return None
    there = columns_of(array_files(Path(data))[0])
    if labels in there:
        return labels
    raise FuriosaError(
        f"the labels '{readable(labels)}' are neither a file nor an array of the data",
        hint=f"the arrays are {', '.join(map(repr, there))}",
    )


def open_labels(labels: LabelSource, data: Data, samples: Samples) -> Labels:
    """The labels of samples.

    Args:
        labels: see `LabelSource`.
        data: what the samples are of.
        samples: the samples.

    Raises:
        FuriosaError: they cannot be read, or are not as many as the samples.
    """
    found = _found(labels, data, samples)
    is_list = all(column.shape for column in found.columns)
    if not is_list or found.count != samples.count:
        there, wanted = _are(found.count, "label"), samples.count
        raise FuriosaError(
            f"there {there} for {wanted} sample{'s' * (wanted != 1)}", file=found.file
        )
    return found


def _are(count: int, what: str) -> str:
    return f"is 1 {what}" if count == 1 else f"are {count} {what}s"


def _found(labels: LabelSource, data: Data, samples: Samples) -> Labels:
    if not isinstance(labels, str | Path):
        try:
            return Labels((column_of(np.asarray(labels)),))
        except (ValueError, TypeError):
            raise FuriosaError("the labels are no numbers, one for each sample") from None
    inner = inner_name(labels, data)
    if inner is not None:
        assert isinstance(data, str | Path)
        return Labels(tuple(_named(file, inner) for file in array_files(Path(data))), str(data))
    path = Path(labels)
    if not is_array_file(path):
        return Labels((column_of(_of_text(path, samples.file_names())),), str(path))
    columns = columns_of(path)
    if len(columns) != 1 and "labels" not in columns:
        raise FuriosaError(
            "which of its arrays are the labels is unknown",
            file=str(path),
            hint=f"call one 'labels'; there are {', '.join(map(repr, columns)) or 'none'}",
        )
    return Labels((columns.get("labels") or next(iter(columns.values())),), str(path))


def _named(file: Path, name: str) -> Column:
    columns = columns_of(file)
    if name not in columns:
        raise FuriosaError(f"there is no array '{name}', the labels", file=str(file))
    return columns[name]


def _of_text(path: Path, names: Sequence[str] | None) -> Array:
    """The numbers of a text: a line each, or NAME NUMBER, of samples' files in any order.

    Raises:
        FuriosaError: a line is something else, or a file has none.
    """
    with failures_of(path), open_input(path) as stream:
        data = stream.read(limit("TEXT_BYTES") + 1)
    if len(data) > limit("TEXT_BYTES"):
        raise FuriosaError("is too long for labels", file=str(path), hint=way_out("TEXT_BYTES"))
    ordered: list[int] = []
    named: dict[str, int] = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        label = words[-1]
        if len(words) > 2 or not label.lstrip("-").isascii() or not label.lstrip("-").isdigit():
            raise FuriosaError(
                f"'{readable(line, 80)}' is no label",
                file=f"{path}:{number}",
                hint="a line is the number of a class, or the name of a file and that number",
            )
        ordered.append(_number(label, f"{path}:{number}"))
        if len(words) == 2:
            named[Path(words[0]).stem] = ordered[-1]
    if named and names is not None:
        missing = next((name for name in names if name not in named), None)
        if missing is not None:
            raise FuriosaError(f"there is no label for '{readable(missing)}'", file=str(path))
        ordered = [named[name] for name in names]
    return np.array(ordered, np.int64)


def _number(text: str, where: str) -> int:
    if len(text) > 18:
        raise FuriosaError("the number of a class has more than 18 digits", file=where)
    return int(text)
