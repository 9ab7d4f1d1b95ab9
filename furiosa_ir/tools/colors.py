"""Colours of IR text on a terminal; files and pipes have none, unless `--color always` asks."""

from __future__ import annotations

import io
import os
import re
from typing import TextIO

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from furiosa_ir.ir.extensions import dialects

_TOKENS = (
    r'(?P<string>"(?:[^"\\\n]|\\.)*+")|(?P<comment>//[^\n]*)'
    r"|(?P<value>%[\w$.-]+)|(?P<symbol>@[\w$.-]+)"
    r"|(?P<type>![\w$.]+|\btensor(?=<)|(?<=[x<])\w*[fiu]\d+(?=>))"
    r"|(?P<attribute>#[\w$.]+)"
    r"|(?P<operation>\b(?:DIALECTS)\.\w+|\bloc\b)"
)
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


def painted(text: str) -> str:
    """IR text with ANSI colours; without them it is the same text."""
    shown = Text(text, end="")
    tokens = _TOKENS.replace("DIALECTS", "|".join(map(re.escape, dialects())))
    shown.highlight_regex(tokens, style_prefix="ir.")
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, color_system="standard", theme=_THEME, no_color=False
    )
    console.print(shown, soft_wrap=True, end="")
    return file.getvalue()
