"""Colours of IR text on a terminal; files and pipes have none, unless `--color always` asks."""

from __future__ import annotations

import io
import os
from typing import TextIO

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from furiosa_ir.ir.text_tokens import token_pattern

_THEME = Theme(
    {
        "ir.string": "green",
        "ir.comment": "bright_black",
        "ir.value": "magenta",
        "ir.symbol": "yellow",
        "ir.type": "cyan",
        "ir.attribute": "blue",
        "ir.operation": "bold",
    }
)


def is_colored(when: str, *, is_terminal: bool) -> bool:
    """Whether text that goes to a stream has colours.

    Args:
        when: "always", "never", or "auto": on a terminal, unless NO_COLOR is set (no-color.org).
        is_terminal: whether it goes to one.
    """
    if when != "auto":
        return when == "always"
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def colored(text: str, when: str, stream: TextIO) -> str:
    """The text with colours for a terminal, where the stream is to have them."""
    return painted(text) if is_colored(when, is_terminal=stream.isatty()) else text


def colored_difference(text: str, when: str, stream: TextIO) -> str:
    """A unified diff with the colours of git's, where the stream is to have them."""
    if not is_colored(when, is_terminal=stream.isatty()):
        return text
    lines = text.split("\n")
    return "\n".join(_painted_difference(line) for line in lines)


_OF_DIFFERENCE = {"---": "1", "+++": "1", "@@ ": "36", "-": "31", "+": "32", "//": "90"}
"""Beginning of a line -> its colour (ECMA-48, SGR)."""


def _painted_difference(line: str) -> str:
    for begin, color in _OF_DIFFERENCE.items():
        if line.startswith(begin):
            return f"\x1b[{color}m{line}\x1b[0m"
    return line


def painted(text: str) -> str:
    """IR text with ANSI colours; without them it is the same text."""
    shown = Text(text, end="")
    shown.highlight_regex(token_pattern(), style_prefix="ir.")
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, color_system="standard", theme=_THEME, no_color=False
    )
    console.print(shown, soft_wrap=True, end="")
    return file.getvalue()
