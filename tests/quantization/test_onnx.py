"""`furiosa quantize` of ONNX networks: the program equals the quantised network, which is near."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.importers import load
from furiosa_ir.interpreter import run_module
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main
from tests.quantization.networks import Builder, convolutions, encoder_block

pytestmark = pytest.mark.usefixtures("one_quantizer")

BOUNDARY = 5
"""The hint of quantising a float input and dequantising a float output."""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def quantized(model: Any, folder: Path, *options: str, data: Any = None) -> tuple[Path, Any]:
    """The quantised network's file and the report."""
    onnx.save(model, folder / "float.onnx")
    shape = [d.dim_value or 1 for d in model.graph.input[0].type.tensor_type.shape.dim]
    if data is None:
        data = np.random.default_rng(1).normal(size=(16, *shape[1:])).astype(np.float32)
    np.save(folder / "data.npy", data)
    command = ["quantize", folder / "float.onnx", "--calibration", folder / "data.npy"]
    result = run(*command, "-o", folder / "q.onnx", "--report", folder / "report.json", *options)
    assert result.exit_code == 0, result.output
    return folder / "q.onnx", json.loads((folder / "report.json").read_text())


def program_equals_exact_arithmetic(path: Path, shape: tuple[int, ...], count: int = 4) -> Any:
    """Compiles a network, compares it with the interpreter; what `furiosa inspect` says of it."""
    enf, module = compile_model(path), load(path)
    rng = np.random.default_rng(2)
    with session.create(enf) as compiled:
        for _ in range(count):
            x = rng.normal(size=shape).astype(np.float32)
            (want,) = run_module(module, {"x": x}).values()
            (got,) = (t.numpy() for t in compiled.run([x]))
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    return summary(enf)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--activation", "uint8"),
        ("--per-tensor",),
        ("--method", "percentile"),
        ("--method", "entropy"),
        ("--exclude", "stem"),
        ("--exclude", "stem", "--activation", "uint8"),
    ],
    ids=" ".join,
)
def test_a_convolutional_network(tmp_path: Path, options: tuple[str, ...]):
    path, report = quantized(convolutions(), tmp_path, *options)
    assert report["outputs"][0]["snr_db"] > 25
    assert report["outputs"][0]["arg_max_agreement"] > 0.8
    inspection = program_equals_exact_arithmetic(path, (1, 3, 12, 12))
    if "--exclude" not in options:
        assert {h["hint"] for h in inspection["summary"]["host_operators"]} == {BOUNDARY}
        assert report["float_operators"] == {}
    else:
        assert report["float_operators"]["Conv"] == 1


@pytest.mark.parametrize(
    ("opset", "batch"),
    [
        *((9, "N"), (11, 1), (13, "N"), (17, 1)),
        *(
            pytest.param(*c, marks=pytest.mark.slow)
            for c in [(9, 1), (11, "N"), (13, 1), (17, "N")]
        ),
    ],
)
def test_every_opset_and_an_open_batch(tmp_path: Path, opset: int, batch: int | str):
    path, report = quantized(convolutions(batch, opset), tmp_path)
    model = onnx.load(path)
    assert model.opset_import[0].version == max(opset, 13)
    assert {"BatchNormalization", "Relu"}.isdisjoint(n.op_type for n in model.graph.node)
    assert report["outputs"][0]["snr_db"] > 30
    program_equals_exact_arithmetic(path, (1, 3, 12, 12), 1)


def test_weights_have_a_scale_for_each_channel_unless_told_otherwise(tmp_path: Path):
    sizes: list[set[int]] = []
    for options in ((), ("--per-tensor",)):
        model = onnx.load(quantized(convolutions(), tmp_path, *options)[0])
        constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        weights = [
            n for n in model.graph.node
            if n.op_type == "DequantizeLinear"
            and n.input[0] in constants
            and constants[n.input[0]].ndim > 1
        ]  # fmt: skip
        assert len(weights) == 4
        sizes.append({constants[n.input[1]].size for n in weights})
    assert sizes == [{5, 8}, {1}]


def test_an_encoder_block(tmp_path: Path):
    data = np.random.default_rng(1).normal(size=(16, 16, 32)).astype(np.float32)
    path, report = quantized(encoder_block(), tmp_path, data=data)
    assert report["outputs"][0]["snr_db"] > 25
    inspection = program_equals_exact_arithmetic(path, (1, 16, 32))
    assert inspection["summary"]["npu_mac_share"] == 1
    places = {part: row for row in inspection["layers"] for part in row["name"].split("+")}
    for layer in ("scores", "mixed"):  # the products of two activations
        assert places[layer]["placement"] == "npu"
        assert places[layer]["macs"] > 0
    hosts = inspection["summary"]["host_operators"]
    assert all(h["hint"] and h["reason"] for h in hosts)
    assert {h["operator"] for h in hosts if h["hint"] != BOUNDARY} <= {"LayerNormalization"}


def test_same_input_same_bytes(tmp_path: Path):
    first = quantized(convolutions(), tmp_path)[0].read_bytes()
    assert quantized(convolutions(), tmp_path)[0].read_bytes() == first


def test_degenerate_weights_and_data_have_valid_scales(tmp_path: Path):
    b = Builder([1, 2, 4, 4])
    x = b.node("Conv", "x", b.constant(np.full((3, 2, 1, 1), 1e-30)), b.constant(np.zeros(3)))
    y = b.node("Conv", "x", b.constant(np.zeros((3, 2, 1, 1))), b.constant(np.full(3, -1.0)))
    z = b.node("Relu", y, name="dead")
    data = np.zeros((2, 2, 4, 4), np.float32)
    path, _ = quantized(b.model(b.node("Add", x, z), shape=[1, 3, 4, 4]), tmp_path, data=data)
    scales = [
        numpy_helper.to_array(i)
        for i in onnx.load(path).graph.initializer
        if i.name.endswith("scale")
    ]
    assert all(np.isfinite(s).all() and (s > 0).all() for s in scales)
    program_equals_exact_arithmetic(path, (1, 2, 4, 4))
    with session.create(compile_model(path)) as compiled:
        # A Relu that was zero on all samples still is one.
        (result,) = compiled.run([np.ones((1, 2, 4, 4), np.float32)])
    assert (result.numpy() == 0).all()


def test_a_layer_without_a_finite_range_is_named_and_can_be_excluded(tmp_path: Path):
    b = Builder([1, 4])
    x = b.node("Div", "x", b.constant(np.zeros(4)), name="infinite")
    model = b.model(b.node("Relu", x, name="relu"), shape=[1, 4])
    onnx.save(model, tmp_path / "float.onnx")
    np.save(tmp_path / "data.npy", np.ones((2, 4), np.float32))
    command = ["quantize", tmp_path / "float.onnx", "--calibration", tmp_path / "data.npy"]
    result = run(*command, "-o", tmp_path / "q.onnx")
    assert result.exit_code == 1
    assert "layer 'infinite': its values reach from inf to inf" in result.stderr
    assert not (tmp_path / "q.onnx").exists()
    result = run(*command, "-o", tmp_path / "q.onnx", "--exclude", "infinite")
    assert "layer 'relu': its values" in result.stderr  # the next one that would take them
    _, report = quantized(model, tmp_path, "--exclude", "infinite", "--exclude", "relu")
    assert report["float_operators"] == {"Div": 1, "Relu": 1}
    assert report["outputs"][0]["snr_db"] is None
    assert report["outputs"][0]["max_error"] == 0


def test_wrong_names_options_and_files(tmp_path: Path):
    path, _ = quantized(convolutions(), tmp_path)
    data, target = tmp_path / "data.npy", tmp_path / "again.onnx"
    (tmp_path / "text.onnx").write_text("hello")
    for expected, source, *options in (
        ("no node 'stemm' to exclude (did you mean stem", "float.onnx", "--exclude", "stemm"),
        ("the network is quantised already", path.name),
        ("not an ONNX model", "text.onnx"),
        ("no such file", "missing.onnx"),
    ):
        command = ["quantize", tmp_path / source, "--calibration", data, "-o", target]
        result = run(*command, *options)
        assert result.exit_code == 1, result.output
        assert result.stderr.splitlines()[-1].startswith("ERROR: ")
        assert expected.lower() in result.stderr.lower()
        assert "Traceback" not in result.stderr
        assert not target.exists()
    nowhere = run("quantize", path, "--calibration", data, "-o", tmp_path / "no" / "q.onnx")
    assert "there is no directory" in nowhere.stderr


def test_progress_and_table(tmp_path: Path):
    onnx.save(convolutions(), tmp_path / "float.onnx")
    np.save(tmp_path / "data.npy", np.ones((3, 3, 12, 12), np.float32))
    command = ["quantize", tmp_path / "float.onnx", "--calibration", tmp_path / "data.npy"]
    result = run(*command, "-o", tmp_path / "q.onnx", "--samples", 2)
    steps = [line for line in result.stderr.splitlines() if line.startswith("🔍")]
    assert [s.split(maxsplit=1)[1].split()[0] for s in steps] == [
        "Preparing",
        "Calibrating",
        "Quantising",
        "Comparing",
        "Comparing",
    ]
    assert "2 calibration samples" in result.stdout
    assert "classifier" in result.stdout
    assert "SNR alone" in result.stdout
    assert "Left in float" not in result.stderr


def test_weights_in_a_file_beside_the_network(tmp_path: Path):
    inside, _ = quantized(convolutions(), tmp_path)
    (tmp_path / "outside").mkdir()
    path = tmp_path / "outside" / "float.onnx"
    onnx.save(convolutions(), path, save_as_external_data=True, size_threshold=0)
    command = ["quantize", path, "--calibration", tmp_path / "data.npy"]
    assert run(*command, "-o", tmp_path / "again.onnx").exit_code == 0
    assert (tmp_path / "again.onnx").read_bytes() == inside.read_bytes()
    path.with_name("float.onnx").rename(tmp_path / "alone.onnx")
    result = run("quantize", tmp_path / "alone.onnx", *command[2:], "-o", tmp_path / "no.onnx")
    assert re.search("the external data '.*' of the tensor '.*' is missing", result.stderr)
    assert not (tmp_path / "no.onnx").exists()
