"""What the importer makes of an ONNX file is compared with onnxruntime on the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.comparison import Disagreement
from furiosa_ir.compiler import compile_source
from furiosa_ir.importers.onnx.file import read_model
from furiosa_ir.importers.onnx.local_functions import expanded_functions
from furiosa_ir.verification import CompileTrace, verify_compile
from tests.conftest import DIGITS

ONNX = DIGITS / "digits_qdq_int8.onnx"


def traced(path: Path, batch_size: int | None = None) -> CompileTrace:
    trace = CompileTrace()
    with trace.recording():
        result = compile_source(
            path, target_ir="graph", instrumentation=(trace,), batch_size=batch_size
        )
    trace.finish(result.module)
    return trace


def changed(path: Path, change: Any) -> Path:
    model = onnx.load(ONNX)
    change(model.graph)
    onnx.save(model, path)
    return path


def test_a_file_agrees_with_what_was_imported_of_it():
    report = verify_compile(traced(ONNX), ONNX, None)
    assert report.file_values >= 10
    assert not report.notes


def other_scale(graph: Any) -> None:
    """A quantisation's scale, a third of a percent greater."""
    node = next(n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] != "image")
    scale = next(t for t in graph.initializer if t.name == node.input[1])
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * 1.003, scale.name))


def other_stride(graph: Any) -> None:
    """Padding on the other side: the shapes stay."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "pads" and any(attribute.ints):
                pads = list(attribute.ints)
                attribute.ints[:] = [pads[0] - 1, pads[1], pads[2] + 1, pads[3]]
                return


@pytest.mark.parametrize("change", [other_scale, other_stride])
def test_a_misread_layer_is_named(change: Any, tmp_path: Path):
    other = changed(tmp_path / "other.onnx", change)
    with pytest.raises(Disagreement, match="onnxruntime on the file") as caught:
        verify_compile(traced(ONNX), other, None)
    assert caught.value.layer


def with_function(alpha: float | None) -> onnx.ModelProto:
    """LeakyRelu in a local function whose attribute has the default 0.5."""
    reference = helper.make_node("LeakyRelu", ["a"], ["b"])
    attribute = onnx.AttributeProto(
        name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT
    )
    reference.attribute.append(attribute)
    opset = helper.make_opsetid("", 17)
    function = helper.make_function(
        "local",
        "Leaky",
        ["a"],
        ["b"],
        [reference],
        [opset],
        attribute_protos=[helper.make_attribute("slope", 0.5)],
    )
    call = helper.make_node("Leaky", ["x"], ["y"], domain="local", name="leaky")
    if alpha is not None:
        call.attribute.append(helper.make_attribute("slope", alpha))
    graph = helper.make_graph(
        [call],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
    )
    return helper.make_model(
        graph,
        functions=[function],
        opset_imports=[opset, helper.make_opsetid("local", 1)],
        ir_version=9,
    )


def test_local_functions_are_compared_with_the_model_as_it_stands(tmp_path: Path):
    given, left_out = tmp_path / "given.onnx", tmp_path / "default.onnx"
    onnx.save(with_function(0.01), given)
    onnx.save(with_function(None), left_out)
    verify_compile(traced(given), given, None)
    # As if the importer had taken LeakyRelu's own default for the function's.
    with pytest.raises(Disagreement, match="onnxruntime on the file"):
        verify_compile(traced(given), left_out, None)


def padding_in_a_function() -> onnx.ModelProto:
    """Q - DQ - [one row of ones above the data] - Q - DQ: 1 of 33 rows hangs on the constant."""
    opset = helper.make_opsetid("", 17)
    body = [
        helper.make_node("Constant", [], ["pads"], value_ints=[0, 0, 1, 0, 0, 0, 0, 0]),
        helper.make_node("Constant", [], ["ones"], value_float=1.0),
        helper.make_node("Pad", ["a", "pads", "ones"], ["b"]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("PadOnes", ["d"], ["p"], domain="local", name="pad"),
        helper.make_node("QuantizeLinear", ["p", "s", "z"], ["pq"]),
        helper.make_node("DequantizeLinear", ["pq", "s", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 33, 32])],
        [
            helper.make_tensor("s", TensorProto.FLOAT, [], [0.05]),
            helper.make_tensor("z", TensorProto.INT8, [], [0]),
        ],
    )
    return helper.make_model(
        graph,
        functions=[helper.make_function("local", "PadOnes", ["a"], ["b"], body, [opset])],
        opset_imports=[opset, helper.make_opsetid("local", 1)],
        ir_version=9,
    )


def test_an_importer_that_is_wrong_in_a_few_elements_of_a_function_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "pad.onnx"
    onnx.save(padding_in_a_function(), path)
    assert verify_compile(traced(path), path, None).file_values == 2

    def wrong(model: onnx.ModelProto, opsets: Any) -> Any:
        expanded, versions = expanded_functions(model, opsets)
        nodes: Any = expanded.graph.node
        attributes = [a for n in nodes for a in n.attribute if a.name == "value_float"]
        for attribute in attributes:
            attribute.f = 0.0
        assert attributes
        return expanded, versions

    monkeypatch.setattr("furiosa_ir.importers.onnx.file.expanded_functions", wrong)
    with pytest.raises(Disagreement, match=r"element \[0, 0, 0, 0\]: 0.0 instead of 1.0"):
        verify_compile(traced(path), path, None)


def test_an_integer_output_is_compared_with_the_file(tmp_path: Path):
    def picking(last: int) -> Path:
        node = helper.make_node("ArgMax", ["x"], ["y"], axis=1, select_last_index=last)
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.INT32, [1, 9, 9])],
            [helper.make_tensor_value_info("y", TensorProto.INT64, [1, 1, 9])],
        )
        path = tmp_path / f"{last}.onnx"
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
        return path

    first, last = picking(0), picking(1)
    inputs = tmp_path / "inputs.npz"
    data = np.random.default_rng(0).integers(0, 3, (1, 9, 9)).astype(np.int32)
    np.savez(inputs, x=data)
    verify_compile(traced(first), first, None, inputs=inputs)
    with pytest.raises(Disagreement, match="onnxruntime on the file"):
        verify_compile(traced(last), first, None, inputs=inputs)


def test_a_batch_is_so_many_single_runs():
    report = verify_compile(traced(ONNX, batch_size=3), ONNX, None)
    assert report.file_values >= 10
    assert all(a.equal == 1 for a in report.outputs if a.required)


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("change", [other_scale, other_stride])
def test_an_importer_that_misreads_is_found_at_every_batch_size(
    change: Any, batch_size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = changed(tmp_path / "other.onnx", change)
    monkeypatch.setattr(
        "furiosa_ir.importers.onnx.read_model", lambda _source, *rest: read_model(other, *rest)
    )
    with pytest.raises(Disagreement, match="onnxruntime on the file"):
        verify_compile(traced(ONNX, batch_size), ONNX, None)
