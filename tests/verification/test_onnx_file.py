"""What the importer makes of an ONNX file is compared with onnxruntime on the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.compiler import compile_source
from furiosa_ir.verification import CompileTrace, verify_compile
from furiosa_ir.verification.comparison import Disagreement
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


def test_a_batch_is_so_many_single_runs():
    report = verify_compile(traced(ONNX, batch_size=3), ONNX, None)
    assert report.file_values == 0 or report.inputs
    assert all(a.equal == 1 for a in report.outputs if a.required)
