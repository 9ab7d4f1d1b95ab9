"""`graph-fuse-tables`: functions of one value with a step that the NPU cannot do alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from furiosa_ir.compiler import compile_source
from furiosa_ir.program import HostSegment
from tests.passes.qdq import QDQ, node


def silu_of_16_bits() -> QDQ:
    net = QDQ(opset=21, dtype=np.uint8)
    x = net.requantized(net.add("Neg", [net.input("x", [1, 256], 0.05, 100)]), 0.05, 90)
    s = net.add("Sigmoid", [x])
    parameters = net.parameters(s, 1 / 32768, 0, np.int16)
    net.nodes.append(node("QuantizeLinear", [s, *parameters], [f"{s}_q"]))
    net.nodes.append(node("DequantizeLinear", [f"{s}_q", *parameters], [f"{s}_r"]))
    net.output(net.add("Mul", [x, f"{s}_r"]), 0.04, 10)
    return net


def power_of_a_function() -> QDQ:
    net = QDQ(dtype=np.uint8)
    x = net.requantized(net.add("Abs", [net.input("x", [1, 256], 0.05, 100)]), 0.05, 0)
    s = net.requantized(net.add("Sigmoid", [x]), 1 / 255, 0)
    net.output(net.add("Pow", [x, s]), 0.04, 10)
    return net


@pytest.mark.parametrize("network", [silu_of_16_bits, power_of_a_function])
def test_nothing_stays_on_the_host(network: Callable[[], QDQ]) -> None:
    """Without the pass, the partition leaves the step on the host: it is no lookup yet."""
    program = compile_source(network().model().SerializeToString(), target="warboy").program
    assert program is not None
    assert [s for s in program.segments if isinstance(s, HostSegment)] == []
