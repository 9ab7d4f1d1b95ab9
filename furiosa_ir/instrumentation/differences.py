"""What a pass changed, as a unified diff of the IR before and after it."""

from __future__ import annotations

import difflib


def unified(before: str, after: str, name: str) -> str:
    """The difference of two texts; "" where there is none.

    Args:
        before, after: the texts.
        name: what lies between them.
    """
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"before {name}", f"after {name}", lineterm=""
    )
    return "\n".join(lines)
