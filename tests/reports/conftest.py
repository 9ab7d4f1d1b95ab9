"""Programs that reports are made of, compiled once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from furiosa_ir.backends import read_program
from furiosa_ir.cache.settings import NO_CACHE
from furiosa_ir.compiler import compile_model
from furiosa_ir.program import Program
from tests.conftest import DIGITS
from tests.passes.qdq import QDQ

HOSTILE = "</script><img src=x onerror=document.title='owned'>/&lt;\"'`${1}\u202e\u2028"
"""A layer's name as nobody should give it."""


def branching() -> onnx.ModelProto:
    """Two branches that meet, float at both ends (host segments), and a layer of a hostile name."""
    rng = np.random.default_rng(0)
    q = QDQ()
    q.inputs["image"] = ((1, 3, 32, 32), onnx.TensorProto.FLOAT)
    x = q.requantized("image", 0.02)

    def conv(x: str, name: str, channels: int, inner: int) -> str:
        weight = rng.integers(-127, 128, (channels, inner, 3, 3), dtype=np.int8)
        w = q.weight(weight, 0.002, name=f"w{len(q.nodes)}")
        out = q.add("Conv", [x, w], pads=[1, 1, 1, 1], name=name)
        return q.requantized(out, 0.05)

    stem = conv(x, "stem/conv", 16, 3)
    left = conv(stem, HOSTILE, 16, 16)
    right = conv(stem, "right/conv", 16, 16)
    joined = q.requantized(q.add("Add", [left, right], name="joined"), 0.1)
    q.float_output(conv(joined, "head/conv", 4, 16))
    return q.model()


@pytest.fixture(scope="session")
def branching_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`branching` as a file."""
    path = tmp_path_factory.mktemp("branching") / "branching.onnx"
    onnx.save(branching(), path)
    return path


@pytest.fixture(scope="session")
def digits_program() -> Program:
    """The bundled network, whole on the NPU."""
    return read_program(compile_model(DIGITS / "digits_int8.tflite", cache=NO_CACHE))


@pytest.fixture(scope="session")
def branching_program(branching_file: Path) -> Program:
    """`branching`, compiled."""
    return read_program(compile_model(branching_file, cache=NO_CACHE))
