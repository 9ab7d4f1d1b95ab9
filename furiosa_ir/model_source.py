"""What users give as a model: a path, a file's content, an open file, an `onnx.ModelProto`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, SupportsBytes, cast

from furiosa_ir.errors import ImportFailure


class BinaryFile(Protocol):
    """A file that is open for reading bytes: `io.BytesIO`, `open(path, "rb")`, ..."""

    def read(self) -> bytes:
        """What is left of it."""
        ...


class ModelMessage(Protocol):
    """A protocol buffer; of them all, `onnx.ModelProto` is a model."""

    DESCRIPTOR: Any

    def SerializeToString(self) -> bytes:  # noqa: N802
        """The content of its file."""
        ...


Source = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryFile
    | ModelMessage
    | SupportsBytes
)
"""A path, or the content of a file: a program, ONNX, TFLite or IR text."""

_TAKEN = "give a path, bytes, a file that is open in binary mode, or an onnx.ModelProto"


def model_source(model: object) -> Path | bytes:
    """A path, or the content of a model's file.

    Buffers that may be written to are copied, as programs refer to their constants where they lie.
    A file is read from where it stands.

    Raises:
        ImportFailure: it is no model, or cannot be read.
    """
    if isinstance(model, bytes):
        return model
    if isinstance(model, str | os.PathLike):
        return Path(_path(cast("str | os.PathLike[str]", model)))
    if isinstance(model, bytearray | memoryview):
        return _content(cast("bytearray", model), bytes)
    if callable(getattr(model, "read", None)) and not isinstance(model, type):
        content = _content(model, _read)
        if not content:
            raise ImportFailure("nothing is left to read in the file", hint="seek(0) first")
        return content
    if isinstance(model, SupportsBytes) and not isinstance(model, type):  # a program, say
        return _content(model, bytes)
    descriptor = getattr(model, "DESCRIPTOR", None)
    if getattr(descriptor, "full_name", None) == "onnx.ModelProto" and not isinstance(model, type):
        return _content(model, _serialized)
    raise ImportFailure(f"a model cannot be of type {type(model).__name__}", hint=_TAKEN)


def _path(model: str | os.PathLike[str]) -> str:
    try:
        return os.fsdecode(model)
    except Exception as error:  # `__fspath__` of any class
        kind, reason = type(model).__name__, str(error) or type(error).__name__
        raise ImportFailure(f"the {kind} is no path: {reason}", hint=_TAKEN) from error


def _read(model: Any) -> Any:
    return model.read()


def _serialized(model: Any) -> Any:
    return model.SerializeToString()


def _content(model: object, read: Any) -> bytes:
    kind = type(model).__name__
    try:
        content = read(model)
    except Exception as error:  # files and buffers of any kind raise what they like
        if kind == "ModelProto":
            raise ImportFailure(
                "the ModelProto cannot be serialised: it may be larger than 2 GiB",
                hint="save it with external data and give the path",
            ) from error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImportFailure(
            f"the {kind} cannot be read: {reason[:1].lower()}{reason[1:]}", hint=_TAKEN
        ) from error
    if isinstance(content, bytearray | memoryview):
        content = bytes(cast("bytearray", content))
    if not isinstance(content, bytes):
        raise ImportFailure(
            f"reading the {kind} gives {type(content).__name__}, not bytes", hint=_TAKEN
        )
    return content
