"""ONNX models with a tensor that lies in another file, wherever a tensor can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import TensorProto

_DEEPEST = 8
"""Fields from the model to the tensor: into functions, subgraphs of their nodes, sparse tensors."""

INITIALIZER = "graph.initializer"
"""The one place where external data may be."""


def places() -> list[str]:
    """The ways from a model to a tensor, as ONNX's own protobuf schema has them."""
    return [".".join(path) for path in _paths(onnx.ModelProto.DESCRIPTOR, (), {})]


def _paths(kind: Any, path: tuple[str, ...], met: dict[str, int]) -> Iterator[tuple[str, ...]]:
    if kind.name == "TensorProto":
        yield path
        return
    if len(path) == _DEEPEST or met.get(kind.name, 0) == 2:  # a subgraph, and not one in it
        return
    inside = met | {kind.name: met.get(kind.name, 0) + 1}
    for field in kind.fields:
        if field.message_type is not None:
            yield from _paths(field.message_type, (*path, field.name), inside)


def put(model: onnx.ModelProto, place: str, location: str, count: int = 8) -> TensorProto:
    """Adds an f32 tensor [count] at a place, whose elements are at the start of a file."""
    message: Any = model
    for name in place.split("."):
        field = message.DESCRIPTOR.fields_by_name[name]
        held = getattr(message, name)
        if type(held).__name__.startswith("Repeated"):
            message = held.add()
        else:
            held.SetInParent()
            message = held
        if field.message_type.name == "AttributeProto":
            message.name = "extra"
    message.name, message.data_type, message.data_location = "lies elsewhere", 1, 1
    message.dims.append(count)
    entry = message.external_data.add()
    entry.key, entry.value = "location", location
    return message
