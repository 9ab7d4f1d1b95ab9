"""A segment's commands as the vectors of a file, and back.

`commands` has one entry for each command, in order of issue; its struct is the next one of its
kind's vector, its lists (operands, parameters, instructions, waits) are the next elements of
theirs. All of a vector is read at once, then dealt out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, cast

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import (
    COMMANDS,
    INSTRUCTION,
    PARAMETER,
    SRAM_TILE,
    CommandKind,
    kind_of,
)
from furiosa_ir.backends.warboy.enf.layout import COMMAND
from furiosa_ir.backends.warboy.enf.records import Command
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import FormatFailure
from furiosa_ir.numerics.array import Array

_LISTS = {"operands": "operands", "parameters": "parameters", "program": "instructions"}
"""Attribute of a command -> the vector that its elements lie in, and the field that counts them."""


def read_commands(row: Mapping[str, Any]) -> tuple[Command, ...]:
    """The commands of a segment's table.

    Raises:
        FormatFailure: vectors do not fit each other, or a field means nothing.
    """
    headers: Array = row["commands"]
    kinds: list[int] = headers["kind"].tolist()
    if max(kinds, default=0) >= len(COMMANDS):
        raise FormatFailure(f"command kind {max(kinds)} does not exist")
    waits = _dealt(row, "waits", headers["waits"].tolist(), row["waits"].tolist())
    layers: list[int] = headers["layer"].tolist()
    places: list[list[int]] = [[] for _ in COMMANDS]
    for number, kind in enumerate(kinds):
        places[kind].append(number)
    for kind, mine in zip(COMMANDS, places, strict=True):
        _same_number(kind.vector, len(mine), len(row[kind.vector]))
    lists = _lists(row, places)
    commands: list[Any] = [None] * len(headers)
    every = {"layer": layers, "waits": waits}
    for kind, numbers in zip(COMMANDS, places, strict=True):
        attributes = every | lists if kind.has_program else every
        elsewhere = {name: [values[i] for i in numbers] for name, values in attributes.items()}
        records = kind.struct.read(row[kind.vector], **elsewhere)
        for number, record in zip(numbers, records, strict=True):
            commands[number] = record
    return tuple(commands)


def _lists(row: Mapping[str, Any], places: Sequence[Sequence[int]]) -> dict[str, Sequence[Any]]:
    """Operands, parameters and program of every command, by its number."""
    instructions: Array = row["instructions"]
    elements: dict[str, Sequence[Any]] = {
        "operands": SRAM_TILE.read(row["operands"]),
        "parameters": PARAMETER.read(row["parameters"]),
        "program": INSTRUCTION.read(
            instructions,
            operands=_dealt(
                row, "registers", instructions["operands"].tolist(), row["registers"].tolist()
            ),
            immediates=_dealt(
                row, "immediates", instructions["immediates"].tolist(), row["immediates"].tolist()
            ),
        ),
    }
    found: dict[str, Sequence[Any]] = {}
    programs = [(k, mine) for k, mine in zip(COMMANDS, places, strict=True) if k.has_program]
    for attribute, vector in _LISTS.items():
        counts = [0] * len(row["commands"])
        for kind, mine in programs:
            for number, count in zip(mine, row[kind.vector][vector].tolist(), strict=True):
                counts[number] = count
        found[attribute] = _dealt(row, vector, counts, elements[attribute])
    return found


def _dealt(
    row: Mapping[str, Any], vector: str, counts: Sequence[int], elements: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """A vector's elements in order, so many for each."""
    ends = list(accumulate(counts, initial=0))
    _same_number(vector, ends[-1], len(row[vector]))
    return [tuple(elements[start:end]) for start, end in pairwise(ends)]


def _same_number(vector: str, wanted: int, there: int) -> None:
    if wanted > there:
        raise FormatFailure(f"its commands refer to more {vector} than there are")
    if wanted < there:
        raise FormatFailure(f"it has more {vector} than its commands refer to")


def write_commands(commands: Sequence[Command]) -> dict[str, Array]:
    """The vectors of a segment's table that hold its commands.

    Raises:
        ValueError: a command is none.
    """
    kinds = [kind_of(command) for command in commands]
    number = {kind.name: i for i, kind in enumerate(COMMANDS)}
    headers = np.zeros(len(commands), COMMAND)
    headers["layer"] = [command.layer for command in commands]
    headers["waits"] = [len(command.waits) for command in commands]
    headers["kind"] = [number[kind.name] for kind in kinds]
    waits = [token for command in commands for token in command.waits]
    vectors: dict[str, Array] = {"commands": headers, "waits": np.array(waits, "<u4")}
    for kind in COMMANDS:
        mine = [c for c, k in zip(commands, kinds, strict=True) if k is kind]
        vectors[kind.vector] = _structs(kind, mine)
    programs = [cast("Any", c) for c, k in zip(commands, kinds, strict=True) if k.has_program]
    vectors["operands"] = SRAM_TILE.write([t for c in programs for t in c.operands])
    vectors["parameters"] = PARAMETER.write([p for c in programs for p in c.parameters])
    instructions: list[Instruction] = [i for c in programs for i in c.program]
    structs = INSTRUCTION.write(instructions)
    structs["operands"] = [len(i.operands) for i in instructions]
    structs["immediates"] = [len(i.immediates) for i in instructions]
    vectors["instructions"] = structs
    vectors["registers"] = np.array([r for i in instructions for r in i.operands], "<u2")
    vectors["immediates"] = np.array([v for i in instructions for v in i.immediates], "<i8")
    return vectors


def _structs(kind: CommandKind, commands: Sequence[Any]) -> Array:
    structs = kind.struct.write(commands)
    if kind.has_program:
        for attribute, vector in _LISTS.items():
            structs[vector] = [len(getattr(command, attribute)) for command in commands]
    return structs
