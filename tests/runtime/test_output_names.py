"""An output that folding makes one value with an input, or with another output, keeps its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main
from tests.oracle.litert import Operator, Tensor, build_model

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def onnx_network() -> bytes:
    """Outputs: x itself, x renamed, x renamed again, -x, and -x renamed."""
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["b"]),
        helper.make_node("Neg", ["b"], ["c"]),
        helper.make_node("Identity", ["c"], ["d"]),
    ]
    infos = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xabcd"}
    graph = helper.make_graph(
        nodes,
        "g",
        [infos["x"]],
        list(infos.values()),
        [numpy_helper.from_array(np.array([2, 3]), "shape")],
    )
    imports = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def tflite_network() -> bytes:
    """Outputs: x quantised as it is, and reshaped to its own shape."""
    x, a, b = (Tensor(n, (2, 3), np.int8, 0.5) for n in "xab")
    shape = Tensor.constant("shape", np.array([2, 3], np.int32))
    return build_model(
        [
            Operator("QUANTIZE", [x], [a]),
            Operator("RESHAPE", [x, shape], [b], schema.ReshapeOptionsT()),
        ]
    )


def test_outputs_of_one_value() -> None:
    program = compile_model(onnx_network())
    want = {"x": X, "a": X, "b": X, "c": -X, "d": -X}
    with session.create(program, compiler_hints=False) as s:
        assert [t.name for t in s.outputs()] == list(want)
        for result, array in zip(s.run([X]), want.values(), strict=True):
            np.testing.assert_array_equal(result.numpy(), array)
        for name, array in want.items():
            np.testing.assert_array_equal(s.run_with([name], {"x": X})[0].numpy(), array)


def test_outputs_of_one_value_in_tflite() -> None:
    x = X.astype(np.int8)
    with session.create(compile_model(tflite_network()), compiler_hints=False) as s:
        assert [t.name for t in s.outputs()] == ["a", "b"]
        for result in s.run([x]):
            np.testing.assert_array_equal(result.numpy(), x)


@pytest.mark.parametrize("network", [onnx_network, tflite_network])
def test_each_is_written_under_its_name(
    tmp_path: Path, network: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(network)
    monkeypatch.chdir(tmp_path)
    Path("model").write_bytes(network())
    names = ["x", "a", "b", "c", "d"] if network is onnx_network else ["a", "b"]
    np.savez("in.npz", x=X if network is onnx_network else X.astype(np.int8))
    for command in (
        ["compile", "model", "-o", "p.enf"],
        ["run", "p.enf", "--inputs", "in.npz", "--outputs", "out.npz"],
    ):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    with np.load("out.npz") as written:
        assert list(written.files) == names


def test_names_are_left_out_where_tensors_have_them() -> None:
    """A program that needs none is what it was."""
    node = helper.make_node("Neg", ["x"], ["y"])
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy"]
    graph = helper.make_graph([node], "g", infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert read_program(compile_model(model.SerializeToString())).output_names == ()
