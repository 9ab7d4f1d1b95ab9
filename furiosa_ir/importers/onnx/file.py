"""Reading an ONNX file: bytes to a `ModelProto`, and what can be wrong with them."""

from __future__ import annotations

import hashlib
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import onnx
from google.protobuf.message import DecodeError

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.local_functions import expanded_functions
from furiosa_ir.importers.onnx.node_order import all_nodes
from furiosa_ir.importers.onnx.opsets import raise_opset
from furiosa_ir.importers.onnx.part import take_part
from furiosa_ir.importers.onnx.soundness import check_model
from furiosa_ir.importers.onnx.sparse import make_initializers_dense
from furiosa_ir.input_files import open_input
from furiosa_ir.network_part import WHOLE, Part

UNFIT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What onnx, numpy and the operations raise on a node that is not what its schema promises."""

OLDEST_OPSET = 7
"""Before it, broadcasting was an attribute of each operator; older models are raised to it."""


@dataclass(frozen=True)
class ModelFile:
    """A parsed model and where it came from.

    Attributes:
        model: the protobuf message.
        name: the file's name for messages; None for bytes.
        folder: where external data may lie; None for bytes, which can have none.
        digest: SHA-256 of the bytes, in hexadecimal.
        opsets: operator set -> version ("" is the default one).
        sparse: how many elements (of four bytes) its sparse initialisers have with their zeros;
            they are dense here.
    """

    model: onnx.ModelProto
    name: str | None
    folder: Path | None
    digest: str
    opsets: dict[str, int]
    sparse: int = 0


def read_model(source: bytes | Path, part: Part = WHOLE) -> ModelFile:
    """Parses a model, or a part of it, its local functions expanded.

    Raises:
        ImportFailure: there is no such file, or it holds no ONNX model that we can read.
    """
    if isinstance(source, Path):
        name, folder, data = str(source), source.parent, _read(source)
    else:
        name, folder, data = None, None, source
    if len(data) == 0:
        raise ImportFailure("the file is empty", file=name)
    try:
        # protobuf's C parser takes no mapping; a copy of 100 MB costs 20 ms.
        model = onnx.ModelProto.FromString(bytes(data))
    except DecodeError:
        raise ImportFailure(
            "this is not an ONNX model, or a truncated one",
            file=name,
            hint="programs, ONNX and TFLite files and the text of our IR can be read; "
            "for a program of a plug-in's backend, --load that",
        ) from None
    try:
        check_model(model)
    except ImportFailure as error:
        raise error.at(file=name) from None
    _name_one_domain(model)
    try:
        take_part(model, part)
        sparse = make_initializers_dense(model)
    except ImportFailure as error:
        raise error.at(file=name) from None
    opsets = _opsets(model, name)
    try:
        if opsets[""] < OLDEST_OPSET:
            raise_opset(model, opsets[""], OLDEST_OPSET)
            opsets[""] = OLDEST_OPSET
        if model.functions:
            model, opsets = expanded_functions(model, opsets)
    except ImportFailure as error:
        raise error.at(file=name) from None
    return ModelFile(model, name, folder, hashlib.sha256(data).hexdigest(), opsets, sparse)


def _read(path: Path) -> bytes | mmap.mmap:
    try:
        if path.is_dir():
            raise ImportFailure("this is a directory, not a model file", file=str(path))
        with open_input(path) as file:
            if path.stat().st_size == 0:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise ImportFailure("there is no such file", file=str(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImportFailure(f"the file cannot be read: {reason}", file=str(path)) from None


def _name_one_domain(model: onnx.ModelProto) -> None:
    """Calls ONNX's own operator set by the one of its two names that everything else knows."""
    functions: Any = model.functions
    graph: Any = model.graph
    for entry in (*model.opset_import, *(o for f in functions for o in f.opset_import), *functions):
        if entry.domain == "ai.onnx":
            entry.domain = ""
    for node in all_nodes((*graph.node, *(n for f in functions for n in f.node))):
        if node.domain == "ai.onnx":
            node.domain = ""


def _opsets(model: onnx.ModelProto, name: str | None) -> dict[str, int]:
    imports = cast("list[Any]", model.opset_import)
    opsets: dict[str, int] = {str(o.domain): int(o.version) for o in imports}
    if not opsets and not model.HasField("graph"):
        raise ImportFailure("the file holds no network", file=name, hint="is it an ONNX model?")
    # Before IR version 3 the operator set was not written down: it was version 1.
    opset = opsets.setdefault("", 1 if not opsets else onnx.defs.onnx_opset_version())
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= newest:
        raise ImportFailure(
            f"the model uses operator set {opset}; 1 to {newest} are supported",
            file=name,
            hint="onnx.version_converter converts between operator sets",
        )
    return opsets
