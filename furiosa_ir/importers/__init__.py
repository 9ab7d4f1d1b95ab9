"""Files -> IR modules. What a file is, its content says, never its suffix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends import backend_of_content, look_for_installed
from furiosa_ir.errors import ImportFailure, UnknownOperator, VerificationFailure
from furiosa_ir.formats import HEAD_BYTES, Format, recognise
from furiosa_ir.importers.way_out import with_way_out
from furiosa_ir.ir.interface import complete_interface
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.spans import span

_READABLE = "ONNX and TFLite models and the text of our IR can be read"
_OR_LOAD = f"{_READABLE}; for a program of a plug-in's backend, --load that"

__all__ = ["load"]


@np.errstate(invalid="ignore")  # a file's NaNs may signal, at which numpy warns
def load(
    source: bytes | Path | str,
    batch_size: int | None = None,
    part: Part = WHOLE,
    *,
    resumed: bool = False,
    positions: Positions | None = None,
) -> ModuleOp:
    """The module that a file holds, verified: an ONNX or TFLite model, or IR text.

    Args:
        source: a path, or the bytes themselves.
        batch_size: how many samples a network's inputs hold; None keeps the file's batch, an open
            one as 1. IR text has its own, which cannot be changed.
        part: which part of a network, of which extents; of IR text there is none.
        resumed: whether a compile goes on from here, which the history of a module of text then
            says.
        positions: is filled with the places of a text's operations.

    Raises:
        ImportFailure: the file cannot be read, is none of these, or cannot have that batch size
            or part.
        VerificationFailure: what it holds, or what an operator's import made of it, does not
            verify.
    """
    with span("import"):
        return _load(source, batch_size, part, resumed=resumed, positions=positions)


def _load(
    source: bytes | Path | str,
    batch_size: int | None,
    part: Part,
    *,
    resumed: bool,
    positions: Positions | None,
) -> ModuleOp:
    if isinstance(source, str):
        source = Path(source)
    name = str(source) if isinstance(source, Path) else None
    head = _head(source) if isinstance(source, Path) else source[:HEAD_BYTES]
    if not head:
        raise ImportFailure("the file is empty", file=name, hint=_READABLE)
    kind = recognise(head)
    if kind is Format.TFLITE:
        from furiosa_ir.importers.tflite import import_tflite  # noqa: PLC0415  # lazy frameworks

        return _verified(import_tflite(source, batch_size=batch_size, part=part), name)
    if kind is Format.IR:
        look_for_installed()  # text may name what they declare
        if batch_size is not None:
            raise ImportFailure(
                "the batch size of IR cannot be changed",
                file=name,
                hint="give the batch size where the ONNX or TFLite network is read",
            )
        part.require_whole("the shapes of IR", name)
        from furiosa_ir.ir.text import parse_module, read_module  # noqa: PLC0415  # as below

        if isinstance(source, Path):
            module = read_module(source, resumed=resumed, positions=positions)
        else:
            text = source.decode("utf-8", "replace")
            module = parse_module(text, resumed=resumed, positions=positions)
        return _complete(module, name)
    backend = backend_of_content(head)
    if backend is not None:
        what = f"a compiled program ({backend.container.title}), not a model"
        raise ImportFailure(f"this is {what}", file=name, hint=_READABLE)
    for magic, what in _NOT_MODELS.items():
        if head.startswith(magic):
            raise ImportFailure(f"this is {what}", file=name, hint=_READABLE)
    if _is_text(head):
        raise ImportFailure("this is a text file, not a model", file=name, hint=_OR_LOAD)
    from furiosa_ir.importers.onnx import import_onnx  # noqa: PLC0415  # lazy frameworks

    try:
        return _verified(import_onnx(source, batch_size=batch_size, part=part), name)
    except UnknownOperator as error:
        raise with_way_out(error, source, part) from error.__cause__


def _complete(module: ModuleOp, name: str | None) -> ModuleOp:
    try:
        complete_interface(module)
    except VerificationFailure as error:
        raise error.at(file=name) from None
    return module


def _verified(module: ModuleOp, name: str | None) -> ModuleOp:
    try:
        with span("verification"):
            verify_module(module)
    except VerificationFailure as error:
        raise error.at(file=name) from error
    return module


_NOT_MODELS = {
    b"dfg": "a file of the vendor's compiler (DFG), not a model",
    b"\xff\xfe": "text in UTF-16, not a model; IR text is in UTF-8",
    b"\xfe\xff": "text in UTF-16, not a model; IR text is in UTF-8",
    b"PK\x03\x04": "an archive, not a model; a crash reproducer needs --run-reproducer",
    b"\x89HDF": "an HDF5 file, not an ONNX or TFLite model",
}


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ImportFailure("this is a directory, not a model file", file=str(path))
        if path.exists() and not path.is_file():  # reading a pipe would wait, a device never end
            raise ImportFailure("this is not a regular file", file=str(path))
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise ImportFailure("there is no such file", file=str(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImportFailure(f"the file cannot be read: {reason}", file=str(path)) from None


def _is_text(head: bytes) -> bool:
    """Whether bytes are text: protobuf and flatbuffers have control characters at once."""
    return not any(byte < 32 and byte not in b"\t\n\r\f" for byte in head)
