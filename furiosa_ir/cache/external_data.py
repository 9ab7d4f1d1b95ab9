"""Which bytes of other files an ONNX model's tensors lie in."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from math import prod
from mmap import mmap
from pathlib import Path
from typing import Any

_READ = 1 << 20
_BYTES = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 1),
    **dict.fromkeys((4, 5, 10, 16), 2),
    **dict.fromkeys((1, 6, 12), 4),
    **dict.fromkeys((7, 11, 13, 14), 8),
    15: 16,
}
"""Of an element, by the code of its type (onnx.proto); elements that share bytes, and text, cannot
lie in other files."""


def external_locations(model: bytes | mmap) -> list[str] | None:
    """The locations of a model's external data, each once, in order of their names.

    Args:
        model: an ONNX file's bytes, with external data or without.

    Returns:
        Paths relative to the model's folder; None if the bytes are no ONNX model.
    """
    try:
        return sorted({entries["location"] for _, entries in _external_tensors(model)})
    except ValueError:
        return None


def external_ranges(model: bytes | mmap) -> dict[str, list[tuple[int, int]]]:
    """Location -> (begin, end) of each tensor that lies there, in bytes.

    Args:
        model: an ONNX file's bytes, with external data or without.

    Raises:
        ValueError: the bytes are no ONNX model, or one with a tensor that no importer reads.
    """
    ranges: dict[str, list[tuple[int, int]]] = {}
    for tensor, entries in _external_tensors(model):
        width = _BYTES.get(int(tensor.data_type))
        extents = [int(extent) for extent in tensor.dims]
        begin = int(entries.get("offset", "0"))
        if width is None or begin < 0 or any(extent < 0 for extent in extents):
            raise ValueError("external data of an unknown size")
        # `length`, which may be left out, has to say the same.
        ranges.setdefault(entries["location"], []).append((begin, begin + prod(extents) * width))
    return ranges


def _external_tensors(model: bytes | mmap) -> Iterator[tuple[Any, dict[str, str]]]:
    """Tensors with the entries that say where they lie, `location` among them."""
    # Every external tensor has an entry with this key: most models need no parsing. Searching a
    # mapping backwards takes less than half the time.
    if model.rfind(b"location") < 0:
        return
    import onnx  # noqa: PLC0415  # 0.1 s, for these models only
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        proto: Any = onnx.ModelProto.FromString(bytes(model))
    except DecodeError:
        raise ValueError("no ONNX model") from None
    functions = (tensor for f in proto.functions for tensor in _of_nodes(f.node))
    for tensor in chain(_of_graph(proto.graph), functions):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entries = {str(entry.key): str(entry.value) for entry in tensor.external_data}
            if "location" in entries:
                yield tensor, entries


def external_digests(
    folder: Path, ranges: dict[str, list[tuple[int, int]]]
) -> list[tuple[str, str]]:
    """(location, digest of the bytes that tensors use of it), in order of their names.

    A file is read once under whatever names it has, and each byte of it once, however many
    tensors share it. What no tensor uses can change no program, whatever size it has.

    Args:
        folder: the model's, below which the files must be.
        ranges: what `external_ranges` gives.

    Raises:
        OSError: a file cannot be read.
        ValueError: one is no file below the folder, or ends before a tensor does.
    """
    folder = folder.resolve()
    files: dict[tuple[int, int], tuple[Path, os.stat_result]] = {}
    used: dict[tuple[int, int], list[tuple[int, int]]] = {}
    identities: dict[str, tuple[int, int]] = {}
    for location, places in ranges.items():
        state = (folder / location).stat()  # first: resolving a loop of links is a RuntimeError
        path = (folder / location).resolve()
        if not path.is_relative_to(folder) or not stat.S_ISREG(state.st_mode):
            raise ValueError(f"{path} is no file beside the model")
        identity = identities[location] = (state.st_dev, state.st_ino)
        files[identity] = (path, state)
        used.setdefault(identity, []).extend(places)
    digests = {
        identity: _digest(path, state.st_size, _merged(used[identity]))
        for identity, (path, state) in files.items()
    }
    return [(location, digests[identities[location]]) for location in sorted(ranges)]


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes as ranges that neither touch nor overlap, in order."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _digest(path: Path, size: int, ranges: list[tuple[int, int]]) -> str:
    """SHA-256 of where some bytes of a file are, and of themselves."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for begin, end in ranges:
            if end > size:
                raise ValueError(f"{path} ends before a tensor in it")
            digest.update(f"{begin} {end}\n".encode())
            file.seek(begin)
            left = end - begin
            while left:
                data = file.read(min(_READ, left))
                if not data:
                    raise ValueError(f"{path} was cut short")
                digest.update(data)
                left -= len(data)
    return digest.hexdigest()


def _of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (attribute.g, *attribute.graphs):
                yield from _of_graph(graph)
