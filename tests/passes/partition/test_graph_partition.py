"""Networks that cross between host and NPU: how often, and that they compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.compiler import compile_source
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.interpreter import run_module
from furiosa_ir.runtime import session
from tests.passes.qdq import QDQ

SCALE = 0.05


def host(net: QDQ, x: str) -> str:
    """An operator that the NPU has not, between DQ and Q."""
    return net.requantized(net.add("Hardmax", [x]), SCALE, zero_point(net))


def npu(net: QDQ, *x: str) -> str:
    """One that it has."""
    made = net.add("Add" if len(x) == 2 else "Sigmoid", list(x))
    return net.requantized(made, SCALE, zero_point(net))


def zero_point(net: QDQ) -> int:
    return 3 if net.dtype == np.int8 else 130


def segments(net: QDQ) -> list[str]:
    """Where each segment runs; the program's outputs are those of the interpreter."""
    model = net.model().SerializeToString()
    result = compile_source(model)
    assert result.program is not None
    assert result.enf is not None
    info = np.iinfo(net.dtype)
    rng = np.random.default_rng(0)
    feeds = {
        name: rng.integers(info.min, info.max + 1, shape).astype(net.dtype)
        for name, (shape, _) in net.inputs.items()
    }
    want = run_module(import_onnx(model), feeds)
    with session.create(result.enf) as running:
        got = [t.numpy() for t in running.run(list(feeds.values()))]
    for array, expected in zip(got, want.values(), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5)
    return ["npu" if isinstance(s, NpuSegment) else "host" for s in result.program.segments]


@pytest.fixture(params=[np.int8, np.uint8], ids=["int8", "uint8"])
def net(request: pytest.FixtureRequest) -> QDQ:
    return QDQ(dtype=request.param)


def output(net: QDQ, x: str, scale: float = SCALE) -> None:
    net.output(x, scale, zero_point(net))


def test_branches_share_segments(net: QDQ) -> None:
    """Three branches that go to the host and back at different depths."""
    x = net.input("x", [1, 4, 6, 6], SCALE, zero_point(net))
    branches = [npu(net, host(net, npu(net, x))), npu(net, host(net, npu(net, npu(net, x))))]
    branches.append(host(net, npu(net, x)))
    joined = npu(net, npu(net, branches[0], branches[1]), branches[2])
    output(net, npu(net, joined, x))
    assert segments(net) == ["npu", "host", "npu"]


def test_a_host_operator_that_can_wait(net: QDQ) -> None:
    """It reads the input only; in front of the NPU's segment it would be one more."""
    x = net.input("x", [1, 4, 6, 6], SCALE, zero_point(net))
    a, b = npu(net, x), host(net, x)
    net.float_output(net.add("Hardmax", [a]))
    net.float_output(net.add("Hardmax", [b]))
    assert segments(net) == ["npu", "host"]


def test_an_input_that_both_read(net: QDQ) -> None:
    """The cast of the input's bytes to the quantised type keeps nobody waiting."""
    x = net.input("x", [1, 4, 6, 6], SCALE, zero_point(net))
    output(net, npu(net, npu(net, x), host(net, x)))
    assert segments(net) == ["host", "npu"]


def test_diamonds_in_a_row(net: QDQ) -> None:
    x: Any = net.input("x", [1, 4, 6, 6], SCALE, zero_point(net))
    for _ in range(3):
        base = npu(net, x)
        x = npu(net, npu(net, base), host(net, base))
    output(net, x)
    assert segments(net) == ["npu", "host", "npu", "host", "npu", "host", "npu"]
