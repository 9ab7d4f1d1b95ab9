"""How IR text is recognised and where its constants lie: what is asked before parsing."""

from __future__ import annotations

import re
from pathlib import Path

_IR_TEXT = re.compile(
    rb'(\s|//[^\n]*\n)*("builtin\.module"|builtin\.module|module|func\.func|"func\.func")\b|//'
)


def is_ir_text(head: bytes) -> bool:
    """Whether a file that begins with these bytes is IR text: a module, a function or a comment."""
    return _IR_TEXT.match(head) is not None


def constants_path(path: Path) -> Path:
    """Where the large constants of a text file are: `a.mlir` -> `a.safetensors`.

    For a file of another name `.safetensors` is appended, so that `out.graph` and `out.ftensor` do
    not share one.
    """
    if path.suffix == ".mlir":
        return path.with_suffix(".safetensors")
    return path.parent / f"{path.name}.safetensors"
