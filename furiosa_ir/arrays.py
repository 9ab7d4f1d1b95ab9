"""Arrays in files: .npz (or one array as .npy), never with pickled objects."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import write_whole

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
