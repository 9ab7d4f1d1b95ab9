"""Each operator of the NPU from an ONNX file to the simulator, against exact arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.interpreter import run_module
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime import session
from tests.operators.networks import ON_THE_HOST, ON_THE_NPU, Builder
from tests.passes.qdq import QDQ

DTYPES = {"int8": np.int8, "uint8": np.uint8}


def compiled(build: Builder, dtype: Any, target: str) -> tuple[QDQ, bytes, bytes]:
    """The network, its file and its program."""
    net = QDQ(dtype=dtype)
    build(net)
    data = net.model().SerializeToString()
    return net, data, compile_model(data, target=target)


def feeds_of(net: QDQ) -> dict[str, Any]:
    rng, info = np.random.default_rng(0), np.iinfo(net.dtype)
    return {
        name: rng.integers(info.min, info.max + 1, shape).astype(net.dtype)
        for name, (shape, _) in net.inputs.items()
    }


def agree(net: QDQ, data: bytes, program: bytes) -> None:
    """The program, and the network as it was imported: equal elements."""
    feeds = feeds_of(net)
    want = run_module(import_onnx(data), feeds)
    with session.create(program) as running:
        got = running.run(feeds)
    for (name, expected), found in zip(want.items(), got.numpy(), strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize(
    ("dtype", "target"),
    [
        ("int8", "warboy-2pe"),
        ("uint8", "warboy"),
        pytest.param("int8", "warboy", marks=pytest.mark.slow),
        pytest.param("uint8", "warboy-2pe", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", ON_THE_NPU)
def test_runs_on_the_npu_and_equals_exact_arithmetic(name: str, dtype: str, target: str) -> None:
    net, data, program = compiled(ON_THE_NPU[name], DTYPES[dtype], target)
    segments = read_program(program).segments
    assert not [s for s in segments if isinstance(s, HostSegment)]
    agree(net, data, program)


@pytest.mark.parametrize("name", ON_THE_HOST)
def test_runs_on_the_host_and_says_why(name: str) -> None:
    number, build = ON_THE_HOST[name]
    net, _, program = compiled(build, np.int8, "warboy-2pe")
    hosts = [s for s in read_program(program).segments if isinstance(s, HostSegment)]
    assert number in {hint for s in hosts for _, _, hint, _ in s.operators}
    with session.create(program) as running:
        assert running.run(feeds_of(net)).numpy()
