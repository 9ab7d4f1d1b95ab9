"""What installed distributions declare: the entry points of two groups.

    [project.entry-points."furiosa_ir.backends"]
    toy = "toy_backend:BACKEND"

    [project.entry-points."furiosa_ir.plugins"]
    straight = "straight_tables"

The second names a module that declares passes, and whatever else a plug-in may. Both are looked for
when something is asked for that nobody here knows (a target, a device, a file of another format, a
pass), or that might be theirs (IR text, an edited pipeline). Most processes never look:
`importlib.metadata` alone takes 20 ms.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from furiosa_ir.errors import FuriosaError
from furiosa_ir.plugins import load_plugins

_LOG = logging.getLogger(__name__)

GROUPS = {"furiosa_ir.backends": "backend", "furiosa_ir.plugins": "plug-in"}
"""Group of entry points -> what one of it is."""

_UNUSED = "the %s '%s' is not used: %s"


@cache
def load_installed(register: Callable[[Any], object]) -> bool:
    """Registers what is installed, once in a process.

    They are plug-ins as any (`furiosa_ir.plugins`): programs in the cache depend on their code. One
    that does not load is a warning, as others may have nothing to do with it.

    Args:
        register: takes what an entry point names (`backends.register`).

    Returns:
        Whether a distribution declares anything.
    """
    if not _any_declared():
        return False
    from importlib.metadata import entry_points  # noqa: PLC0415  # 20 ms

    for group, kind in GROUPS.items():
        form = "MODULE:NAME" if kind == "backend" else "MODULE"
        for entry in entry_points(group=group):
            if not entry.pattern.match(entry.value) or (entry.attr and kind != "backend"):
                _LOG.warning(_UNUSED, kind, entry.name, f"'{entry.value}' is no {form}")
                continue
            try:
                load_plugins([entry.module])
                if entry.attr:
                    register(getattr(import_module(entry.module), entry.attr))
            except (FuriosaError, AttributeError, TypeError) as error:
                _LOG.warning(_UNUSED, kind, entry.name, error)
    return True


def _any_declared() -> bool:
    """Whether a distribution on the path has such entry points, by a look at their lists."""
    marks = [f"[{group}]".encode() for group in GROUPS]
    for folder in map(Path, sys.path):
        with suppress(OSError):
            for declared in folder.glob("*-info/entry_points.txt"):
                text = declared.read_bytes()
                if any(mark in text for mark in marks):
                    return True
    return False
