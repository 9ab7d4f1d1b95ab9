"""External data: tensors of an ONNX model that lie in files beside it."""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
import sys
import weakref
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.errors import ImportFailure
from furiosa_ir.input_files import bytes_on_disk
from furiosa_ir.limits import limit, way_out
from furiosa_ir.numerics.array import Array

_NO_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""A FIFO in place of a file is opened without waiting, and refused."""

_FREE = 16 << 20
"""Bytes that tensors may hold whatever the files hold."""


class ExternalData:
    """The files beside a model, each mapped once, however many tensors lie in it.

    A mapping holds no descriptor: a model may have more files than a process may have open.
    Thousands of tensors may share some bytes of one file, or lie in a hole of it: how much all of
    them hold is counted (`SHARES` of `furiosa_ir.limits`), for each becomes a constant, a part of
    the program and more.

    Args:
        folder: where they may lie; None for a model given as bytes, which can have none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._by_location: dict[str, Array] = {}
        self._by_identity: dict[tuple[int, int], Array] = {}
        self._left = _FREE
        self._uncounted = 0

    def elements(self, tensor: Any, dtype: np.dtype[Any]) -> Array:
        """The elements of a tensor, where they lie.

        Args:
            tensor: a `TensorProto` with external data.
            dtype: of its elements.

        Raises:
            ImportFailure: they are not there; the sentence says what is wrong with which file.
        """
        name, shape = str(tensor.name), tuple(int(n) for n in tensor.dims)
        entries = {str(e.key): str(e.value) for e in tensor.external_data}
        location = entries.get("location", "")
        size = prod(shape) * dtype.itemsize
        try:
            offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(size)))
        except ValueError:
            raise ImportFailure(
                f"the tensor '{name}' has an external offset or length that is no number"
            ) from None
        data = self._by_location.get(location)
        if data is None:
            data = self._by_location[location] = self._open(location, name)
        if length != size or offset < 0 or offset + size > data.size:
            raise ImportFailure(
                f"the external data '{location}' does not hold the {size} bytes of the tensor "
                f"'{name}'"
            )
        self._left -= size
        if self._left < 0:
            raise ImportFailure(
                f"the tensors up to '{name}' hold more than {limit('SHARES')} times what their "
                "external files have on the disk",
                hint=way_out("SHARES"),
            )
        if size == 0:
            return np.zeros(shape, dtype)
        return data[offset : offset + size].view(dtype.newbyteorder("<")).reshape(shape)

    def count_once(self, size: int) -> int:
        """How many of a tensor's bytes are the files' own, as far as no tensor before had them.

        Args:
            size: of a tensor whose `elements` were asked for.
        """
        count = min(size, self._uncounted)
        self._uncounted -= count
        return count

    def _open(self, location: str, name: str) -> Array:
        """The bytes of a file."""
        if self._folder is None:
            raise ImportFailure(
                f"the tensor '{name}' lies in the external file '{location}', which a model given "
                "as bytes cannot have",
                hint="give the model's path, or save it with its data inside",
            )
        try:
            path = (self._folder / location).resolve()
            is_inside = bool(location) and path.is_relative_to(self._folder.resolve())
            state = path.stat() if is_inside else None
        except (OSError, ValueError, RuntimeError):  # not there, or a name that cannot be
            is_inside, state, path = True, None, self._folder
        if not is_inside:
            raise ImportFailure(
                f"the tensor '{name}' lies in '{location}', outside of the model's folder",
                hint="external data must lie beside or below the model",
            )
        if state is None or not stat.S_ISREG(state.st_mode):
            raise ImportFailure(
                f"the external data '{location}' of the tensor '{name}' is missing",
                hint="keep it beside the model",
            )
        try:
            handle = os.open(path, _NO_FILE)
            try:
                state = os.fstat(handle)
                identity = (state.st_dev, state.st_ino)
                if identity not in self._by_identity:
                    there = bytes_on_disk(handle, state.st_size)
                    self._left += limit("SHARES") * there
                    self._uncounted += there
                    self._by_identity[identity] = _mapped(handle, state.st_size)
                return self._by_identity[identity]
            finally:
                os.close(handle)
        except OSError as error:
            raise ImportFailure(
                f"the external data '{location}' of the tensor '{name}' cannot be read: "
                f"{error.strerror or error}"
            ) from error


def _mapped(handle: int, size: int) -> Array:
    """The bytes of an open file, which may be closed then; they cannot be written to.

    Raises:
        OSError: it cannot be mapped.
    """
    if size == 0:
        return np.zeros(0, np.uint8)
    if sys.version_info >= (3, 13):
        return np.frombuffer(
            mmap.mmap(handle, size, access=mmap.ACCESS_READ, trackfd=False), np.uint8
        )
    # Before, `mmap.mmap` keeps a duplicate of the descriptor, which it needs for resizing.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *3 * [ctypes.c_int], ctypes.c_int64]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, handle, 0)
    if address == ctypes.c_void_p(-1).value:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    memory = (ctypes.c_char * size).from_address(address)
    # At the interpreter's end, arrays of it may still be in use.
    weakref.finalize(memory, libc.munmap, address, size).atexit = False
    return np.frombuffer(memoryview(memory).toreadonly(), np.uint8)
