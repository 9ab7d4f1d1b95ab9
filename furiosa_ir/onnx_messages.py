"""Every message of an ONNX model, wherever it is, and whether a model is complete in itself.

What can hold a message is read from protobuf's descriptors: a list of fields made by hand forgets
one (sparse tensors, functions, what the next version of ONNX brings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from furiosa_ir.errors import FormatFailure

_ORT = b"ORTM"
"""Bytes 4 to 7 of a model in onnxruntime's own format, which is no protobuf."""


_PROSE = frozenset(["doc_string", "metadata_props"])
"""Fields that nobody but people read."""

Fields = Sequence[tuple[str, bool]]
"""Names of fields, and whether each is repeated."""


@lru_cache(maxsize=256)
def fields_of(kind: type[Any]) -> tuple[Fields, Fields]:
    """The fields of a class of messages that hold text, and those that hold other messages."""
    found = [(f, bool(_is_repeated(f))) for f in kind.DESCRIPTOR.fields if f.name not in _PROSE]
    text = tuple((str(f.name), r) for f, r in found if f.type == f.TYPE_STRING)
    inner = tuple((str(f.name), r) for f, r in found if f.type == f.TYPE_MESSAGE)
    return text, inner


def _is_repeated(field: Any) -> Any:
    repeated = getattr(field, "is_repeated", None)  # since protobuf 30, where `label` warns
    return field.label == field.LABEL_REPEATED if repeated is None else repeated


def inner_messages(message: Any) -> list[Any]:
    """The messages that a message holds directly, in no order that means anything."""
    found: list[Any] = []
    for name, repeated in fields_of(message.__class__)[1]:
        if repeated:
            found += getattr(message, name)
        elif message.HasField(name):
            found.append(getattr(message, name))
    return found


def external_tensors(message: Any) -> Iterator[Any]:
    """Every `TensorProto` in a message whose data lies outside of it."""
    pending = [message]
    while pending:
        one = pending.pop()
        if one.DESCRIPTOR.name == "TensorProto" and (one.data_location or one.external_data):
            yield one
        pending.extend(inner_messages(one))


def check_complete(model: bytes | memoryview) -> None:
    """Checks that a serialised model holds all of its data.

    onnxruntime looks for data outside of a model that it is given as bytes below the current
    directory, or (by a name of its own) at any address of the process.

    Raises:
        FormatFailure: a tensor has external data; or the bytes may have some, and are no
            `ModelProto`.
    """
    if bytes(model[4:8]) == _ORT:
        raise FormatFailure("it is a model in onnxruntime's own format, not an ONNX model")
    # Each external tensor has an entry with this key. Most models need no parsing.
    if re.search(b"location", model) is None:
        return
    import onnx  # noqa: PLC0415  # 0.1 s, for these models only
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        proto = onnx.ModelProto.FromString(bytes(model))
    except DecodeError:
        raise FormatFailure("it is not an ONNX model") from None
    tensor: Any = next(external_tensors(proto), None)
    if tensor is not None:
        raise FormatFailure(f"the tensor '{tensor.name}' of an ONNX model lies in another file")
