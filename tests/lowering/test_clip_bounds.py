"""Clips whose bounds contradict each other or those of their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.onnxruntime_session import onnx_session, run_session
from furiosa_ir.runtime import session
from tests.draws import draws

BOUND = st.none() | st.sampled_from([-20.0, -1.0, -0.26, 0.0, 0.5, 2.0, 20.0])
STEP = st.just("Relu") | st.tuples(BOUND, BOUND)
SCALE = 0.125
"""A power of two: no element, and no bound but -0.26, is between two integers."""


def network(steps: list[Any], scales: list[float]) -> onnx.ModelProto:
    """Q, then each step between DequantizeLinear and QuantizeLinear of its scale."""
    constants = {"zp": np.array(3, np.int8)}
    nodes: list[Any] = []
    value = "x"
    for index, (step, scale) in enumerate(zip(steps, scales, strict=True)):
        constants[f"s{index}"] = np.array(scale, np.float32)
        before = f"s{index - 1}" if index else "s"
        nodes.append(helper.make_node("DequantizeLinear", [value, before, "zp"], [f"r{index}"]))
        names = [f"r{index}"]
        for side, bound in zip(("low", "high"), () if step == "Relu" else step, strict=False):
            names.append("" if bound is None else f"{side}{index}")
            if bound is not None:
                constants[names[-1]] = np.array(bound, np.float32)
        nodes.append(helper.make_node("Relu" if step == "Relu" else "Clip", names, [f"c{index}"]))
        value = f"q{index}" if index + 1 < len(steps) else "y"
        nodes.append(helper.make_node("QuantizeLinear", [f"c{index}", f"s{index}", "zp"], [value]))
    constants["s"] = np.array(SCALE, np.float32)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT8, [1, 256])],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [1, 256])],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@settings(deadline=None, max_examples=draws(60))
@given(
    st.lists(
        st.tuples(STEP, st.sampled_from([SCALE, 2 * SCALE, SCALE / 2])), min_size=1, max_size=3
    )
)
def test_bounds_that_contradict_each_other(steps: list[tuple[Any, float]]) -> None:
    model = network([s for s, _ in steps], [scale for _, scale in steps])
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
    (want,) = run_session(onnx_session(model.SerializeToString()), [x])
    program = compile_model(model.SerializeToString())
    with session.create(program, compiler_hints=False) as s:
        np.testing.assert_array_equal(s.run([x])[0].numpy(), want)
