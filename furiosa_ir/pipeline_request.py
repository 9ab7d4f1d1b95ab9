"""What somebody asks of a pipeline, as data: another one, and edits. `pipeline_selection` does it.

Names and texts alone, so that the compiler cache can tell two compiles apart without loading one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from furiosa_ir.errors import FuriosaError


class EditKind(Enum):
    """What an edit does; the values are the names of its option and in files."""

    INSERT_BEFORE = "insert-before"
    INSERT_AFTER = "insert-after"
    REPLACE = "replace"
    SKIP = "skip"


@dataclass(frozen=True)
class Edit:
    """One change of a pipeline.

    Attributes:
        kind: what it does.
        at: the pass that it is about: its name, `NAME#2` for the second one of that name.
        passes: a pipeline text: what is inserted, or stands in its place; empty for a skip.
        where: what asks for it, for messages: `--skip`, `edits.toml:3`.
    """

    kind: EditKind
    at: str
    passes: str = ""
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class PipelineRequest:
    """Which passes somebody asks for.

    Attributes:
        text: a pipeline in place of the default one, as `furiosa-opt -p` takes it; None: that.
        edits: what to change of the passes that run otherwise, in order.
        where: what the text comes from, for messages: `edits.toml:3`.
        files: what it was read from, which no output may replace.
    """

    text: str | None = None
    edits: tuple[Edit, ...] = ()
    where: str = field(default="", compare=False)
    files: tuple[Path, ...] = field(default=(), compare=False)


AS_EVER = PipelineRequest()
"""The default pipeline, from where the module is."""


def edit_of_option(kind: EditKind, value: str) -> Edit:
    """The edit that a command line asks for: `PASS=MINE`, and `PASS` alone for a skip.

    Raises:
        FuriosaError: it has another form.
    """
    where = f"--{kind.value}"
    at, equals, passes = (part.strip() for part in value.partition("="))
    if kind is EditKind.SKIP:
        if equals or not at or "," in at:
            hint = f"{where} PASS, as often as needed"
            raise FuriosaError("it takes the name of one pass", file=where, hint=hint)
    elif not at or not passes or "," in at:
        raise FuriosaError(
            f"'{value}' does not say which pass and which passes",
            file=where,
            hint=f"{where} PASS=MINE, as {where} graph-partition='mine{{limit=3}}'",
        )
    return Edit(kind, at, passes, where)
