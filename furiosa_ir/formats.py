"""What a file is: its content says it, never its suffix. Files are recognised here alone."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from furiosa_ir.backends import backend_of_content
from furiosa_ir.ir.text_format import is_ir_text

if TYPE_CHECKING:
    from furiosa_ir.plugin_source import Plugin

HEAD_BYTES = 1 << 16
"""Bytes of a file's beginning that tell what it is; comments may stand in front of text."""

TFLITE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of a TFLite file."""

_IR_VERSION = b"\x08"
"""What nearly every ONNX file begins with: the tag of its first field."""


class Format(Enum):
    """What a file may be."""

    ONNX = "onnx"
    TFLITE = "tflite"
    IR = "ir"
    PROGRAM = "program"


def recognise(head: bytes | memoryview, plugins: Sequence[Plugin] = ()) -> Format:
    """What a file is that begins with these bytes.

    ONNX has no mark of its own: it is what nothing else is, and may turn out to be nothing at all.

    Args:
        head: `HEAD_BYTES` of it, or all.
        plugins: code that may declare the backend of a program, which is loaded if need be.
    """
    head = bytes(head[:HEAD_BYTES])
    if backend_of_content(head) is not None:
        return Format.PROGRAM
    if head[4:8] == TFLITE_IDENTIFIER:
        return Format.TFLITE
    if is_ir_text(head):
        return Format.IR
    if not head or head.startswith(_IR_VERSION):
        return Format.ONNX
    backend = backend_of_content(head, further=True, plugins=plugins)
    return Format.ONNX if backend is None else Format.PROGRAM


def head_of(path: Path) -> bytes:
    """The beginning of a regular file; nothing of what cannot be read, or is a pipe, say."""
    try:
        if not path.is_file():  # opening a pipe would wait
            return b""
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""
