"""ENF commands as operations of the `warboy` dialect, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast

from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import CommandAttr, TokenType
from furiosa_ir.backends.warboy.dialect.commands import COMMAND_OF_KIND, CommandOp
from furiosa_ir.backends.warboy.dialect.structured_data import Structure, kind_name, made
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
from furiosa_ir.backends.warboy.enf.records import Command
from furiosa_ir.ir.verifier import OperationFailure

_PARTS = (SRAM_TILE, SRAM_FLAT, DRAM_TILE, DRAM_FLAT, DRAM_VIEW, PARAMETER, INSTRUCTION)

_RECORDS: dict[str, type[Any]] = {
    kind_name(struct.record): struct.record
    for struct in (*_PARTS, *(kind.struct for kind in COMMANDS))
}
"""Name in text -> record."""

_TOKEN = TokenType()


@cache
def _members(cls: type[Any]) -> tuple[str, tuple[str, ...]]:
    return kind_name(cls), tuple(f.name for f in fields(cls))


def _structure(value: Any) -> Any:
    if isinstance(value, tuple):
        items = cast("tuple[Any, ...]", value)
        if items and (isinstance(items[0], tuple) or is_dataclass(items[0])):
            return tuple(_structure(item) for item in items)
        return items
    if is_dataclass(value):
        kind, names = _members(type(value))
        return Structure(kind, tuple((n, _structure(getattr(value, n))) for n in names))
    return value


def _record(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_record(item) for item in cast("tuple[Any, ...]", value))
    if isinstance(value, Structure):
        cls = _RECORDS.get(value.kind)
        if cls is None:
            raise ValueError(f"a command has no part '{value.kind}'")
        return made(cls, {name: _record(field) for name, field in value.fields})
    return value


def command_op(command: Command, waits: Sequence[SSAValue]) -> CommandOp:
    """The operation of a command that waits for these tokens."""
    kind, names = _members(type(command))
    attribute = CommandAttr(
        Structure(kind, tuple((n, _structure(getattr(command, n))) for n in names if n != "waits"))
    )
    return COMMAND_OF_KIND[kind].build(
        operands=[list(waits)], result_types=[_TOKEN], properties={"command": attribute}
    )


def command_record(op: CommandOp, waits: tuple[int, ...]) -> Command:
    """The command of an operation.

    Raises:
        OperationFailure: its attribute has not the record's fields.
    """
    body = op.command.data
    if any(name == "waits" for name, _ in body.fields):
        raise OperationFailure.of(op, "what a command waits for are its operands")
    try:
        return _record(Structure(body.kind, (*body.fields, ("waits", waits))))
    except ValueError as error:
        raise OperationFailure.of(op, str(error)) from None
