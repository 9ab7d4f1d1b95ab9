"""What commands take of the instruction memory, by our encoding (`enf.commands`).

The vendor's encoding is not public; its instruction memory is: 256 KiB, and longer programs are
loaded in pieces (`size_instruction_memory`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from furiosa_ir.backends.warboy.enf.commands import INSTRUCTION, PARAMETER, SRAM_TILE, kind_of
from furiosa_ir.backends.warboy.enf.records import Command

_TOKEN_BYTES = 4
_ISSUE_BYTES = 12
"""Kind, layer and number of tokens (`enf.layout.COMMAND`)."""
_REGISTER_BYTES, _IMMEDIATE_BYTES = 2, 8


def instruction_bytes(command: Command) -> int:
    """Bytes of a command with its tokens, places and vector program."""
    kind = kind_of(command)
    size = _ISSUE_BYTES + kind.struct.dtype.itemsize + _TOKEN_BYTES * len(command.waits)
    if kind.has_program:
        with_program: Any = command
        size += SRAM_TILE.dtype.itemsize * len(with_program.operands)
        size += PARAMETER.dtype.itemsize * len(with_program.parameters)
        for instruction in with_program.program:
            size += INSTRUCTION.dtype.itemsize
            size += _REGISTER_BYTES * len(instruction.operands)
            size += _IMMEDIATE_BYTES * len(instruction.immediates)
    return size


def pieces(commands: Sequence[Command], memory: int) -> Iterator[int]:
    """For each command the piece of the program that it stands in.

    Args:
        commands: in order of issue.
        memory: bytes of the instruction memory, which a piece fills.
    """
    used = piece = 0
    for command in commands:
        size = instruction_bytes(command)
        if used and used + size > memory:
            piece, used = piece + 1, 0
        used += size
        yield piece
