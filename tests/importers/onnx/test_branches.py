"""An If whose condition is known is its branch; every other one stays an If."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.interpreter import run_module
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from tests.importers.onnx.networks import imported, names, network

node = helper.make_node
X = np.random.default_rng(0).normal(size=(2, 1, 3)).astype(np.float32)


def graph(nodes: list[Any], output: str, **constants: np.ndarray) -> Any:
    """A branch."""
    info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(a, n) for n, a in constants.items()]
    return helper.make_graph(nodes, "branch", [], [info], tensors)


def branches() -> dict[str, Any]:
    """Two of different ranks; both use what is outside, and the same names inside."""
    axes, half = np.array([1]), np.array(0.5, np.float32)
    return {
        "then_branch": graph(
            [node("Squeeze", ["r", "axes"], ["t"]), node("Mul", ["t", "half"], ["u"])],
            "u",
            axes=axes,
            half=half,
        ),
        "else_branch": graph([node("Neg", ["r"], ["t"])], "t"),
    }


CONDITIONS = {
    "extent": [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["n"]),
        node("Equal", ["n", "one"], ["c"]),
    ],
    "negated": [node("Not", ["yes"], ["c"])],
    "constant": [
        node("Constant", [], ["c"], value=numpy_helper.from_array(np.array([True]))),
    ],
}
CONSTANTS = {"one": np.array(1), "yes": np.array(True), "no": np.array(False)}


def check(nodes: list[Any], opset: int = 13) -> Any:
    model = network(nodes, {"x": [2, 1, 3]}, {"y": None}, CONSTANTS, opset=opset)
    module = imported(model)
    (want,) = run_session(onnx_session(model.SerializeToString()), [X])
    result = run_module(module, {"x": X})["y"]
    assert result.shape == want.shape
    np.testing.assert_allclose(result, want, rtol=1e-5)
    return module


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_known_condition(kind: str) -> None:
    nodes = [*CONDITIONS[kind], node("Relu", ["x"], ["r"]), node("If", ["c"], ["y"], **branches())]
    assert "opaque" not in names(check(nodes))


def test_two_of_the_same_names_and_one_inside_of_another() -> None:
    inner = node("If", ["yes"], ["t"], **branches())
    nested = {
        "then_branch": graph([inner, node("Exp", ["t"], ["u"])], "u"),
        "else_branch": graph([node("Neg", ["r"], ["t"])], "t"),
    }
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("If", ["yes"], ["a"], **branches()),
        node("If", ["no"], ["b"], **branches()),
        node("If", ["yes"], ["c"], **nested),
        node("Add", ["a", "b"], ["d"]),
        node("Add", ["c", "d"], ["y"]),
    ]
    assert "opaque" not in names(check(nodes))


def test_an_output_that_comes_from_outside_and_a_subgraph_that_hides_a_name() -> None:
    """A branch may give what is outside; a Loop in it may call its own value as the branch does."""
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, 1, 3])
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        state,
    ]
    body = helper.make_graph(
        [node("Add", ["state", "t"], ["next"]), node("Identity", ["c"], ["again"])],
        "body",
        inputs,
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [2, 1, 3]),
        ],
    )
    taken = graph(
        [node("Exp", ["x"], ["t"]), node("Loop", ["one", "yes", "t"], ["u"], body=body)], "u"
    )
    other = graph([node("Identity", ["x"], ["w"])], "w")
    nodes = [node("If", ["yes"], ["y"], then_branch=taken, else_branch=other)]
    model = network(nodes, {"x": [2, 1, 3]}, {"y": [2, 1, 3]}, CONSTANTS, opset=13)
    (want,) = run_session(onnx_session(model.SerializeToString()), [X])
    np.testing.assert_allclose(run_module(imported(model), {"x": X})["y"], want, rtol=1e-5)


def test_a_condition_that_is_computed() -> None:
    same = {
        name: graph([node(op, ["x"], ["t"])], "t")
        for name, op in (("then_branch", "Neg"), ("else_branch", "Exp"))
    }
    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Cast", ["s"], ["c"], to=TensorProto.BOOL),
        node("If", ["c"], ["y"], **same),
    ]
    assert "opaque" in names(check(nodes))
