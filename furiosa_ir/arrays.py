"""Arrays in files: .npz (or one array as .npy), never with pickled objects; files written whole."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

from furiosa_ir.errors import FuriosaError

Array = np.ndarray[Any, np.dtype[Any]]


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file by name; one of an .npy file, or an unnamed one, is called `arr_0`.

    Raises:
        FuriosaError: the file cannot be read, or holds Python objects.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(6)
        if magic != b"\x93NUMPY" and magic[:2] != b"PK":
            raise FuriosaError("cannot be read: not an .npz or .npy file", file=str(path))
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"arr_0": cast("Array", loaded)}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        reason = error.strerror or "not an .npz or .npy file"
        raise FuriosaError(f"cannot be read: {reason}", file=str(path)) from None
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        reason = "it holds Python objects" if "pickle" in str(error) else "not an .npz or .npy file"
        raise FuriosaError(f"cannot be read: {reason}", file=str(path)) from None


def write_arrays(arrays: Iterable[tuple[str, Array]], path: Path) -> None:
    """Writes an .npz file, whole or not at all.

    `numpy.savez` takes names as keyword arguments, which an output called "file" breaks.

    Raises:
        FuriosaError: the file cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays:
            entry = zipfile.ZipInfo(f"{name}.npy")  # a fixed date: same arrays, same bytes
            with archive.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, _plain(array), allow_pickle=False)
    write_whole(buffer.getvalue(), path)


def _plain(array: Array) -> Array:
    """The array in a dtype that numpy can read again without pickling."""
    if array.dtype.kind == "O":  # text
        return array.astype(str)
    if array.dtype.isbuiltin == 2:  # of ml_dtypes: float32 holds all of their values
        return array.astype(np.float32)
    return array


def write_whole(data: bytes | memoryview, path: Path) -> None:
    """Writes a file by renaming a complete one, so that nobody ever sees half of it.

    Raises:
        FuriosaError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise FuriosaError(f"cannot be written: {error.strerror}", file=str(path)) from None


def check_writable(path: Path) -> None:
    """Whether a file can be written there, before anything expensive is done for it.

    Raises:
        FuriosaError: it is a directory, or its directory is missing or read only.
    """
    folder = path.parent
    reason = None
    if path.is_dir():
        reason = "it is a directory"
    elif not folder.is_dir():
        reason = f"there is no directory {folder}"
    elif not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        reason = "permission denied"
    if reason is not None:
        raise FuriosaError(f"cannot be written: {reason}", file=str(path))
