"""`furiosa quantize` of networks that use the names which onnxruntime's quantiser makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.calibration import load_samples
from furiosa_ir.quantization.onnx import OnnxSource, quantize_onnx
from furiosa_ir.quantization.onnx_running import onnx_runner
from tests.draws import draws

SUFFIXES = (
    *("_scale", "_zero_point", "_quantized", "_quantized_scale", "_quantized_zero_point"),
    *("_QuantizeLinear", "_QuantizeLinear_Input", "_QuantizeLinear_Output"),
    *("_DequantizeLinear", "_DequantizeLinear_Output", "_quant", "_convert"),
    *("_ReduceMin", "_ReduceMax", "_ReduceMin_Reshape", "_ReduceMax_Reshape", "_captured"),
    *("1", "2", "_1", "_product", "_weight", "_bias"),
)
"""What onnxruntime's quantiser and calibrators, and the preparation, put behind a name."""

BASES = ("x", "w", "b", "furiosa:0:", "y/z")


def network(names: list[str], *, body: bool) -> Any:
    """Two convolutions that share a bias, a Relu, a product of both and an If that takes values.

    Its values are called: input, weights (2), bias, the first four results, output.
    """
    x, w, v, b, p, r, q, c, y = names[:9]
    rng = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(rng.normal(0, 0.5, shape).astype(np.float32), name)
        for name, shape in ((w, (4, 3, 3, 3)), (v, (4, 3, 3, 3)), (b, (4,)))
    ]
    nodes = [
        helper.make_node("Conv", [x, w, b], [p], names[9], pads=[1] * 4),
        helper.make_node("Relu", [p], [r], names[10]),
        helper.make_node("Conv", [x, v, b], [q], names[11], pads=[1] * 4),
        helper.make_node("Add", [r, q], [c], names[12]),
    ]
    if body:
        flag = names[13]
        constants.append(numpy_helper.from_array(np.array(0, np.int64), names[14]))
        constants.append(numpy_helper.from_array(np.array(0, np.int64), names[15]))
        branches: dict[str, Any] = {
            branch: helper.make_graph(
                [helper.make_node("Add", [c, p], [names[18]])]
                + [helper.make_node("Mul", [names[18], p], [names[20]])] * (branch[0] == "e"),
                names[0],
                [],
                [helper.make_tensor_value_info(names[18 if branch[0] == "t" else 20], 1, None)],
            )
            for branch in ("then_branch", "else_branch")
        }
        nodes += [
            helper.make_node("Size", [x], [names[16]]),
            helper.make_node("Greater", [names[16], names[14]], [flag]),
            helper.make_node("If", [flag], [names[19]], names[17], **branches),
            helper.make_node("Add", [names[19], c], [y]),
        ]
    else:
        nodes.append(helper.make_node("Sigmoid", [c], [y], names[13]))
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 6, 6]) for n in (x,)}
    values[y] = helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 4, 6, 6])
    graph = helper.make_graph(nodes, "g", [values[x]], [values[y]], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


@st.composite
def clashing(draw: st.DrawFn) -> list[str]:
    """Names of which many are another one with what the quantiser puts behind it."""
    names = [draw(st.sampled_from(BASES))]
    while len(names) < 24:
        base = draw(st.sampled_from([*BASES, *names]))
        name = base + draw(st.sampled_from(SUFFIXES))
        if name not in names:
            names.append(name)
    return names


@settings(
    deadline=None, max_examples=draws(15), suppress_health_check=[HealthCheck.large_base_example]
)
@given(clashing(), st.booleans(), st.sampled_from(["minmax", "percentile"]))
def test_any_names(names: list[str], body: bool, method: str) -> None:
    model = network(names, body=body)
    source = OnnxSource.of(model, "g")
    data = np.random.default_rng(1).normal(size=(3, 3, 6, 6)).astype(np.float32)
    samples = load_samples(data, source.inputs)
    quantized, _ = quantize_onnx(source, samples, method=method)
    onnx.checker.check_model(quantized)
    assert [i.name for i in quantized.graph.input] == [names[0]]
    assert [o.name for o in quantized.graph.output] == [names[8]]
    assert "QuantizeLinear" in {n.op_type for n in quantized.graph.node}
    if not any("furiosa:" in name for name in names):
        assert not any("furiosa:" in n.name for n in quantized.graph.node)
    want, got = (onnx_runner(m, "g")(samples[0])[0] for m in (model, quantized))
    assert np.square(want - got).sum() < 0.01 * np.square(want).sum()


def test_names_that_clash_with_nothing_stay() -> None:
    names = [f"{c}{c}" for c in "abcdefghijklmnopqrstuvwx"]
    model = network(names, body=False)
    data = np.ones((2, 3, 6, 6), np.float32)
    source = OnnxSource.of(model, "g")
    quantized, _ = quantize_onnx(source, load_samples(data, source.inputs))
    called = {n.name for n in quantized.graph.node}
    assert {"aa_QuantizeLinear", "aa_DequantizeLinear", "bb_DequantizeLinear", "jj"} <= called
    assert {"aa_scale", "bb_quantized"} <= {i.name for i in quantized.graph.initializer}


def test_errors_say_the_given_names(tmp_path: Any) -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("x", "y"))
    zero = numpy_helper.from_array(np.zeros(4, np.float32), "x_scale")
    nodes = [
        helper.make_node("Div", ["x", "x_scale"], ["x_ReduceMin"], "x_zero_point"),
        helper.make_node("Relu", ["x_ReduceMin"], ["y"], "last"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], [zero]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    source = OnnxSource.of(model, "g")
    samples = load_samples(np.ones((1, 4), np.float32), source.inputs)
    with pytest.raises(FuriosaError, match="layer 'x_zero_point': its values reach from inf"):
        quantize_onnx(source, samples)
