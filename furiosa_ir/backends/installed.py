"""Backends of installed distributions: the entry points of the group `furiosa_ir.backends`.

    [project.entry-points."furiosa_ir.backends"]
    toy = "toy_backend:BACKEND"

They are looked for when something is asked for that nobody here knows (a target, a device, a file
of another format), or might name what they declare (IR text). Most processes never look:
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

GROUP = "furiosa_ir.backends"

_UNUSED = "the backend '%s' is not used: %s"


@cache
def load_installed(register: Callable[[Any], object]) -> None:
    """Registers the backends that are installed, once in a process.

    They are plug-ins as any (`furiosa_ir.plugins`): programs in the cache depend on their code. One
    that does not load is a warning, as others may have nothing to do with it.

    Args:
        register: takes what an entry point names (`backends.register`).
    """
    if not _any_declared():
        return
    from importlib.metadata import entry_points  # noqa: PLC0415  # 20 ms

    for entry in entry_points(group=GROUP):
        if not entry.pattern.match(entry.value):
            _LOG.warning(_UNUSED, entry.name, f"'{entry.value}' is no MODULE:NAME")
            continue
        try:
            load_plugins([entry.module])
            if entry.attr:
                register(getattr(import_module(entry.module), entry.attr))
        except (FuriosaError, AttributeError, TypeError) as error:
            _LOG.warning(_UNUSED, entry.name, error)


def _any_declared() -> bool:
    """Whether a distribution on the path has such entry points, by a look at their lists."""
    mark = f"[{GROUP}]".encode()
    for folder in map(Path, sys.path):
        with suppress(OSError):
            for declared in folder.glob("*-info/entry_points.txt"):
                if mark in declared.read_bytes():
                    return True
    return False
