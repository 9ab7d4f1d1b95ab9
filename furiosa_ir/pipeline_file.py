"""Pipelines in files: TOML with a pipeline, or with its phases, and edits.

    # What runs in place of the compiler's own passes; left out, those.
    pipeline = "graph, ftensor(lower-to-ftensor)"

    # Or phase by phase, in the order in which they run: "default" is all of one.
    [phases]
    graph = ["graph-fold-quantization", "my-pass{limit=3}", "graph-partition"]
    ftensor = "default"

    # What is changed of that, in order.
    [[edit]]
    insert-after = "graph-partition"
    passes = "my-pass{limit=3}"

    [[edit]]
    skip = "graph-sink-movement"

Nothing of it is run: passes are names, which the compiler or a plug-in has (`--load`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, cast

from furiosa_ir.errors import FuriosaError
from furiosa_ir.input_files import open_input
from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest

_MOST_BYTES = 1 << 20
_KEYS = ("pipeline", "phases", "edit")
_KINDS = {kind.value: kind for kind in EditKind}
_PASSES = "passes"
_DEFAULT = "default"

_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)$")
_TOKEN = re.compile(
    r'"""(?:[^\\"]|\\.|"(?!""))*+"""|' + r"'''(?:[^']|'(?!''))*+'''|" + r'"(?:[^"\\\n]|\\.)*+"|'
    r"'[^'\n]*+'|#[^\n]*+|\n|[\[\]{}=,]|[^\s\[\]{}=,#\"']++",
    re.DOTALL,
)


def read_pipeline_file(path: Path) -> PipelineRequest:
    """The pipeline of a file.

    Raises:
        FuriosaError: it cannot be read, is no TOML, or holds something else; with the line.
    """
    try:
        with open_input(path) as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FuriosaError(
            f"cannot be read: {reason[:1].lower()}{reason[1:]}", file=str(path)
        ) from None
    if len(data) > _MOST_BYTES:
        raise FuriosaError(f"has more than {_MOST_BYTES} bytes", file=str(path))
    try:
        made = parse_pipeline_file(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError:
        raise FuriosaError("is not text in UTF-8", file=str(path)) from None
    return replace(made, files=(path,))


def parse_pipeline_file(text: str, name: str = "<toml>") -> PipelineRequest:
    """The pipeline of a file's text.

    Args:
        text: TOML.
        name: the file's, for errors.

    Raises:
        FuriosaError: as `read_pipeline_file`.
    """
    text = text.replace("\r\n", "\n")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        where = f"{name}:{place[1]}:{place[2]}" if place else f"{name}:{text.count(chr(10)) + 1}"
        reason = _PLACE.sub("", message).removesuffix("(at end of document)").strip()
        raise FuriosaError(f"is no TOML: {reason[:1].lower()}{reason[1:]}", file=where) from None
    except RecursionError:
        raise FuriosaError("is nested too deeply", file=name) from None
    return _File(name, _lines(text)).read(table)


@dataclass
class _File:
    """A file that parses, while its values are looked at.

    Attributes:
        name: for errors.
        lines: the line of each key; of `[[edit]]` tables: "edit", number, key.
    """

    name: str
    lines: dict[tuple[str | int, ...], int]

    def read(self, table: dict[str, object]) -> PipelineRequest:
        for key in table:
            if key not in _KEYS:
                self._fail((key,), f"there is no key '{key}'", f"the keys are {', '.join(_KEYS)}")
        if "pipeline" in table and "phases" in table:
            self._fail(("phases",), "it has a pipeline already", "give 'pipeline' or 'phases'")
        text = None
        if "pipeline" in table:
            text = self._passes(table["pipeline"], ("pipeline",))
        elif "phases" in table:
            text = self._phases(table["phases"])
        edits = tuple(self._edits(table.get("edit", [])))
        if text is None and not edits:
            self._fail((), "says nothing of a pipeline", f"the keys are {', '.join(_KEYS)}")
        key = "phases" if "phases" in table else "pipeline"
        return PipelineRequest(text, edits, "" if text is None else self._where((key,)))

    def _phases(self, phases: object) -> str:
        if not isinstance(phases, dict) or not phases:
            self._fail(
                ("phases",), "'phases' is no table of phases", "[phases], then graph = [...]"
            )
        made: list[str] = []
        for phase, passes in cast("dict[str, object]", phases).items():
            text = self._passes(passes, ("phases", phase))
            made.append(phase if text == _DEFAULT else f"{phase}({text})")
        return ",".join(made)

    def _edits(self, edits: object) -> Iterator[Edit]:
        entries = cast("list[object]", edits) if isinstance(edits, list) else [None]
        for index, edit in enumerate(entries):
            if not isinstance(edit, dict):
                self._fail(("edit",), "'edit' is no list of edits", "[[edit]], then skip = ...")
            yield self._edit(cast("dict[str, object]", edit), index)

    def _edit(self, edit: dict[str, object], index: int) -> Edit:
        here = ("edit", index)
        kinds = [key for key in edit if key in _KINDS]
        for key in edit:
            if key not in (*_KINDS, _PASSES):
                known = ", ".join((*_KINDS, _PASSES))
                self._fail((*here, key), f"an edit has no key '{key}'", f"its keys are {known}")
        if len(kinds) != 1:
            several = f"an edit does one thing, not {' and '.join(kinds)}" if kinds else None
            known = ", ".join(_KINDS)
            self._fail(here, several or "an edit does not say what it does", f"one of {known}")
        (name,) = kinds
        at, kind = edit[name], _KINDS[name]
        if not isinstance(at, str) or not at.strip():
            self._fail((*here, name), f"'{name}' takes the name of a pass", f'{name} = "a-pass"')
        if kind is EditKind.SKIP and _PASSES in edit:
            self._fail((*here, _PASSES), "what is skipped has no passes", "'replace' has")
        if kind is not EditKind.SKIP and _PASSES not in edit:
            self._fail((*here, name), f"'{name}' lacks passes", 'passes = "my-pass{limit=3}"')
        passes = "" if kind is EditKind.SKIP else self._passes(edit[_PASSES], (*here, _PASSES))
        return Edit(kind, at, passes, self._where((*here, name)))

    def _passes(self, value: object, key: tuple[str | int, ...]) -> str:
        """A pipeline text, or a list of such."""
        entries = cast("list[object]", value) if isinstance(value, list) else [value]
        texts = [entry for entry in entries if isinstance(entry, str)]
        if len(texts) != len(entries):
            hint = f'{key[-1]} = "a,b{{option=1}}", or a list of such texts'
            self._fail(key, f"'{key[-1]}' takes passes", hint)
        return ",".join(text for text in texts if text.strip())

    def _where(self, key: tuple[str | int, ...]) -> str:
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.name}:{self.lines[key]}" if key else self.name

    def _fail(self, key: tuple[str | int, ...], message: str, hint: str) -> NoReturn:
        raise FuriosaError(message, file=self._where(key), hint=hint)


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of each table and key of a TOML text that parses, which `tomllib` does not tell."""
    lines: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    count: dict[str, int] = {}
    line, brackets, words = 1, 0, list[str]()
    for match in _TOKEN.finditer(f"{text}\n"):
        word = match[0]
        if word == "\n" and not brackets:  # a statement ends; within a value it would be a blank
            if words[:2] == ["[", "["]:
                name = _key(words[2])
                count[name] = count.get(name, -1) + 1
                table = (name, count[name])
            elif words[:1] == ["["]:
                table = (_key(words[1]),)
            if words[:1] == ["["]:
                lines.setdefault(table[:1], line)
                lines.setdefault(table, line)
            words = []
        elif word == "=" and "=" not in words:
            lines.setdefault((*table, _key(words[0])), line)
        if "=" in words:
            brackets += {"[": 1, "{": 1, "]": -1, "}": -1}.get(word, 0)
        if word != "\n" and word[0] != "#":
            words.append(word)
        line += word.count("\n")
    return lines


def _key(word: str) -> str:
    """A key without its quotes; of a dotted one the first part."""
    return word[1:-1] if word[0] in "\"'" else word.partition(".")[0]
