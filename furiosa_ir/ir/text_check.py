"""What is checked of a text before it is parsed: its length, its nesting, its numbers and types.

The parser is recursive, takes quadratic time for the extents of a type and the digits of a number,
and computes an integer type's range from its width: `i1000000000` takes a gigabyte before anything
could refuse it.
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
    r"|(?P<digits>(?:0x[\da-fA-F]{64,}+|\d{64,}+))"
    r"|\baffine_(?:map|set)<(?P<affine>(?:->|>=|<=|[^<>])*+)"
)
_AFFINE_OPERATOR = re.compile(r"[+*]|-(?!>)|\b(?:floordiv|ceildiv|mod)\b")


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
        elif found["digits"] and len(piece) > limit("DIGITS"):
            raise ImportFailure(
                f"line {_line(text, found)}: a number has {len(piece)} digits",
                hint=way_out("DIGITS"),
            )
        elif found["affine"] is not None:
            depth += 1  # for the bracket that it begins with
            # A chain of operators is a tree as deep, whatever brackets it has.
            longest = max(
                len(_AFFINE_OPERATOR.findall(part)) for part in found["affine"].split(",")
            )
            if longest > deepest:
                raise ImportFailure(
                    f"line {_line(text, found)}: an affine expression has {longest} operators",
                    hint=way_out("NESTING"),
                )
        elif found["width"] and (len(found["width"]) > 9 or int(found["width"]) > _WIDEST):
            raise ImportFailure(f"line {_line(text, found)}: there are no integers of so many bits")


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1
