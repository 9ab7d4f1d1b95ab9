"""Operators on scalars and on nothing: lists of axes are empty, and extents of 0 mean others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime.session import Session
from tests.importers.onnx.networks import network


def run(operator: str, opset: int, value: Any) -> Any:
    array = np.array(value, np.float32)
    node = helper.make_node(operator, ["x"], ["y"])
    model = network([node], {"x": list(array.shape)}, {"y": None}, None, opset)
    with Session(read_program(compile_model(model.SerializeToString()))) as session:
        return session.run([array])[0].numpy()


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("ReduceMean", 3.0),
        ("ReduceMax", 3.0),
        ("ReduceSum", 3.0),
        ("ReduceSumSquare", 9.0),
        ("Transpose", 3.0),
    ],
)
def test_scalars(operator: str, expected: float, opset: int) -> None:
    got = run(operator, opset, 3.0)
    assert got.shape == ()
    assert got == expected


@pytest.mark.parametrize("opset", [11, 13, 14, 18])
def test_reshapes_to_nothing(opset: int) -> None:
    """A 0 in Reshape's shape copies the extent of x, here 20; since 14 there is another way."""
    nodes = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Reshape", ["t", "s"], ["y"])]
    constants = {"s": np.array([1, -1, 10])}
    model = network(nodes, {"x": [0, 20, 20, 10]}, {"y": None}, constants, opset)
    with Session(read_program(compile_model(model.SerializeToString()))) as session:
        got = session.run([np.zeros((0, 20, 20, 10), np.float32)])[0].numpy()
    assert got.shape == (1, 0, 10)
