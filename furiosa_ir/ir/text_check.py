"""What is checked of a text before it is parsed: its length, its nesting, its numbers and types.

The parser is recursive, takes quadratic time for the extents of a type and the digits of a number,
and computes an integer type's range from its width: `i1000000000` takes a gigabyte before anything
could refuse it.
"""

from __future__ import annotations

import re

from furiosa_ir.errors import ImportFailure
from furiosa_ir.ir.positions import diagnostic_at
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


def check_text(text: str, name: str = "<text>") -> None:
    """Refuses text that is too long or too deeply nested for the parser.

    Args:
        text: all of it.
        name: the file, for errors.

    Raises:
        ImportFailure: it is.
    """
    if len(text) > limit("TEXT_BYTES"):
        message = f"the text has {len(text)} characters"
        raise ImportFailure(message, file=name, hint=way_out("TEXT_BYTES"))
    depth, deepest = 0, limit("NESTING")
    for found in _INTERESTING.finditer(text):
        piece = found[0]
        if piece in "([{<":
            depth += 1
            if depth > deepest:
                raise _failure("is nested too deeply", text, found, name, "NESTING")
        elif piece in ")]}>":
            depth = max(0, depth - 1)
        elif found["extents"] and (rank := piece.count("x")) > limit("RANK"):
            raise _failure(f"a tensor has {rank} dimensions", text, found, name, "RANK")
        elif found["digits"] and len(piece) > limit("DIGITS"):
            raise _failure(f"a number has {len(piece)} digits", text, found, name, "DIGITS")
        elif found["affine"] is not None:
            depth += 1  # for the bracket that it begins with
            # A chain of operators is a tree as deep, whatever brackets it has.
            longest = max(
                len(_AFFINE_OPERATOR.findall(part)) for part in found["affine"].split(",")
            )
            if longest > deepest:
                message = f"an affine expression has {longest} operators"
                raise _failure(message, text, found, name, "NESTING")
        elif found["width"] and (len(found["width"]) > 9 or int(found["width"]) > _WIDEST):
            raise _failure("there are no integers of so many bits", text, found, name)


def _failure(
    message: str, text: str, found: re.Match[str], name: str, bound: str | None = None
) -> ImportFailure:
    """What is refused, with its place; `bound` is the limit that it passes."""
    place = diagnostic_at(text, found.start(), name, message)
    hint = None if bound is None else way_out(bound)
    failure = ImportFailure(message, file=place.place, hint=hint)
    failure.diagnostics = (place,)
    return failure
