"""How what stands in front of the cursor may go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from furiosa_ir.tools.catalogue import records
from furiosa_ir.tools.language_server.document import Document

Kind = Literal["operation", "pass", "phase", "option", "value", "symbol", "alias"]

_RUN = re.compile(r"//\s*RUN:")
_PIPELINE = re.compile(r"(?:-p|--pass-pipeline)[ =][\"']?[^\"' ]*$")
_NAMED = re.compile(
    r"--(?:print-ir-(?:before|after)|insert-before|insert-after|replace|skip)[ =]\S*$"
)
_WORD = re.compile(r"[%@#!]?[\w$.-]*$")


@dataclass(frozen=True)
class Proposal:
    """One way to go on.

    Attributes:
        text: the whole word.
        kind: what it names.
        detail: half a sentence about it.
        documentation: more, as Markdown.
    """

    text: str
    kind: Kind
    detail: str = ""
    documentation: str = ""


def is_run_line(text: str) -> bool:
    """Whether a comment is a command of a lit test."""
    return _RUN.match(text) is not None


def completions(document: Document, offset: int) -> tuple[int, list[Proposal]]:
    """Where the word begins that is being typed, and what it may become.

    Args:
        document: the text.
        offset: where the cursor stands, in characters from the beginning.
    """
    line = document.text[document.text.rfind("\n", 0, offset) + 1 : offset]
    match = _WORD.search(line)
    assert match is not None  # it matches nothing, too
    word = match[0]
    if is_run_line(line.lstrip()):
        word = re.split(r"[ ,=(\"']", line)[-1]
        found = list(_of_command(line, word))
    elif "//" in line:
        found = []
    else:
        found = list(_of_ir(document, offset, line, word))
    return offset - len(word), [p for p in found if p.text.startswith(word)]


def _of_command(line: str, word: str) -> Iterator[Proposal]:
    if _PIPELINE.search(line) or _NAMED.search(line):
        for record in records("passes"):
            yield Proposal(record["name"], "pass", record["summary"], record["description"])
        if _PIPELINE.search(line):
            phases = {p.partition(":")[2] for r in records("passes") for p in r["phases"]}
            yield from (
                Proposal(name, "phase", "a phase of the pipeline") for name in sorted(phases)
            )
    elif word.startswith("-"):
        from furiosa_ir.tools.opt import main  # noqa: PLC0415  # with all of the command line

        for parameter in main.params:
            for option in parameter.opts:
                text = str(getattr(parameter, "help", None) or "")
                yield Proposal(option, "option", text.partition(". ")[0])


def _of_ir(document: Document, offset: int, line: str, word: str) -> Iterator[Proposal]:
    match word[:1]:
        case "%":
            for name in document.index.visible(offset):
                if name.definition is not None:
                    yield Proposal(name.text, "value")
        case "@":
            for name in document.index.declared("symbol", offset):
                yield Proposal(name.text, "symbol")
        case "#" | "!":
            for name in document.index.declared("alias", offset):
                yield Proposal(name.text, "alias")
        case _:
            before = line[: len(line) - len(word)].rstrip()
            if before == "" or before.endswith(("=", "{")):
                for record in records("ops"):
                    yield Proposal(
                        record["name"], "operation", record["summary"], record["description"]
                    )
