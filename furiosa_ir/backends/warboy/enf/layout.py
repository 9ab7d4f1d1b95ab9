"""`enf.fbs` as data: numpy dtypes of its structs, fields of its tables, names of its enums.

The writer and the verifying reader are driven by this; a test compares it with the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf import head
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS
from furiosa_ir.backends.warboy.vector_engine.instruction import mode_names

MAGIC, IDENTIFIER = head.MAGIC, head.IDENTIFIER
VERSION, VENDOR_VERSION = head.VERSION, head.VENDOR_VERSION
HEADER_BYTES = head.HEADER_BYTES
SECTION_ALIGNMENT = 64
DRAM_RANK = 8


def _by_number(names: Mapping[int, str]) -> tuple[str, ...]:
    """Names whose numbers in a file are their places."""
    assert sorted(names) == list(range(len(names))), "numbers in files have no gaps"
    return tuple(name for _, name in sorted(names.items()))


ORDERS = ("HCW", "HWC")
REGIONS = ("constant", "workspace")
POOL_KINDS = ("max", "sum")
FRAMEWORKS = ("onnx", "tflite")
TEXT_STATES = ("unedited", "edited", "foreign")
OPCODES = _by_number({d.code: d.name for d in INSTRUCTIONS.values()})
MODES = _by_number(mode_names())
COMMAND_KINDS = ("load_tile", "load_flat", "store", "copy", "vector", "dot", "pool")


def _struct(*fields: tuple[Any, ...]) -> np.dtype[Any]:
    """A FlatBuffers struct: fields aligned as in C."""
    return np.dtype(list(fields), align=True)


_U8, _U16, _U32, _U64, _I32, _I64 = (
    np.dtype(f"<{code}") for code in ("u1", "u2", "u4", "u8", "i4", "i8")
)

SECTION = _struct(("offset", _U64), ("size", _U64))
SRAM_TILE = _struct(
    ("address", _U32),
    ("shape", _I32, 4),
    ("slices", _U16, 2),
    ("offset", _I32, 4),
    ("extent", _I32, 4),
    ("order", _U8),
    ("element", _U8),
)
SRAM_FLAT = _struct(("address", _U32), ("slice_bytes", _U32), ("size", _U64))
DRAM_TILE = _struct(
    ("address", _U64), ("extent", _I32, 4), ("strides", _I64, 4), ("region", _U8), ("element", _U8)
)
DRAM_FLAT = _struct(("address", _U64), ("size", _U64), ("region", _U8))
DRAM_VIEW = _struct(
    ("address", _U64),
    ("extent", _I32, DRAM_RANK),
    ("strides", _I64, DRAM_RANK),
    ("rank", _U8),
    ("region", _U8),
    ("element", _U8),
)
PARAMETER = _struct(("memory", SRAM_FLAT), ("shape", _I32, 4), ("rank", _U8), ("element", _U8))
INSTRUCTION = _struct(
    ("opcode", _U8), ("mode", _U8), ("element", _U8), ("operands", _U8), ("immediates", _U32)
)
_COUNTS = (("operands", _U16), ("parameters", _U16), ("instructions", _U16))
LOAD_TILE = _struct(("source", DRAM_TILE), ("target", SRAM_TILE))
LOAD_FLAT = _struct(("source", DRAM_FLAT), ("target", SRAM_FLAT))
STORE = _struct(("source", SRAM_TILE), ("target", DRAM_TILE))
COPY = _struct(("source", DRAM_VIEW), ("target", DRAM_VIEW))
VECTOR = _struct(("result", SRAM_TILE), *_COUNTS)
DOT = _struct(
    ("x", SRAM_TILE),
    ("result", SRAM_TILE),
    ("weight", SRAM_FLAT),
    ("bias", SRAM_FLAT),
    ("weight_shape", _I32, 4),
    ("strides", _I32, 2),
    ("dilations", _I32, 2),
    ("input_dilation", _I32, 2),
    ("pads", _I32, 4),
    ("group", _I32),
    ("x_zp", _I32),
    ("weight_zp", _I32),
    *_COUNTS,
    ("has_weight", _U8),
    ("has_bias", _U8),
    ("batched", _U8),
)
POOL = _struct(
    ("x", SRAM_TILE),
    ("result", SRAM_TILE),
    ("window", _I32, 2),
    ("strides", _I32, 2),
    ("dilations", _I32, 2),
    ("pads", _I32, 4),
    ("x_zp", _I32),
    *_COUNTS,
    ("kind", _U8),
)
COMMAND = _struct(("layer", _U32), ("waits", _U32), ("kind", _U8))
BINDING = _struct(("address", _U64), ("tensor", _U32))

STRUCTS: dict[str, np.dtype[Any]] = {
    "Section": SECTION,
    "SramTile": SRAM_TILE,
    "SramFlat": SRAM_FLAT,
    "DramTile": DRAM_TILE,
    "DramFlat": DRAM_FLAT,
    "DramView": DRAM_VIEW,
    "Parameter": PARAMETER,
    "Instruction": INSTRUCTION,
    "LoadTile": LOAD_TILE,
    "LoadFlat": LOAD_FLAT,
    "Store": STORE,
    "Copy": COPY,
    "Vector": VECTOR,
    "Dot": DOT,
    "Pool": POOL,
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
        _vector("load_tiles", LOAD_TILE),
        _vector("load_flats", LOAD_FLAT),
        _vector("stores", STORE),
        _vector("copies", COPY),
        _vector("vectors", VECTOR),
        _vector("dots", DOT),
        _vector("pools", POOL),
        _vector("operands", SRAM_TILE),
        _vector("parameters", PARAMETER),
        _vector("instructions", INSTRUCTION),
        _vector("registers", _U16),
        _vector("immediates", _I64),
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
