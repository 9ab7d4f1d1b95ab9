"""ENF commands as operations of the `warboy` dialect, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    structure = Structure.of(command, without="waits")
    return COMMAND_OF_KIND[structure.kind].create(
        operands=waits, result_types=[_TOKEN], properties={"command": CommandAttr(structure)}
    )


def command_record(op: CommandOp, waits: tuple[int, ...]) -> Command:
    """The command of an operation.

    Raises:
        OperationFailure: its attribute has not the record's fields.
    """
    body = op.command.data
    known: Command | None = body.record
    if known is not None:
        return known if known.waits == waits else replace(known, waits=waits)
    if any(name == "waits" for name, _ in body.fields):
        raise OperationFailure.of(op, "what a command waits for are its operands")
    try:
        return _record(Structure(body.kind, (*body.fields, ("waits", waits))))
    except ValueError as error:
        raise OperationFailure.of(op, str(error)) from None
