"""`enf.fbs` as data: numpy dtypes of its structs, fields of its tables, names of its enums.

The writer and the verifying reader are driven by this; a test compares it with the schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf import head
from furiosa_ir.backends.warboy.enf.commands import (
    COMMANDS,
    DRAM_FLAT,
    DRAM_TILE,
    DRAM_VIEW,
    INSTRUCTION,
    PARAMETER,
    SRAM_FLAT,
    SRAM_TILE,
)

MAGIC, IDENTIFIER = head.MAGIC, head.IDENTIFIER
VERSION, VENDOR_VERSION = head.VERSION, head.VENDOR_VERSION
HEADER_BYTES = head.HEADER_BYTES
SECTION_ALIGNMENT = 64

FRAMEWORKS = ("onnx", "tflite")
TEXT_STATES = ("unedited", "edited", "foreign")
COMMAND_KINDS = tuple(kind.name for kind in COMMANDS)


def _struct(*fields: tuple[Any, ...]) -> np.dtype[Any]:
    """A FlatBuffers struct: fields aligned as in C."""
    return np.dtype(list(fields), align=True)


_U8, _U16, _U32, _U64, _I32, _I64 = (
    np.dtype(f"<{code}") for code in ("u1", "u2", "u4", "u8", "i4", "i8")
)

SECTION = _struct(("offset", _U64), ("size", _U64))
COMMAND = _struct(("layer", _U32), ("waits", _U32), ("kind", _U8))
BINDING = _struct(("address", _U64), ("tensor", _U32))

STRUCTS: dict[str, np.dtype[Any]] = {
    "Section": SECTION,
    "SramTile": SRAM_TILE.dtype,
    "SramFlat": SRAM_FLAT.dtype,
    "DramTile": DRAM_TILE.dtype,
    "DramFlat": DRAM_FLAT.dtype,
    "DramView": DRAM_VIEW.dtype,
    "Parameter": PARAMETER.dtype,
    "Instruction": INSTRUCTION.dtype,
    **{kind.name.title().replace("_", ""): kind.struct.dtype for kind in COMMANDS},
    "Command": COMMAND,
    "Binding": BINDING,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A table's field.

    Attributes:
        name: as in the schema.
        kind: "string", "table", "tables" (a vector of them), "scalar", "struct" or "vector".
        table: the table's name for "table" and "tables".
        dtype: of the scalar, struct or vector element.
    """

    name: str
    kind: str
    table: str = ""
    dtype: np.dtype[Any] = _U8


def _field(name: str, kind: str | np.dtype[Any]) -> Field:
    """`kind`: "string", "Table", "[Table]", or the dtype of a scalar or struct."""
    if isinstance(kind, np.dtype):
        return Field(name, "struct" if kind.names else "scalar", dtype=kind)
    if kind == "string":
        return Field(name, "string")
    if kind.startswith("["):
        return Field(name, "tables", kind[1:-1])
    return Field(name, "table", kind)


def _vector(name: str, dtype: np.dtype[Any]) -> Field:
    return Field(name, "vector", dtype=dtype)


TABLES: dict[str, tuple[Field, ...]] = {
    "NpuSegment": (
        _field("name", "string"),
        _vector("inputs", BINDING),
        _vector("outputs", BINDING),
        _field("workspace_bytes", _U64),
        _field("sram_bytes", _U64),
        _field("constants", SECTION),
        _vector("commands", COMMAND),
        _vector("waits", _U32),
        *(_vector(kind.vector, kind.struct.dtype) for kind in COMMANDS),
        _vector("operands", SRAM_TILE.dtype),
        _vector("parameters", PARAMETER.dtype),
        _vector("instructions", INSTRUCTION.dtype),
        _vector("registers", _U16),
        _vector("immediates", _I64),
        _field("sram_bound", _U64),
        _field("workspace_bound", _U64),
        _field("setup", _U32),
    ),
    "HostOperator": (
        _field("operator", "string"),
        _field("layer", "string"),
        _field("hint", _I32),
        _field("reason", "string"),
    ),
    "HostSegment": (
        _field("name", "string"),
        _field("framework", _U8),
        _vector("inputs", _U32),
        _vector("outputs", _U32),
        _field("model", SECTION),
        _field("operators", "[HostOperator]"),
    ),
    "Segment": (_field("npu", "NpuSegment"), _field("host", "HostSegment")),
    "Tensor": (
        _field("name", "string"),
        _field("dtype", "string"),
        _vector("shape", _I64),
        _field("scale", np.dtype("<f8")),
        _field("zero_point", _I32),
    ),
    "Layer": (
        _field("name", "string"),
        _field("operator", "string"),
        _field("segment", _U32),
        _field("macs", _U64),
        _field("weight_bytes", _U64),
    ),
    "MachineParameter": (_field("name", "string"), _field("value", _I64)),
    "Option": (_field("name", "string"), _field("value", "string")),
    "Resumption": (_field("passes", _U32), _field("text", _U8)),
    "OutputName": (_field("name", "string"),),
    "Variable": (
        _field("name", "string"),
        _field("before", _U32),
        _field("after", _U32),
        _field("initial", SECTION),
    ),
    "Program": (
        _field("target", "string"),
        _field("machine", "[MachineParameter]"),
        _field("tensors", "[Tensor]"),
        _vector("inputs", _U32),
        _vector("outputs", _U32),
        _field("segments", "[Segment]"),
        _field("layers", "[Layer]"),
        _field("compiler", "string"),
        _field("options", "[Option]"),
        _field("pipeline", "string"),
        _field("source_hash", "string"),
        _field("source_framework", "string"),
        _field("resumed", "[Resumption]"),
        _field("output_names", "[OutputName]"),
        _field("variables", "[Variable]"),
    ),
}
"""Fields in the schema's order: a field's index is its slot."""
