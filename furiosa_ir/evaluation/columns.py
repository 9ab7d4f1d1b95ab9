"""Arrays that are read along their first axis, so that no more than some rows are in memory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from furiosa_ir.arrays import UNSOUND, ArrayHeader, read_header
from furiosa_ir.errors import FuriosaError
from furiosa_ir.input_files import open_input
from furiosa_ir.limits import limit, way_out
from furiosa_ir.numerics.array import Array

_NPY, _ZIP = b"\x93NUMPY", b"PK"
UNNAMED = "arr_0"
"""What the array of an .npy file is called."""

Rows = Callable[[int, int], Array]
"""The rows from one number up to another."""


@dataclass(frozen=True)
class Column:
    """An array, of which rows are read.

    Attributes:
        shape: its extents.
        dtype: of its elements.
        file: that it is in; None: it is `array`.
        member: of an .npz file; None: it is an .npy file.
        offset: bytes in front of its elements.
        state: of the file when its header was read; see `state_of`.
        array: the array, where it is in memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    file: Path | None = None
    member: str | None = None
    offset: int = 0
    state: str = ""
    array: Array | None = field(default=None, repr=False, compare=False)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    def whole(self) -> Array:
        """All of it: of one that is small.

        Raises:
            FuriosaError: as `opened`.
        """
        with self.opened() as rows:
            return rows(0, self.count)

    @contextmanager
    def opened(self) -> Generator[Rows]:
        """What reads rows; forwards costs least.

        Raises:
            FuriosaError: the file cannot be read, or is damaged.
        """
        array = self.array
        if array is not None:
            yield lambda start, stop: array[start:stop]
            return
        file = self.file
        assert file is not None
        size = prod(self.shape[1:]) * self.dtype.itemsize
        with ExitStack() as stack:
            with failures_of(file):
                stream: Any = stack.enter_context(open_input(file))
                if state_of(stream) != self.state:
                    raise FuriosaError("it has changed since it was looked at", file=str(file))
                if self.member is not None:
                    archive = stack.enter_context(zipfile.ZipFile(stream))
                    stream = stack.enter_context(archive.open(self.member))

            def read(start: int, stop: int) -> Array:
                _require_room((stop - start) * size, file)
                with failures_of(file):
                    stream.seek(self.offset + start * size)
                    data = _exactly(stream, (stop - start) * size)
                return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

            yield read


def _require_room(size: int, file: Path) -> None:
    """Compares what an archive claims with what may be in memory at once."""
    if size > limit("EXPANDED_BYTES"):
        raise FuriosaError(
            f"{size} bytes of it are needed at once", file=str(file), hint=way_out("EXPANDED_BYTES")
        )


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


@contextmanager
def failures_of(file: Path) -> Generator[None]:
    """Makes a sentence of what goes wrong with an array file.

    Raises:
        FuriosaError: something does.
    """
    try:
        yield
    except FuriosaError:
        raise
    except OSError as error:
        reason = error.strerror or "not an .npz or .npy file"
        raise FuriosaError(f"cannot be read: {reason}", file=str(file)) from None
    except UNSOUND as error:
        reason = "it is damaged, or not an .npz or .npy file"
        if "pickle" in str(error):
            reason = "it holds Python objects"
        raise FuriosaError(f"cannot be read: {reason}", file=str(file)) from None


def is_array_file(path: Path) -> bool:
    """Whether a file begins as .npy or .npz files do.

    Raises:
        FuriosaError: it cannot be read.
    """
    with failures_of(path), open_input(path) as stream:
        return stream.read(6).startswith((_NPY, _ZIP))


def state_of(stream: IO[bytes]) -> str:
    """Of an open file: its size and the time of its last change, which tell it from another."""
    state = os.fstat(stream.fileno())
    return f"{state.st_size} {state.st_mtime_ns}"


def columns_of(path: Path) -> dict[str, Column]:
    """The arrays of an .npz or .npy file by name; their headers are read, and no elements.

    Raises:
        FuriosaError: it cannot be read, is no such file, holds Python objects, or an array of it
            has its first axis innermost (Fortran's order), so that rows are nowhere together.
    """
    with failures_of(path), open_input(path) as stream:
        size, state = os.fstat(stream.fileno()).st_size, state_of(stream)
        if stream.read(6) == _NPY:
            stream.seek(0)
            return {UNNAMED: _column(path, None, stream, size, state)}
        stream.seek(0)
        found: dict[str, Column] = {}
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                with archive.open(member) as data:
                    name = member.filename.removesuffix(".npy")
                    found[name] = _column(path, member.filename, data, member.file_size, state)
        return found


def _column(path: Path, member: str | None, stream: IO[bytes], size: int, state: str) -> Column:
    header: ArrayHeader = read_header(stream, size)
    if header.is_fortran and len(header.shape) > 1:
        what = "the array" if member is None else f"'{member.removesuffix('.npy')}'"
        raise FuriosaError(
            f"{what} is in Fortran's order, and cannot be read sample by sample",
            file=str(path),
            hint="save numpy.ascontiguousarray of it",
        )
    offset = stream.tell()
    if offset + prod(header.shape) * header.dtype.itemsize > size:
        raise EOFError
    return Column(header.shape, header.dtype, path, member, offset, state)


def column_of(array: Array) -> Column:
    """A column of an array in memory."""
    return Column(array.shape, array.dtype, array=array)
