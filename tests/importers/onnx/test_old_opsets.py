"""A few of the pairs of `old_opsets`, drawn; and what no operator's schema says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers.onnx.opset_rules import RULES
from furiosa_ir.importers.onnx.opsets import raise_opset
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from furiosa_ir.runtime import session
from tests.draws import draws
from tests.importers.onnx.old_opset_cases import CASES, NOT_COMPARED
from tests.importers.onnx.old_opsets import by_onnxruntime, cases_of, check, ours, pairs


def test_every_operator_has_a_case() -> None:
    assert {name for name, _ in pairs()} == {
        name for name, opset in pairs() if name in NOT_COMPARED or cases_of(name, opset)
    }
    assert {name for name, _ in RULES} <= set(CASES)


@settings(deadline=None, max_examples=draws(25))
@given(st.sampled_from(list(pairs())))
def test_a_pair(pair: tuple[str, int]) -> None:
    if pair[0] not in NOT_COMPARED:
        assert check(*pair)[0] == []


@pytest.mark.parametrize("opset", [1, 6, 8, 11, 12])
def test_operators_with_rules(opset: int) -> None:
    for name in ("Hardmax", "Softmax", "BatchNormalization", "Dropout", "If", "Split", "Clip"):
        assert check(name, opset)[0] == []


def test_names_of_new_values_are_new() -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["x"], ["y"], axes=[0], name="n"),
        helper.make_node("Squeeze", ["y"], ["y/raised/0"], axes=[0]),
    ]
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph(nodes, "g", [info], [onnx.ValueInfoProto(name="y/raised/0")])
    model: Any = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx", 11)])
    raise_opset(model, 11, 13)
    x = np.ones((2, 3), np.float32)
    (result,) = by_onnxruntime(model, [x])
    np.testing.assert_array_equal(result, x)
    assert [o.domain for o in model.opset_import] == [""]
    outputs = [o for n in model.graph.node for o in n.output]
    names = [n.name for n in model.graph.node if n.name]
    assert len(set(outputs)) == len(outputs)
    assert len(set(names)) == len(names)


def transposed(x: np.ndarray, w: np.ndarray, attributes: dict[str, Any]) -> onnx.ModelProto:
    """A ConvTranspose."""
    graph = helper.make_graph(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(w, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@st.composite
def _windows(draw: DrawFn) -> tuple[Sequence[int], dict[str, Any]]:
    """A kernel and the attributes of a ConvTranspose of rank 2."""
    both = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(both)
    attributes: dict[str, Any] = {"strides": draw(both), "dilations": draw(both)}
    if draw(st.booleans()):
        attributes["output_padding"] = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    how = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "pads", "output_shape"]))
    if how == "pads":
        attributes["pads"] = draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))
    elif how == "output_shape":
        attributes["output_shape"] = draw(st.tuples(st.integers(3, 14), st.integers(3, 14)))
    else:
        attributes["auto_pad"] = how
    return kernel, attributes


@settings(deadline=None, max_examples=draws(80))
@given(_windows())
def test_the_extents_of_transposed_convolutions(
    window: tuple[Sequence[int], dict[str, Any]],
) -> None:
    """Whatever onnxruntime takes is the same here; what it refuses is refused."""
    kernel, attributes = window
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 2, 3, 4)).astype(np.float32)
    w = rng.normal(size=(2, 3, *kernel)).astype(np.float32)
    model = transposed(x, w, attributes)
    try:
        (want,) = run_session(onnx_session(model.SerializeToString()), [x])
    except Exception:  # noqa: BLE001  # onnxruntime's share no base
        with (
            pytest.raises(FuriosaError),
            session.create(compile_model(model.SerializeToString()), compiler_hints=False) as s,
        ):
            s.run([x])
        return
    (result,) = ours(model, [x])
    assert result.shape == want.shape
    np.testing.assert_allclose(result, want, rtol=1e-4, atol=1e-5)
