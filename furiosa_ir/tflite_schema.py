"""The classes that flatc has made of TFLite's schema, each imported when somebody asks for it.

`import tflite` imports all of its 187 modules, which takes 25 ms; a network needs twenty of them.
Who imports `tflite` besides us gets the same module, which has everything that is asked of it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

_NAME = "tflite"


class _Package(ModuleType):
    """The package, whose `__init__` has not run: a class is imported from its own module."""

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(importlib.import_module(f"{_NAME}.{name}"), name)
        except ModuleNotFoundError:
            object.__setattr__(self, "__class__", ModuleType)
            assert self.__spec__ is not None
            assert self.__spec__.loader is not None
            self.__spec__.loader.exec_module(self)
            return getattr(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType):  # one that has been imported has its class's name
            value = getattr(value, name, value)
        super().__setattr__(name, value)


def _package() -> Any:
    if _NAME not in sys.modules:
        spec = PathFinder.find_spec(_NAME)
        if spec is None:
            return importlib.import_module(_NAME)  # which says what is missing
        package = module_from_spec(spec)
        package.__class__ = _Package
        sys.modules[_NAME] = package
    return sys.modules[_NAME]


tflite: Any = _package()
"""The package `tflite`."""


def writers(kind: str) -> Mapping[str, Callable[..., Any]]:
    """The functions that write tables of a class: `<kind>Start`, `<kind>Add<Field>`, `<kind>End`.

    Args:
        kind: the class's name.
    """
    getattr(tflite, kind)
    return vars(sys.modules[f"{_NAME}.{kind}"])
