"""What is checked of a text before it is parsed: its length, its nesting, the types it names.

The parser is recursive, takes quadratic time for the extents of a type, and computes an integer
type's range from its width: `i1000000000` takes a gigabyte before anything could refuse it.
"""

from __future__ import annotations

import re

from furiosa_ir.errors import ImportFailure
from furiosa_ir.limits import limit, way_out

_WIDEST = 1 << 12
"""Bits of an integer type; MLIR's own bound is 2^24, hardware's 64."""

_INTERESTING = re.compile(
    r'"(?:[^"\\\n]++|\\.)*+"?|//[^\n]*|->|[(\[{<>}\])]|\b(?:su?|u)?i(?P<width>\d{4,})\b'
    r"|(?<!\d)(?P<extents>(?:(?:\d++|\?)x){17,}+)"
)


def check_text(text: str) -> None:
    """Refuses text that is too long or too deeply nested for the parser.

    Raises:
        ImportFailure: it is.
    """
    if len(text) > limit("TEXT_BYTES"):
        raise ImportFailure(f"the text has {len(text)} characters", hint=way_out("TEXT_BYTES"))
    depth, deepest = 0, limit("NESTING")
    for found in _INTERESTING.finditer(text):
        piece = found[0]
        if piece in "([{<":
            depth += 1
            if depth > deepest:
                raise ImportFailure(
                    f"line {_line(text, found)}: is nested too deeply", hint=way_out("NESTING")
                )
        elif piece in ")]}>":
            depth = max(0, depth - 1)
        elif found["extents"] and (rank := piece.count("x")) > limit("RANK"):
            raise ImportFailure(
                f"line {_line(text, found)}: a tensor has {rank} dimensions", hint=way_out("RANK")
            )
        elif found["width"] and (len(found["width"]) > 9 or int(found["width"]) > _WIDEST):
            raise ImportFailure(f"line {_line(text, found)}: there are no integers of so many bits")


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1
