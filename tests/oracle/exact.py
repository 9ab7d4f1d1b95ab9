"""The network in exact arithmetic: `exact_onnx.py` of the folder ../shared."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[3] / "shared" / "exact_onnx.py"


@cache
def _module() -> Any:
    if not SCRIPT.is_file():
        pytest.skip(f"{SCRIPT} is not on this machine")
    spec = importlib.util.spec_from_file_location("exact_onnx", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_exactly(model: Path | bytes, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a quantised network evaluated in double precision."""
    if isinstance(model, Path):
        return _module().ExactModel(str(model)).run(dict(feeds))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        return run_exactly(path, feeds)
