"""Whether what an entry holds is a program, and the one that was asked for.

Who may write to a store can give an entry the right key and checksum, whatever is in it. A hit
looks at the program's head; `furiosa cache verify` reads all of it, as a session does.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from furiosa_ir.backends import backend_of_content, default_backend, read_program
from furiosa_ir.cache.entry import Entry
from furiosa_ir.errors import FormatFailure
from furiosa_ir.program_head import Head

if TYPE_CHECKING:
    from furiosa_ir.plugin_source import Plugin


def fault_of_hit(
    entry: Entry,
    target: str | None,
    source_hash: str | None,
    plugins: Sequence[Plugin] = (),
) -> str | None:
    """Why a program is not the one that was asked for, in a clause; None if it seems to be.

    Args:
        entry: from a store.
        target: what it should be compiled for; None: the source tells.
        source_hash: SHA-256 of the model, if a program of it would record that.
        plugins: code that may declare the program's backend.

    Raises:
        OSError: the program's file cannot be read.
    """
    try:
        head = _head(entry, plugins)
    except FormatFailure as failure:
        return f"its program is none: {failure.message}"
    if target is not None and head.target != target:
        return "its program is for another target"
    if source_hash is not None and head.source_hash != source_hash:
        return "its program is of another model"
    return None


def _head(entry: Entry, plugins: Sequence[Plugin]) -> Head:
    if not isinstance(entry.program, Path):
        return _head_of(entry.program, entry.checksum, plugins)
    with entry.program.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise FormatFailure("it is empty") from None
    return _head_of(memoryview(data), entry.checksum, plugins)


def _head_of(program: bytes | memoryview, checksum: int, plugins: Sequence[Plugin]) -> Head:
    backend = backend_of_content(program, further=True, plugins=plugins)
    return (backend or default_backend()).container.head(program, checksum)  # says what is wrong


def fault_of_program(file: Path) -> str | None:
    """What its reader has to say against a program's file, in a clause; None if it reads it."""
    try:
        read_program(file)
    except FormatFailure as failure:
        return f"its program is none: {failure.message}"
    return None
