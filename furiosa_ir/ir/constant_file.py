"""The safetensors file beside text IR: constants by digest, written in order, read by mapping.

Written and read here rather than by the safetensors package, which wants all tensors in memory at
once, copies what it reads, and knows no dtype of `ml_dtypes` but bfloat16. Files are ordinary
safetensors files; nothing in one is ever executed.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from furiosa_ir.errors import ImportFailure
from furiosa_ir.files import whole_file
from furiosa_ir.input_files import open_input
from furiosa_ir.ir.constants import Constant, ConstantTable, StoredConstant
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_NAME, ELEMENT_TYPES

_SAFETENSORS_NAME = {e.name: e.safetensors for e in ELEMENT_TYPES if e.safetensors is not None}
"""Those of other dtypes are stored as bytes (U8), with "dtype:shape" in the metadata."""
_ELEMENT_TYPES = {name: BY_NAME[dtype] for dtype, name in _SAFETENSORS_NAME.items()}

_MAX_HEADER = 100 << 20
_DATA_ALIGNMENT = 64


def write_constants(constants: Iterable[Constant], path: Path) -> None:
    """Writes the constants, each under its digest, whole or not at all.

    The same constants give the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    with whole_file(path) as file:
        for chunk in constant_chunks(constants):
            file.write(chunk)


def constant_chunks(constants: Iterable[Constant]) -> Iterator[bytes | memoryview]:
    """The bytes of a file of these constants, piece by piece.

    Wider elements come first, so that every tensor is aligned to its element.
    """
    unique = {c.digest: c for c in constants}
    ordered = sorted(unique.items(), key=lambda kv: (-kv[1].dtype.itemsize, kv[0]))
    header: dict[str, object] = {}
    metadata: dict[str, str] = {}
    offset = 0
    for digest, constant in ordered:
        size = constant.size * constant.dtype.itemsize
        name = _SAFETENSORS_NAME.get(constant.dtype.name)
        shape: list[int] = list(constant.shape)
        if name is None:
            metadata[digest] = f"{constant.dtype.name}:{','.join(map(str, shape))}"
            name, shape = "U8", [size]
        header[digest] = {"dtype": name, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-(len(text) + 8) % _DATA_ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    for _, constant in ordered:
        # .data would copy nothing, but ml_dtypes offers no buffer; a view as bytes does.
        flat = np.ascontiguousarray(constant.array).reshape(-1)
        yield flat.view(np.uint8).data


def read_constants(path: Path, table: ConstantTable | None = None) -> ConstantTable:
    """Maps the file's tensors; none is read before it is used.

    Returns:
        `table`, or a new one, with them added.

    Raises:
        ImportFailure: the file is not a sound safetensors file.
        OSError: it cannot be read.
    """
    with open_input(path) as file:
        length = os.fstat(file.fileno()).st_size
        if length < 8:
            raise ImportFailure("is too short for a safetensors file", file=str(path))
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return constants_of(data, table, file=str(path))
    except ImportFailure as error:
        raise error.at(file=str(path)) from None


def constants_of(
    data: memoryview, table: ConstantTable | None = None, *, file: str | None = None
) -> ConstantTable:
    """The tensors of a safetensors file's content, as views of it.

    Each is compared with its digest when its elements are first needed.

    Returns:
        `table`, or a new one, with them added.

    Raises:
        ImportFailure: the content is not sound.
    """
    table = ConstantTable() if table is None else table

    def refusal(constant: Constant) -> ImportFailure:
        return ImportFailure(
            f"the constant {constant.digest[:16]} ({constant.dtype.name}"
            f"{list(constant.shape)}) is not what its name says: the file was damaged or edited",
            file=file,
            layer=table.layer_of(constant),
            hint="write text and constants again, with furiosa compile --target-ir or furiosa-opt",
        )

    try:
        for digest, array in _tensors(data):
            table.add(StoredConstant(array, digest, refusal))
    except RecursionError:
        cause = "it is nested too deeply"
        raise ImportFailure(f"is not a sound safetensors file: {cause}", file=file) from None
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ImportFailure(f"is not a sound safetensors file: {error}", file=file) from None
    return table


def _tensors(data: memoryview) -> Iterator[tuple[str, Array]]:
    begin = 8 + int.from_bytes(data[:8], "little")
    if begin > min(len(data), _MAX_HEADER):
        raise ValueError("its header is longer than the file")
    header = cast("dict[str, Any]", json.loads(bytes(data[8:begin])))
    metadata = header.pop("__metadata__", {})
    for digest, entry in header.items():
        yield digest, _map(data[begin:], entry, metadata.get(digest))


def _map(data: memoryview, entry: dict[str, Any], other: str | None) -> Array:
    first, last = entry["data_offsets"]
    shape = [int(n) for n in entry["shape"]]
    element = _ELEMENT_TYPES[entry["dtype"]]
    if other is not None:
        name, _, extents = other.partition(":")
        if name not in BY_NAME:
            raise ValueError(f"unknown dtype '{name}'")
        element = BY_NAME[name]
        shape = [int(n) for n in extents.split(",") if n]
    check_shape(shape, "a constant")
    dtype = element.dtype
    size = dtype.itemsize
    for extent in shape:
        if extent < 0:
            raise ValueError("a negative extent")
        size *= extent
    if not 0 <= first <= last <= len(data) or last - first != size:
        raise ValueError("a tensor lies outside the file or has the wrong size")
    return np.frombuffer(data[first:last], np.uint8).view(dtype).reshape(shape)
