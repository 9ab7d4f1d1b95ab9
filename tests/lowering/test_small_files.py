"""No lowering makes long lists or tables of what a small file describes: the host runs it."""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from furiosa_ir.compiler import compile_model
from tests.importers.onnx.networks import network

node = helper.make_node
LONG = 1 << 25


def quantized(
    op: str, shape: list[int], constants: dict[str, Any] | None = None, **attributes: Any
) -> onnx.ModelProto:
    """One operator between DequantizeLinear and QuantizeLinear."""
    constants = dict(constants or {})
    names = ["r", *constants]  # "" is an input that is left out
    constants.pop("", None)
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["r"]),
        node(op, names, ["t"], **attributes),
        node("QuantizeLinear", ["t", "s", "z"], ["y"]),
    ]
    constants |= {"s": np.array(0.1, np.float32), "z": np.array(0, np.int8)}
    inputs = {"x": (shape, TensorProto.INT8)}
    return network(nodes, inputs, {"y": (None, TensorProto.INT8)}, constants)


def numbers(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


CASES = {
    "Tile": quantized("Tile", [1, 4], {"n": numbers(1, LONG)}),
    "reversed Slice": quantized(
        "Slice",
        [1, LONG],
        {"b": numbers(-1), "e": numbers(-LONG - 1), "a": numbers(1), "step": numbers(-1)},
    ),
    "edge": quantized("Pad", [1, 4], {"p": numbers(0, LONG, 0, LONG)}, mode="edge"),
    "reflect": quantized("Pad", [1, LONG], {"p": numbers(0, 9, 0, 0)}, mode="reflect"),
    "Resize": quantized(
        "Resize",
        [1, 1, 1, 4],
        {"": np.zeros(0, np.float32), "f": np.array([1, 1, 1, LONG], np.float32)},
        mode="nearest",
    ),
    "windows": quantized(
        "AveragePool", [1, 1, 1 << 13, 1 << 12], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
    ),
    "slices": quantized("MaxPool", [1, 1, 1 << 22, 2, 2], kernel_shape=[8, 1, 1]),
    "slices of sums": quantized("AveragePool", [1, 1, 1 << 22, 2, 2], kernel_shape=[8, 1, 1]),
    "CumSum": quantized("CumSum", [1, LONG], {"a": np.array(1, np.int32)}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_small_file_stays_small(case: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    program = compile_model(CASES[case].SerializeToString())
    assert len(program) < 1 << 16
    assert time.process_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10  # KiB
