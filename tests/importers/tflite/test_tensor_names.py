"""Networks whose file gives their tensors no names: TensorFlow's `strip_strings` makes such."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime import session

DIGITS = (Path(__file__).parents[3] / "examples/digits/digits_int8.tflite").read_bytes()


def stripped(which: str, taken: str | None = None) -> bytes:
    """Without these names ("inputs", "outputs", "all"); one tensor inside is called `taken`."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(DIGITS))
    (graph,) = model.subgraphs
    indices = {"all": range(len(graph.tensors)), "inputs": graph.inputs, "outputs": graph.outputs}
    for index in indices[which]:
        graph.tensors[index].name = None
    if taken is not None:
        graph.tensors[graph.operators[0].outputs[0]].name = taken
    model.signatureDefs = None
    builder = flatbuffers.Builder(len(DIGITS))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("which", ["inputs", "outputs", "all"])
def test_a_network_without_names_runs(which: str) -> None:
    with session.create(DIGITS) as named, session.create(stripped(which)) as unnamed:
        (x,), (y,) = unnamed.inputs(), unnamed.outputs()
        assert (x.name == "input_0") == (which != "outputs")
        assert (y.name == "output_0") == (which != "inputs")
        data = np.random.default_rng(3).integers(-128, 128, x.shape).astype(np.int8)
        (want,), (got,) = named.run(data), unnamed.run(data)
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_a_name_that_is_taken() -> None:
    with session.create(stripped("all", taken="output_0")) as unnamed:
        assert unnamed.outputs()[0].name == "output_0#2"


def test_a_part_up_to_an_output_without_a_name() -> None:
    whole, part = (compile_model(stripped("all"), outputs=o) for o in (None, ["output_0"]))
    with session.create(whole) as one, session.create(part) as other:
        assert [t.name for t in one.outputs()] == [t.name for t in other.outputs()]
    compile_model(stripped("all"), inputs=["input_0"], input_shapes={"input_0": [1, 8, 8, 1]})
