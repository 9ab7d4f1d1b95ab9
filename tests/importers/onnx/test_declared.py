"""What a file declares of its outputs: the operator's shape counts, and a warning says so."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.errors import ImportFailure
from tests.importers.onnx.networks import imported, network
from tests.importers.onnx.old_opsets import by_onnxruntime, ours

X = np.arange(8, dtype=np.float32).reshape(2, 1, 4)
MEAN = helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)
SQUEEZE = helper.make_node("Squeeze", ["x"], ["y"])
OPAQUE = helper.make_node("Det", ["x"], ["y"])


@pytest.mark.parametrize(
    ("node", "shape", "declared"),
    [
        (MEAN, [], [1]),
        (MEAN, [], [1, 1, 1]),
        (SQUEEZE, [2, 4], [2, 1, 4]),
        (SQUEEZE, [2, 4], [8]),
        (SQUEEZE, [2, 4], [2, 9]),
        (SQUEEZE, [2, 4], []),
        (SQUEEZE, [2, 4], [0, 4]),
    ],
)
def test_another_shape(
    node: Any, shape: list[int], declared: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    model = network([node], {"x": [2, 1, 4]}, {"y": declared}, opset=13)
    with caplog.at_level(logging.WARNING):
        (result,) = ours(model, [X])
    np.testing.assert_allclose(result, by_onnxruntime(model, [X])[0], rtol=1e-6)
    assert list(result.shape) == shape
    said = [r.getMessage() for r in caplog.records if "declared" in r.getMessage()]
    if declared != [0, 4]:  # some exporters write 0 for an extent that they leave open
        assert len(said) == 1
        assert all(f"{text}" in said[0] for text in ("'y'", declared, shape))


def test_shapes_that_are_left_open_do_not_differ(caplog: pytest.LogCaptureFixture) -> None:
    for declared in (["n", 4], [None, None], None, [2, -1]):
        imported(network([SQUEEZE], {"x": [2, 1, 4]}, {"y": declared}, opset=13))
    assert not caplog.records


@pytest.mark.parametrize("code", [TensorProto.DOUBLE, TensorProto.INT8, TensorProto.FLOAT16])
def test_another_element_type(code: int) -> None:
    """Of an output and in the middle: nobody runs that."""
    model = network([SQUEEZE], {"x": [2, 1, 4]}, {"y": ([2, 4], code)}, opset=13)
    with pytest.raises(ImportFailure, match="declared as"):
        imported(model)
    behind = helper.make_node("Relu", ["y"], ["z"])
    model = network([SQUEEZE, behind], {"x": [2, 1, 4]}, {"z": [2, 4]}, opset=13)
    model.graph.value_info.append(helper.make_tensor_value_info("y", code, [2, 4]))
    with pytest.raises(Exception, match="Type"):
        by_onnxruntime(model, [X])
    with pytest.raises(ImportFailure, match="declared as"):
        imported(model)


@pytest.mark.parametrize("declared", [[None, None], [None, 8], [None], None])
def test_of_contributed_operators_open_extents_are_inferred(declared: list[Any] | None) -> None:
    """What onnxruntime infers says more than a declaration of open extents."""
    node = helper.make_node("FusedMatMul", ["x", "w"], ["a"], domain="com.microsoft", alpha=2.0)
    behind = helper.make_node("Relu", ["a"], ["y"])
    weight = {"w": np.ones((4, 8), np.float32)}
    model = network(
        [node, behind], {"x": [2, 4]}, {"y": None}, weight, domains={"com.microsoft": 1}
    )
    if declared is not None:
        info = helper.make_tensor_value_info("a", TensorProto.FLOAT, declared)
        model.graph.value_info.append(info)
    assert "-> tensor<2x8xf32>" in str(imported(model)).replace("(", "").replace(")", "")
