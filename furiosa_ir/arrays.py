"""Arrays in files: .npz (or one array as .npy), never with pickled objects."""

from __future__ import annotations

import io
import logging
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from lzma import LZMAError
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from furiosa_ir.errors import FuriosaError, readable
from furiosa_ir.files import write_whole
from furiosa_ir.input_files import open_input
from furiosa_ir.limits import limit, way_out
from furiosa_ir.numerics.array import Array

_LOG = logging.getLogger(__name__)

ArraySource = str | Path | Array | Mapping[str, Array]
"""An .npz or .npy file, a folder of such files, an array, or arrays by the names of inputs."""

_SUFFIXES = (".npy", ".npz")
_IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
"""Of pictures, which nobody here decodes: who gives them is told what to do."""


def array_files(path: Path) -> list[Path]:
    """The file, or the array files of a folder in the order of their names.

    Raises:
        FuriosaError: the folder cannot be read, or holds none.
    """
    if not path.is_dir():
        return [path]
    try:
        files = sorted(p for p in path.iterdir() if p.is_file())
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(path)) from None
    arrays = [p for p in files if p.suffix.lower() in _SUFFIXES]
    if not arrays:
        if any(p.suffix.lower() in _IMAGE_SUFFIXES for p in files):
            raise FuriosaError(
                "the folder holds images, and how the network wants them scaled is unknown",
                file=str(path),
                hint="store them preprocessed, as .npy or .npz",
            )
        raise FuriosaError("the folder holds no .npy or .npz files", file=str(path))
    return arrays


def read_arrays(
    path: Path, wanted: Sequence[str] | None = None, most: int | None = None
) -> dict[str, Array]:
    """The arrays of a file by name; one of an .npy file, or an unnamed one, is called `arr_0`.

    What a header claims is compared with the bytes that are there before memory is taken for it.

    Args:
        path: an .npz or .npy file.
        wanted: only these are read, where the file has all of them; an archive's names are looked
            at before anything of it is unpacked.
        most: bytes that what is read may hold.

    Raises:
        FuriosaError: the file cannot be read, holds Python objects, lacks an array that is wanted
            (unless its arrays have no names), holds more than `most`, or expands beyond
            `EXPANDED_BYTES` of `furiosa_ir.limits`.
    """
    try:
        with open_input(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            magic = stream.read(6)
            stream.seek(0)
            if magic == _NPY:
                return {"arr_0": _read_array(stream, size)}
            with zipfile.ZipFile(stream) as archive:
                return _read_archive(archive, size, wanted, most)
    except FuriosaError as error:
        raise error.at(file=str(path)) from None
    except OSError as error:
        reason = error.strerror or "not an .npz or .npy file"
        raise FuriosaError(f"cannot be read: {reason}", file=str(path)) from None
    except UNSOUND as error:
        reason = "it holds Python objects" if "pickle" in str(error) else "not an .npz or .npy file"
        raise FuriosaError(f"cannot be read: {reason}", file=str(path)) from None


def require_readable(path: Path) -> None:
    """Checks that a file is there, a regular one, and may be read.

    Raises:
        FuriosaError: it is not.
    """
    try:
        open_input(path).close()
    except OSError as error:
        raise FuriosaError(f"cannot be read: {error.strerror}", file=str(path)) from None


_EXPANSION = 16
"""Times its own size that a compressed file may hold in any case: bzip2 and LZMA make gigabytes of
some hundred bytes."""
_NPY = b"\x93NUMPY"
UNSOUND = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, NotImplementedError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, TokenError, BadZipFile, zlib.error, LZMAError),
)
"""What zipfile, its decompressors and numpy's header parser raise."""


def _read_archive(
    archive: zipfile.ZipFile, size: int, wanted: Sequence[str] | None, most: int | None
) -> dict[str, Array]:
    """The arrays of an .npz file of that many bytes."""
    members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
    if wanted is not None:
        members = _chosen(members, wanted)
    unpacked = sum(member.file_size for member in members.values())
    if most is not None and unpacked > most:
        raise FuriosaError(
            f"its arrays hold {unpacked} bytes, more than the inputs",
            hint="give arrays of the inputs' shapes and types",
        )
    if unpacked > limit("EXPANDED_BYTES") + _EXPANSION * size:
        raise FuriosaError(
            f"its arrays hold {unpacked} bytes, the file has {size}",
            hint=way_out("EXPANDED_BYTES"),
        )
    arrays: dict[str, Array] = {}
    for name, member in members.items():
        with archive.open(member) as stream:
            # zipfile reads no more than the directory claims, so the sum above holds.
            arrays[name] = _read_array(stream, member.file_size)
    return arrays


def _chosen(
    members: Mapping[str, zipfile.ZipInfo], wanted: Sequence[str]
) -> dict[str, zipfile.ZipInfo]:
    """The members of those names, or all of a file without names."""
    if all(name in members for name in wanted):
        return {name: members[name] for name in wanted}
    if len(members) != len(wanted) or not all(name.startswith("arr_") for name in members):
        missing = next(name for name in wanted if name not in members)
        raise FuriosaError(
            f"there is no array for the input '{missing}'",
            hint=f"the file has {', '.join(members) or 'no arrays'}",
        )
    return dict(members)


class ArrayHeader(NamedTuple):
    """What stands in front of an array's elements.

    Attributes:
        shape: the extents.
        is_fortran: whether the first axis is the one that runs fastest.
        dtype: of the elements.
    """

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]


def read_header(stream: IO[bytes], size: int) -> ArrayHeader:
    """The header of the array in a stream of that many bytes, which stands behind it afterwards.

    Raises:
        ValueError: it is no array of numbers or text, or its header claims more than there is.
    """
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError("an unknown version")
    shape, is_fortran, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("pickled objects")
    if dtype.fields is not None or prod(shape) * dtype.itemsize > size or min(shape, default=0) < 0:
        raise ValueError("its header does not fit its data")
    return ArrayHeader(shape, is_fortran, dtype)


def _read_array(stream: IO[bytes], size: int) -> Array:
    """The array in a stream of that many bytes.

    Raises:
        ValueError: as `read_header`.
    """
    read_header(stream, size)
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, Any]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write_arrays(arrays: Iterable[tuple[str, Array]], path: Path) -> None:
    """Writes an .npz file, whole or not at all.

    `numpy.savez` takes names as keyword arguments, which an output called "file" breaks. Names come
    from networks: one that would lead out of the folder where somebody unpacks the archive, or that
    an archive cannot hold, is changed, with a warning.

    Raises:
        FuriosaError: the file cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        taken: set[str] = set()
        for name, array in arrays:
            member = _member(name, taken)
            if member != name:
                _LOG.warning("the array '%s' is stored as '%s'", readable(name), member)
            entry = zipfile.ZipInfo(f"{member}.npy")  # a fixed date: same arrays, same bytes
            with archive.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, _plain(array), allow_pickle=False)
    write_whole(buffer.getvalue(), path)


_LONGEST = 240
"""Bytes of a part of a member's name: `.npy` follows, and 255 are the most that a file may have."""


def _member(name: str, taken: set[str]) -> str:
    """What an array is called in an archive: a path that leads nowhere else, and that is new.

    `/` stays, which names of layers are full of.
    """
    parts = [_part(part) for part in name.split("/")]
    safe = unique = "/".join(part for part in parts if part) or "_"
    number = 2
    while unique.casefold() in taken:  # as file systems may see it
        unique = f"{safe}_{number}"
        number += 1
    taken.add(unique.casefold())
    return unique


def _part(part: str) -> str:
    part = "".join(c if c.isprintable() and c != "\\" else "_" for c in part)
    part = part.encode(errors="replace")[:_LONGEST].decode(errors="ignore")
    return "_" * len(part) if part in (".", "..") else part


def _plain(array: Array) -> Array:
    """The array in a dtype that numpy can read again without pickling."""
    if array.dtype.kind == "O":  # text
        return array.astype(str)
    if array.dtype.isbuiltin == 2:  # of ml_dtypes: float32 holds all of their values
        return array.astype(np.float32)
    return array
