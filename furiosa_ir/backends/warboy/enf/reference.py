"""The tables of docs/enf.md, from what the format's modules declare.

Each is called as its mark in the page: `<!-- generated: NAME -->`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy import machine
from furiosa_ir.backends.warboy.enf import head, layout
from furiosa_ir.backends.warboy.enf.commands import COMMANDS, MODES, OPCODES, CommandKind
from furiosa_ir.backends.warboy.enf.records import ORDERS, POOL_KINDS, REGIONS
from furiosa_ir.backends.warboy.enf.validation import NPU_DTYPES
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS, VectorInstruction
from furiosa_ir.backends.warboy.vector_engine.arithmetic import ROUNDING_NUMBERS
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES, LIMITS
from furiosa_ir.backends.warboy.vector_engine.instruction import broadcast
from furiosa_ir.numerics.element_types import COMMON, ELEMENT_TYPES

_SCALARS = {
    "<u1": "uint8", "<u2": "uint16", "<u4": "uint32", "<u8": "uint64",
    "<i4": "int32", "<i8": "int64", "<f8": "float64",
}  # fmt: skip
_NAMES = {
    **{np.dtype(code): name for code, name in _SCALARS.items()},
    **{dtype: name for name, dtype in layout.STRUCTS.items()},
}


def tables() -> Mapping[str, Sequence[str]]:
    """Name -> lines of Markdown."""
    return {name: list(make()) for name, make in _TABLES.items()}


def _table(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') or '-' for cell in row)} |"


def _elements() -> Iterator[str]:
    names = {1: "i8", 4: "i32", 8: "i48"}
    rows = (
        (size, names[size], _NAMES.get(dtype, f"int{8 * size}"), *LIMITS[size])
        for size, dtype in DTYPES.items()
    )
    return _table(("bytes (`element`)", "name", "held as", "least", "greatest"), rows)


def _header() -> Iterator[str]:
    version = head.VERSION.hex(" ")
    rows = [
        ("0-2", f"`{head.MAGIC.decode()}`"),
        ("3-6", "CRC-32, little endian"),
        ("7-9", f"version: `{version}`"),
        (f"10-{head.HEADER_BYTES - 1}", "zero"),
        (
            f"from {head.HEADER_BYTES}",
            f"size-prefixed FlatBuffer, identifier `{head.IDENTIFIER.decode()}`",
        ),
        (
            f"then, from the next multiple of {layout.SECTION_ALIGNMENT}",
            f"the section area: sections, each at a multiple of {layout.SECTION_ALIGNMENT}",
        ),
    ]
    return _table(("bytes", "what"), iter(rows))


def _type_of(dtype: np.dtype[Any]) -> str:
    if dtype.subdtype is not None:
        base, (count,) = dtype.subdtype
        return f"{_NAMES[base]}[{count}]"
    return _NAMES[dtype]


def _field_type(field: layout.Field) -> str:
    match field.kind:
        case "string":
            return "string"
        case "table":
            return field.table
        case "tables":
            return f"[{field.table}]"
        case "vector":
            return f"[{_NAMES[field.dtype]}]"
        case _:
            return _NAMES[field.dtype]


def _format_tables() -> Iterator[str]:
    rows = (
        (
            f"`{name}`",
            ", ".join(f"{i} `{f.name}`: {_field_type(f)}" for i, f in enumerate(fields)),
        )
        for name, fields in layout.TABLES.items()
    )
    return _table(("table", "fields, by slot"), rows)


def _structs() -> Iterator[str]:
    def fields_of(dtype: np.dtype[Any]) -> str:
        fields: Any = dtype.fields  # name -> its type and place
        return ", ".join(f"{at} `{name}`: {_type_of(of)}" for name, (of, at) in fields.items())

    rows = (
        (f"`{name}`", dtype.itemsize, dtype.alignment, fields_of(dtype))
        for name, dtype in layout.STRUCTS.items()
    )
    return _table(("struct", "size", "alignment", "fields, by byte"), rows)


def _enums() -> Iterator[str]:
    enums: dict[str, Sequence[str]] = {
        "kind of a `Command`": layout.COMMAND_KINDS,
        "`order` of a tile": ORDERS,
        "`region` of DRAM": REGIONS,
        "`kind` of a `Pool`": POOL_KINDS,
        "`opcode`": OPCODES,
        "`mode`": MODES,
        "`framework`": layout.FRAMEWORKS,
        "`text` of a `Resumption`": layout.TEXT_STATES,
    }
    rows = (
        (what, ", ".join(f"{i} {name or 'none'}" for i, name in enumerate(names)))
        for what, names in enums.items()
    )
    return _table(("field", "numbers"), rows)


def _targets() -> Iterator[str]:
    slices = {name: machine.load_machine(name).slices for name in machine.TARGETS}
    return _table(
        ("target", "`num_slices`"), ((f"`{name}`", count) for name, count in slices.items())
    )


def _dtypes() -> Iterator[str]:
    common = {e.name for e in COMMON}
    rows = (
        (
            f"`{e.name}`",
            e.size,
            "yes" if e.name in common else "",
            "yes" if e.name in NPU_DTYPES else "",
        )
        for e in ELEMENT_TYPES
    )
    yield from _table(("dtype", "bytes", "variables", "NPU segments"), rows)
    yield "| `string` | - | - | - |"


def _of_kind(kind: CommandKind) -> Sequence[Any]:
    def names(*fields: str) -> str:
        return ", ".join(f"`{field}`" for field in fields if field)

    number = COMMANDS.index(kind)
    return (
        number, f"**{kind.name}**", f"`{kind.vector}`", kind.engine,
        names(*kind.reads), names(kind.writes), names(kind.loads), names(kind.stores),
    )  # fmt: skip


def _commands() -> Iterator[str]:
    columns = (
        "kind", "command", "vector", "engine", "reads of SRAM", "writes there", "reads of DRAM",
        "writes there",
    )  # fmt: skip
    return _table(columns, map(_of_kind, COMMANDS))


def _of_instruction(declared: VectorInstruction) -> Sequence[Any]:
    modes = ", ".join(f"{number} {name}" for name, number in declared.modes.items() if name)
    return (
        declared.code,
        f"**{declared.name}**",
        ", ".join(declared.operands),
        ", ".join(declared.immediates),
        modes,
        "broadcast" if declared.shape is broadcast else _SHAPES[declared.name],
        "yes" if declared.elementwise else "no",
    )


_SHAPES = {
    "rescale": "x's",
    "clamp": "x's",
    "lookup": "x's",
    "reduce": "x's, the axes 1",
    "gather": "x's, the axis as many as there are indices",
    "interpolate": "x's, the axis n",
}
"""In words, of those whose operands do not just broadcast."""


def _instructions() -> Iterator[str]:
    declared = sorted(INSTRUCTIONS.values(), key=lambda i: i.code)
    columns = (
        "opcode", "instruction", "operands", "immediates", "modes", "result's shape", "elementwise",
    )  # fmt: skip
    return _table(columns, map(_of_instruction, declared))


def _roundings() -> Iterator[str]:
    return _table(("mode", "R"), ((n, f"**{name}**") for name, n in ROUNDING_NUMBERS.items()))


def _machine() -> Iterator[str]:
    text = Path(machine.__file__).with_name("warboy.toml").read_text(encoding="utf-8")
    origins = {name: origin for origin, group in tomllib.loads(text).items() for name in group}
    values = {target: machine.load_machine(target).parameters() for target in machine.TARGETS}
    rows = (
        (f"`{name}`", origins.get(name, "published"), *(values[t][name] for t in machine.TARGETS))
        for name in values[machine.TARGETS[0]]
    )
    return _table(("parameter", "source", *(f"`{t}`" for t in machine.TARGETS)), rows)


_TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "elements": _elements,
    "header": _header,
    "tables": _format_tables,
    "structs": _structs,
    "enums": _enums,
    "targets": _targets,
    "dtypes": _dtypes,
    "commands": _commands,
    "instructions": _instructions,
    "roundings": _roundings,
    "machine": _machine,
}
