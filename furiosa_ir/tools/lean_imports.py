"""numpy and xDSL without the modules of theirs that a compile has no use for, and that take long.

While the library is imported, stand-ins that are next to nothing are in the place of such modules.
Afterwards they are gone again where anybody could ask for what the module has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

# ruff: noqa: PLC0415  # what is imported, and how, is what this is about

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_DOCSTRINGS = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")


def import_libraries() -> None:
    """Imports both, as compiles need them."""
    _import_numpy()
    _import_xdsl()


def _import_numpy() -> None:
    """Imports numpy without the threads that its OpenBLAS would start, and keep busy for 0.1 s.

    A compile multiplies no matrices that would need them. Nor does it read docstrings: numpy's
    functions in C get theirs from modules that have nothing else, which take a sixth of its import.
    Types for annotations (`numpy.typing`) take a fifth; the results of `numpy.linalg` name one.
    """
    if "numpy" in sys.modules:
        return
    for name in _DOCSTRINGS:
        sys.modules.setdefault(name, ModuleType(name))
    is_set = _BLAS_THREADS in os.environ
    os.environ.setdefault(_BLAS_THREADS, "1")
    try:
        with _stand_in("numpy._typing", __getattr__=_any_type):
            import numpy as np  # noqa: F401  # pyright: ignore[reportUnusedImport]
    finally:
        if not is_set:  # processes that this one starts may need them
            del os.environ[_BLAS_THREADS]


def _any_type(name: str) -> type:
    """What stands for a type in annotations: which ones numpy names there, its versions decide.

    Raises:
        AttributeError: it is no type's name.
    """
    if name.startswith("__"):
        raise AttributeError(name)
    return list


def _import_xdsl() -> None:
    """Imports xDSL's dialects without what loads dialects from files in IRDL.

    There are none here, and `importlib.abc` alone brings tempfile, shutil and their like.
    """
    if "xdsl.dialects" in sys.modules:
        return
    with _stand_in("xdsl.utils.dialect_loader", IRDLDialectFinder=_NoFinder):
        import xdsl.dialects  # noqa: F401  # pyright: ignore[reportUnusedImport]


class _NoFinder:
    """In `sys.meta_path`: knows no module."""

    def __init__(self, _get_all_dialects: object) -> None:
        pass

    def find_spec(self, _name: str, _path: object, _target: object = None) -> None:
        """No module's."""


@contextmanager
def _stand_in(name: str, **contents: object) -> Generator[None]:
    """A module with these contents is in the place of another one within it."""
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
