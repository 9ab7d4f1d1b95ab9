"""The commands of an ENF program, each declared once.

From `COMMANDS` follow the vectors of a file and their structs (`layout`), reading and writing
(`command_vectors`), what is checked of each command and between them (`validation`, `checker`), its
text (`disassembler`), the engine that it runs on and what it waits for (`commands.tokens`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from furiosa_ir.backends.warboy.enf.command_rules import (
    dot_rule,
    pool_rule,
    same_bytes,
    same_elements,
    vector_rule,
)
from furiosa_ir.backends.warboy.enf.command_text import (
    dot_text,
    move_text,
    pool_text,
    vector_text,
)
from furiosa_ir.backends.warboy.enf.records import (
    DRAM_RANK,
    ORDERS,
    POOL_KINDS,
    REGIONS,
    Command,
    Copy,
    Dot,
    DramFlat,
    DramTile,
    DramView,
    Load,
    Parameter,
    Pool,
    SramFlat,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.structs import (
    Struct,
    count_of,
    flag,
    number,
    numbers,
    one_of,
    optional,
    part,
    ranked,
    said_by,
)
from furiosa_ir.backends.warboy.vector_engine import INSTRUCTIONS, Instruction
from furiosa_ir.backends.warboy.vector_engine.instruction import mode_names

Engine: TypeAlias = Literal["dma", "npu"]
SramPlace: TypeAlias = SramTile | SramFlat
DramPlace: TypeAlias = DramTile | DramView | DramFlat


def _by_number(names: Mapping[int, str]) -> tuple[str, ...]:
    """Names at the places that are their numbers in a file.

    Raises:
        ValueError: a number between others is nobody's.
    """
    missing = set(range(len(names))) - set(names)
    if missing:
        raise ValueError(f"number {min(missing)} in files is nobody's")
    return tuple(names[number] for number in range(len(names)))


OPCODES = _by_number({declared.code: name for name, declared in INSTRUCTIONS.items()})
MODES = _by_number(mode_names())

SRAM_TILE = Struct(
    SramTile,
    address=number("<u4"),
    shape=numbers("<i4", 4),
    slices=numbers("<u2", 2),
    offset=numbers("<i4", 4),
    extent=numbers("<i4", 4),
    order=one_of(ORDERS, "tile order"),
    element=number("<u1"),
    images=number("<u2"),
    first=number("<u2"),
)
SRAM_FLAT = Struct(SramFlat, address=number("<u4"), slice_bytes=number("<u4"), size=number("<u8"))
DRAM_TILE = Struct(
    DramTile,
    address=number("<u8"),
    extent=numbers("<i4", 4),
    strides=numbers("<i8", 4),
    region=one_of(REGIONS, "DRAM region"),
    element=number("<u1"),
)
DRAM_FLAT = Struct(
    DramFlat, address=number("<u8"), size=number("<u8"), region=one_of(REGIONS, "DRAM region")
)
DRAM_VIEW = Struct(
    DramView,
    address=number("<u8"),
    extent=ranked("<i4", DRAM_RANK, "rank", "a DRAM view"),
    strides=ranked("<i8", DRAM_RANK, "rank", "a DRAM view"),
    rank=said_by(),
    region=one_of(REGIONS, "DRAM region"),
    element=number("<u1"),
)
PARAMETER = Struct(
    Parameter,
    memory=part(SRAM_FLAT),
    shape=ranked("<i4", 4, "rank", "a parameter"),
    rank=said_by(),
    element=number("<u1"),
)
INSTRUCTION = Struct(
    Instruction,
    opcode=one_of(OPCODES, "opcode"),
    mode=one_of(MODES, "mode"),
    element=number("<u1"),
    operands=count_of("<u1"),
    immediates=count_of("<u4"),
)
_PROGRAM = {name: count_of("<u2") for name in ("operands", "parameters", "instructions")}
"""What every command with a vector program has."""


@dataclass(frozen=True)
class CommandKind:
    """One of the commands.

    Attributes:
        name: in the schema.
        vector: the field of a segment that holds its structs.
        struct: its record, and how that lies in a file.
        engine: which of the two carries it out.
        reads: attributes with what it reads of SRAM: places or None; `operands` are tiles,
            `parameters` have a place each.
        writes: the attribute with what it writes there; "" if it writes none.
        loads: the attribute with what it reads of DRAM; "" if it reads none.
        stores: the attribute with what it writes there; "" if it writes none.
        rule: raises ValueError if its operands do not fit each other.
        text: its line.
    """

    name: str
    vector: str
    struct: Struct
    engine: Engine
    rule: Callable[[Any], None]
    text: Callable[[Any], str]
    reads: tuple[str, ...] = ()
    writes: str = ""
    loads: str = ""
    stores: str = ""

    @property
    def has_program(self) -> bool:
        """Whether it ends in a vector program."""
        return "parameters" in self.reads

    def sram_read(self, command: Command) -> list[SramPlace]:
        """The places in SRAM that a command of this kind reads."""
        places: list[SramPlace] = []
        for name in self.reads:
            value: Any = getattr(command, name)
            if name == "operands":
                places += value
            elif name == "parameters":
                places += [parameter.memory for parameter in value]
            elif value is not None:
                places.append(value)
        return places

    def sram_written(self, command: Command) -> SramPlace | None:
        """The place in SRAM that a command of this kind writes."""
        return getattr(command, self.writes) if self.writes else None

    def dram_read(self, command: Command) -> DramPlace | None:
        """The place in DRAM that a command of this kind reads."""
        return getattr(command, self.loads) if self.loads else None

    def dram_written(self, command: Command) -> DramPlace | None:
        """The place in DRAM that a command of this kind writes."""
        return getattr(command, self.stores) if self.stores else None


COMMANDS: tuple[CommandKind, ...] = (
    CommandKind(
        "load_tile",
        "load_tiles",
        Struct(Load, source=part(DRAM_TILE), target=part(SRAM_TILE)),
        "dma",
        same_elements,
        move_text,
        loads="source",
        writes="target",
    ),
    CommandKind(
        "load_flat",
        "load_flats",
        Struct(Load, source=part(DRAM_FLAT), target=part(SRAM_FLAT)),
        "dma",
        same_bytes,
        move_text,
        loads="source",
        writes="target",
    ),
    CommandKind(
        "store",
        "stores",
        Struct(Store, source=part(SRAM_TILE), target=part(DRAM_TILE)),
        "dma",
        same_elements,
        move_text,
        reads=("source",),
        stores="target",
    ),
    CommandKind(
        "copy",
        "copies",
        Struct(Copy, source=part(DRAM_VIEW), target=part(DRAM_VIEW)),
        "dma",
        same_elements,
        move_text,
        loads="source",
        stores="target",
    ),
    CommandKind(
        "vector",
        "vectors",
        Struct(Vector, result=part(SRAM_TILE), **_PROGRAM, beside=flag()),
        "npu",
        vector_rule,
        vector_text,
        reads=("operands", "parameters"),
        writes="result",
    ),
    CommandKind(
        "dot",
        "dots",
        Struct(
            Dot,
            x=part(SRAM_TILE),
            result=part(SRAM_TILE),
            weight=optional(SRAM_FLAT, "has_weight"),
            bias=optional(SRAM_FLAT, "has_bias"),
            weight_shape=numbers("<i4", 4),
            strides=numbers("<i4", 2),
            dilations=numbers("<i4", 2),
            input_dilation=numbers("<i4", 2),
            pads=numbers("<i4", 4),
            group=number("<i4"),
            x_zp=number("<i4"),
            weight_zp=number("<i4"),
            **_PROGRAM,
            has_weight=said_by(),
            has_bias=said_by(),
            batched=flag(),
            beside=flag(),
        ),
        "npu",
        dot_rule,
        dot_text,
        reads=("operands", "parameters", "x", "weight", "bias"),
        writes="result",
    ),
    CommandKind(
        "pool",
        "pools",
        Struct(
            Pool,
            x=part(SRAM_TILE),
            result=part(SRAM_TILE),
            window=numbers("<i4", 2),
            strides=numbers("<i4", 2),
            dilations=numbers("<i4", 2),
            pads=numbers("<i4", 4),
            x_zp=number("<i4"),
            **_PROGRAM,
            kind=one_of(POOL_KINDS, "pool kind"),
            beside=flag(),
        ),
        "npu",
        pool_rule,
        pool_text,
        reads=("operands", "parameters", "x"),
        writes="result",
    ),
)
"""All commands; the place of each is its number in a file."""

_LOADS = {(DramTile, SramTile): COMMANDS[0], (DramFlat, SramFlat): COMMANDS[1]}
_OF_RECORD: dict[type[Any], CommandKind] = {
    kind.struct.record: kind for kind in COMMANDS if kind.struct.record is not Load
}

ENGINE: dict[type[Any], Engine] = {kind.struct.record: kind.engine for kind in COMMANDS}
"""Record -> the engine that carries it out."""


def kind_of(command: Command) -> CommandKind:
    """Which command a record is.

    Raises:
        ValueError: it is a `Load` of bytes as a tile, or of a tile as bytes.
    """
    if not isinstance(command, Load):
        return _OF_RECORD[type(command)]
    kind = _LOADS.get((type(command.source), type(command.target)))  # pyright: ignore[reportArgumentType,reportCallIssue]
    if kind is None:
        raise ValueError("a tile is not loaded as plain bytes, nor bytes as a tile")
    return kind
