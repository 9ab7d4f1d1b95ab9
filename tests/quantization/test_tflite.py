"""`furiosa quantize` of TFLite networks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner, Result

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.tflite import TFLiteSource
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

pytestmark = pytest.mark.usefixtures("one_quantizer")


def network() -> bytes:
    """Convolution, reshape, a dense layer, Softmax; in float."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> Tensor:
        return Tensor.constant(name, rng.normal(0, 0.3, shape).astype(np.float32))

    def value(name: str, *shape: int) -> Tensor:
        return Tensor(name, shape, np.float32)

    convolution = schema.Conv2DOptionsT()
    convolution.strideH = convolution.strideW = 1
    convolution.dilationHFactor = convolution.dilationWFactor = 1
    convolution.fusedActivationFunction = schema.ActivationFunctionType.RELU
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    shape = Tensor.constant("shape", np.array([1, 256], np.int32))
    x, features, flat = value("x", 1, 8, 8, 3), value("features", 1, 8, 8, 4), value("flat", 1, 256)
    w = weight("w", 4, 3, 3, 3)
    scores, result = value("scores", 1, 10), value("result", 1, 10)
    return build_model(
        [
            Operator("CONV_2D", [x, w, weight("b", 4)], [features], convolution),
            Operator("RESHAPE", [features, shape], [flat], schema.ReshapeOptionsT()),
            Operator(
                "FULLY_CONNECTED",
                [flat, weight("v", 10, 256), weight("c", 10)],
                [scores],
                schema.FullyConnectedOptionsT(),
            ),
            Operator("SOFTMAX", [scores], [result], softmax),
        ]
    )  # fmt: skip


def quantize(folder: Path, *options: str) -> Result:
    (folder / "float.tflite").write_bytes(network())
    data = np.random.default_rng(1).normal(size=(20, 8, 8, 3)).astype(np.float32)
    np.savez(folder / "data.npz", x=data)
    command = ["quantize", "float.tflite", "--calibration", "data.npz", "-o", "q.tflite"]
    places = [str(folder / c) if "." in c else c for c in command]
    return CliRunner().invoke(main, [*places, "--report", str(folder / "r.json"), *options])


@pytest.mark.parametrize("options", [(), ("--per-tensor",)], ids=str)
def test_int8_inside_and_out(tmp_path: Path, options: tuple[str, ...]):
    result = quantize(tmp_path, *options)
    assert result.exit_code == 0, result.output
    (accuracy,) = json.loads((tmp_path / "r.json").read_text())["outputs"]
    assert accuracy["output"] == "result"
    assert accuracy["snr_db"] > 30
    content = (tmp_path / "q.tflite").read_bytes()
    enf = compile_model(content)
    figures = summary(enf)["summary"]
    assert figures["host_operators"] == []
    rng = np.random.default_rng(2)
    with session.create(enf) as compiled:
        for _ in range(5):
            x = rng.integers(-128, 128, (1, 8, 8, 3)).astype(np.int8)
            (want,) = run_reference(content, [x])
            assert (compiled.run([x])[0].numpy() == want).all()


def test_an_excluded_operator_stays_in_float(tmp_path: Path):
    result = quantize(tmp_path, "--exclude", "result")
    assert result.exit_code == 0, result.output
    model = schema.ModelT.InitFromPackedBuf((tmp_path / "q.tflite").read_bytes(), 0)
    (graph,) = model.subgraphs
    codes = {schema.BuiltinOperator.SOFTMAX: "softmax"}
    for op in graph.operators:
        if codes.get(model.operatorCodes[op.opcodeIndex].builtinCode):
            assert graph.tensors[op.inputs[0]].type == schema.TensorType.FLOAT32
            return
    raise AssertionError("no softmax")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--method", "entropy"), "by minmax to int8 only"),
        (("--activation", "uint8"), "by minmax to int8 only"),
        (("--exclude", "results"), "no operator with the output 'results'.*did you mean result?"),
    ],
    ids=str,
)
def test_what_only_onnx_has(tmp_path: Path, options: tuple[str, ...], sentence: str):
    result = quantize(tmp_path, *options)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("ERROR: ")
    assert sentence.partition(".*")[0] in result.stderr
    assert not (tmp_path / "q.tflite").exists()


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    (tmp_path / "float.tflite").write_bytes(network())
    with pytest.raises(FuriosaError, match=r"pip install furiosa-ir\[quantize\]"):
        TFLiteSource.read(tmp_path / "float.tflite")


def test_a_quantised_network_and_half_a_file(tmp_path: Path):
    assert quantize(tmp_path).exit_code == 0
    again = ["--calibration", str(tmp_path / "data.npz"), "-o", str(tmp_path / "q2.tflite")]
    result = CliRunner().invoke(main, ["quantize", str(tmp_path / "q.tflite"), *again])
    assert "the network is quantised already" in result.stderr
    half = tmp_path / "half.tflite"
    half.write_bytes(network()[:200])
    result = CliRunner().invoke(main, ["quantize", str(half), *again])
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
