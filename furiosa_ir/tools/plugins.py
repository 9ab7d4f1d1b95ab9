"""`--load MODULE.py`: user code that declares passes (and may register dialects)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from furiosa_ir.errors import FuriosaError


def load_plugin(path: Path) -> None:
    """Imports a Python file; the passes it declares can be used by name from then on.

    Raises:
        FuriosaError: it is missing or raises an error.
    """
    if not path.is_file():
        raise FuriosaError("the plug-in does not exist", file=str(path))
    name = f"furiosa_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FuriosaError("the plug-in is not a Python file", file=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except FuriosaError:
        raise
    except Exception as error:
        text = f"the plug-in does not load: {type(error).__name__}: {error}"
        raise FuriosaError(text, file=str(path)) from error
