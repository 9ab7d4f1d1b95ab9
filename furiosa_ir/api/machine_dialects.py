"""The dialects of machines, which are their backends': by name, as those of plug-ins are."""

from __future__ import annotations

import importlib
from types import ModuleType

from furiosa_ir.backends import look_for_installed
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.extensions import dialects


def dialect(name: str) -> ModuleType:
    """The module that declares a dialect; its operations are in it: `fi.dialect("graph").ReluOp`.

    Args:
        name: as `furiosa list dialects` has it: a backend's own, or one of the levels in front.

    Raises:
        FuriosaError: there is none.
    """
    look_for_installed()
    known = dialects()
    if name not in known:
        raise FuriosaError(
            f"there is no dialect '{name}'", hint=f"there are: {', '.join(sorted(known))}"
        )
    return importlib.import_module(known[name].partition(":")[0])
