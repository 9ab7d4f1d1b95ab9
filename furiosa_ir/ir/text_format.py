"""How IR text is recognised and where its constants lie: what is asked before parsing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from furiosa_ir.ir.extensions import dialects

# Possessive, as what is read may be hostile: nothing is looked at twice.
_PREAMBLE = rb"""(?:\xef\xbb\xbf)?+           # a byte order mark
    (?: \s++
      | //[^\n]*+
      | [#!][A-Za-z_][\w$.-]*+[ \t]*+=[ \t]*+   # an alias: #map = affine_map<...>, !t = i8
        (?:loc\(|[#!"\[{@]|\w++<|(?:s|u)?i\d|b?f\d|tensor|index|none|unit|true|false
          |[-+]?[\d.]++[^\n:]*+:)[^\n]*+
        (?:\n[ \t]++["\da-f.:,{}<> +-]++)*+        # more of the scales of a quantised type
    )*+"""

_OPERATION = rb"""(?:builtin\.)?module\s*+(?:[@{]|attributes\b|loc\()
    | (?:DIALECTS)\.[a-z]
    | "[A-Za-z_][\w$]*+(?:\.[\w$-]++)++"\s*+\(    # generic
    | [a-z_]\w*+(?:\.\w++)++\s++[%@]              # of another dialect
    | %[\w$.-]++(?::\d++)?+\s*+(?:,\s*+%|=)
    | \{-\#                                       # resources
    """

_CUT = rb"(?:/|[#!](?:[A-Za-z_][\w$.-]*+[ \t]*+(?:=[^\n]*+)?+)?+)\Z"
"""An alias or a comment of which more stands behind what was looked at."""


SPLIT_LINE = re.compile(r"^// -----.*$\n?", re.MULTILINE)
"""What stands between the parts of a text with several modules, as for mlir-opt's
-split-input-file."""


def split_parts(text: str) -> Iterator[tuple[int, str]]:
    """The parts of a text that are not blank, each behind the offset at which it begins."""
    begin = 0
    for match in [*SPLIT_LINE.finditer(text), None]:
        end = match.start() if match else len(text)
        if text[begin:end].strip():
            yield begin, text[begin:end]
        begin = match.end() if match else end


def is_ir_text(head: bytes) -> bool:
    """Whether a file that begins with these bytes is MLIR text, in custom or in generic form.

    Comments and aliases may stand in front of the first operation; nothing else may.
    """
    preamble = re.match(_PREAMBLE, head, re.VERBOSE)
    assert preamble is not None
    if preamble.end() == len(head):
        return b"//" in head or b"=" in head  # more than blanks
    if _operation(*dialects()).match(head, preamble.end()) is not None:
        return True
    # Aliases of a large network, and comments, may be longer than what a reader looks at.
    if preamble.end() == 0:
        return False
    rest = head[preamble.end() :]
    starts = (f"{name}." for name in dialects())
    return re.match(_CUT, rest) is not None or any(s.encode().startswith(rest) for s in starts)


@cache
def _operation(*names: str) -> re.Pattern[bytes]:
    """What an operation begins with, given the dialects' names."""
    known = "|".join(map(re.escape, names)).encode()
    return re.compile(_OPERATION.replace(b"DIALECTS", known), re.VERBOSE)


def constants_path(path: Path) -> Path:
    """Where the large constants of a text file are: `a.mlir` -> `a.safetensors`.

    For a file of another name `.safetensors` is appended, so that `out.graph` and `out.ftensor` do
    not share one.
    """
    if path.suffix == ".mlir":
        return path.with_suffix(".safetensors")
    return path.parent / f"{path.name}.safetensors"


SHARED_CONSTANTS = "shared-constants.safetensors"
"""The constants of all texts in a folder that have none beside them: of the dumps of a compile."""


def constants_to_read(path: Path) -> Path:
    """Where the large constants of a text file are read from, which need not be there."""
    beside, shared = constants_path(path), path.parent / SHARED_CONSTANTS
    return shared if shared.exists() and not beside.exists() else beside
