"""A small network at each level, and the wrong rewrites of `examples/wrong_passes`."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.driver import compile_source
from furiosa_ir.plugins import load_plugins
from tests.conftest import DIGITS, ROOT
from tests.debugging.wrong_passes import WRONG

FOLDER = ROOT / "examples" / "wrong_passes"


@pytest.fixture(scope="session")
def digits() -> Path:
    """Convolutions, a residual sum, pooling, softmax."""
    return DIGITS / "digits_qdq_int8.onnx"


@pytest.fixture(scope="session")
def levels(digits: Path) -> dict[str, ModuleOp]:
    """The network at the end of each phase; nobody changes them."""
    return {
        level: compile_source(digits, target_ir=level).module
        for level in ("graph", "ftensor", "warboy")
    }


@pytest.fixture(scope="session", autouse=True)
def wrong_passes() -> None:
    """The plug-ins are loaded."""
    load_plugins([str(FOLDER / f"{wrong.module}.py") for wrong in WRONG])
