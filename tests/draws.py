"""How much a test that draws at random draws: a fifth in `make test`, half in `make slow`.

`make slow DRAWS=all`, which nobody waits for, draws all of it.

Such a test has the mark `draws`: tests of hypothesis have it without being asked, others say so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

ALL = os.environ.get("DRAWS") in ("half", "all")
"""Whether what is enumerated, and not drawn, is enumerated whole."""
_PART = {"all": 1, "half": 2}.get(os.environ.get("DRAWS", ""), 5)
_LEAST = 3


def draws(number: int) -> int:
    """How many of `number` draws are made in this run."""
    return min(number, max(_LEAST, number // _PART))


def mostly_slow(values: Iterable[str | Path], *kept: str) -> list[object]:
    """Parameters of which `make test` takes those with the names kept, `make slow` the others."""
    params: list[object] = []
    left = set(kept)
    for value in values:
        name = Path(value).name
        params.append(pytest.param(value, marks=[] if name in left else [pytest.mark.slow]))
        left.discard(name)
    assert not left or not params, f"no such parameters: {left}"
    return params
