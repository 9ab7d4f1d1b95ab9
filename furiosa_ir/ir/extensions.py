"""What text and pipelines may name, by name: dialects, and packages of passes.

Names, so that this layer imports no dialect and no pass, and so that whoever only asks for names
(the cache, of a text) loads no xDSL. Backends add their own when they are registered.
"""

from __future__ import annotations

import importlib

_DIALECTS: dict[str, str] = {
    "builtin": "xdsl.dialects.builtin:Builtin",
    "func": "xdsl.dialects.func:Func",
    "quant": "furiosa_ir.dialects.quant:Quant",
    "graph": "furiosa_ir.dialects.graph:Graph",
    "ftensor": "furiosa_ir.dialects.ftensor:FTensor",
}
_PASS_PACKAGES = ["furiosa_ir.passes"]

_DECLARING = "furiosa_ir.backends"
"""What is imported before the first look: the backends that come with the project."""


def add_dialect(name: str, target: str) -> None:
    """Makes a dialect known: its name, and the "module:object" that it is."""
    _DIALECTS[name] = target


def add_pass_package(package: str) -> None:
    """Makes the passes known that the modules of a package declare."""
    if package not in _PASS_PACKAGES:
        _PASS_PACKAGES.append(package)


def dialects() -> dict[str, str]:
    """Dialect -> "module:object"."""
    importlib.import_module(_DECLARING)
    return _DIALECTS


def pass_packages() -> list[str]:
    """Packages whose modules declare passes."""
    importlib.import_module(_DECLARING)
    return _PASS_PACKAGES


def look_for_installed() -> None:
    """Loads the backends and plug-ins that are installed: somebody asks for what nobody knows."""
    importlib.import_module(_DECLARING).look_for_installed()
