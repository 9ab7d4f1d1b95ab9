"""The blocks of a page: what is run, what is shown, and what the page says of that to the tests.

Commands are fences of `sh`, and indented lines that begin with a program; Python is fences of
`python`; a fence behind "`NAME`:" is the content of a file; one without a language behind commands
is what they print, among other things. A comment in front of a block (readers do not see it) says
what is not as usual:

    <!-- run: exit code 1 -->      the last command ends with it
    <!-- run: figures -->          what is shown has figures of the machine: others are as good
    <!-- run: not, REASON -->      it is not run, for a reason that `not_run` knows
    <!-- run: shown -->            it is no output: it is to be read only
    <!-- run first                 Python that prepares what readers have themselves
    ... -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import dedent

from tests.conftest import ROOT

PROGRAMS = (
    *("dask", "docker", "furiosa", "furiosa-lsp", "furiosa-opt", "git", "make", "pip"),
    *("iree-compile", "iree-opt", "iree-run-module"),
)
"""What an indented line, or one of a fence without a language, is a command of."""
SHELL = ("bash", "console", "sh")

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>\w*)[^\n`]*\n(?P<text>.*?)^ *(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_INDENTED = re.compile(r"(?:^    [^\n]*\n(?:^\n(?=    ))*)+", re.MULTILINE)
_NOTE = re.compile(r"^<!-- run(?:: ([^\n]*?)| first\n(.*?)\n?)-->$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:^|.*\s)`([\w./-]+\.(?:json|mlir|py|toml|yaml))`:\s*$", re.DOTALL)
_PYTHON = re.compile(r"import \w+|from [\w.]+ import ")
_COMMAND = re.compile(rf"(?:\w+=\S+ )*(?:{'|'.join(PROGRAMS)}|python3?|export)(?: |$)")


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        kind: "sh", "python", "first" (Python that readers do not see), "file", "shown" (what
            commands print), or a language that nobody runs.
        text: its content.
        line: where it begins, from 1.
        name: of the file that it is the content of.
        note: what the page says of it to the tests, without `run: `.
    """

    kind: str
    text: str
    line: int
    name: str = ""
    note: str = ""

    @property
    def is_run(self) -> bool:
        """Whether it is something to run."""
        return self.kind in ("sh", "python")


def page_text(page: str) -> str:
    """The text of a page: below docs/, or from the root."""
    path = ROOT / "docs" / page
    return (path if path.exists() else ROOT / page).read_text(encoding="utf-8")


def blocks_of(text: str) -> list[Block]:
    """All blocks in their order."""
    found: list[tuple[int, int, Block]] = []
    for m in _FENCE.finditer(text):
        before = text[: m.start()].rstrip()
        language, content = m["language"], dedent(m["text"])
        language = "sh" if language in SHELL else language
        named = _FILE.match(before.rpartition("\n\n")[2]) if language != "sh" else None
        kind = "file" if named else language or _kind_of(content)
        block = Block(kind, content, _line(text, m.start()), named[1] if named else "")
        found.append((m.start(), m.end(), block))
    outside = list(text)
    for start, end, _ in found:
        outside[start:end] = "\n" * (end - start)
    for m in _INDENTED.finditer("".join(outside)):
        lines = [line[4:] for line in m[0].splitlines()]
        commands = [line for line in lines if _COMMAND.match(line)]
        if _PYTHON.match(lines[0]):
            block = Block("python", "\n".join(lines) + "\n", _line(text, m.start()))
            found.append((m.start(), m.end(), block))
        elif commands:
            block = Block("sh", "\n".join(commands) + "\n", _line(text, m.start()))
            found.append((m.start(), m.end(), block))
    notes = list(_NOTE.finditer(text))
    found += [
        (m.start(), m.end(), Block("first", m[2], _line(text, m.start())))
        for m in notes
        if m[2] is not None
    ]
    found.sort(key=lambda each: each[0])
    return [_noted(block, start, text, notes) for start, _, block in found]


def _noted(block: Block, start: int, text: str, notes: list[re.Match[str]]) -> Block:
    for m in notes:
        if m[1] is not None and not text[m.end() : start].strip() and m.end() <= start:
            return Block(block.kind, block.text, block.line, block.name, m[1].strip())
    return block


def _kind_of(text: str) -> str:
    """A fence without a language: commands, or what they print."""
    first = text.lstrip().removeprefix("$ ")
    return "sh" if _COMMAND.match(first) else "shown"


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
