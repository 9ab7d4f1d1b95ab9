"""A planted fault comes first; what is asked for, refused and said."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import furiosa_ir as fi
from furiosa_ir.importers import load
from furiosa_ir.layer_sensitivity import Sensitivity, analyse
from furiosa_ir.layer_sensitivity.report import worst_output
from furiosa_ir.numerics.array import Array
from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS
from tests.layer_sensitivity.networks import planted_module, planted_onnx

ONNX = DIGITS / "digits_qdq_int8.onnx"
TFLITE = DIGITS / "digits_int8.tflite"


def images(kind: str, count: int = 3) -> Array:
    with np.load(DIGITS / "digits_inputs.npz") as arrays:
        return arrays[kind][:count]


def snr(found: Sensitivity, layer: str) -> float:
    return next(worst_output(each.alone).snr for each in found.layers if each.name == layer)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(ONNX)


def stored_of(model: onnx.ModelProto, layer: str) -> str:
    """The tensor of integers behind a node, through the ReLU if there is one."""
    made = next(node.output[0] for node in model.graph.node if node.name == layer)
    while True:
        node = next(n for n in model.graph.node if made in n.input)
        made = node.output[0]
        if node.op_type == "QuantizeLinear":
            return made


def analysed(model: onnx.ModelProto) -> Sensitivity:
    feeds = [{"image": image[None]} for image in images("onnx_images")]
    return analyse(load(model.SerializeToString()), feeds)


@pytest.mark.parametrize("layer", ["body_conv", "pointwise_conv", "stem_conv", "residual_sum"])
def test_a_scale_that_is_too_small_comes_first(model: onnx.ModelProto, layer: str) -> None:
    found = analysed(planted_onnx(model, stored_of(model, layer), factor=0.1))
    first = found.layers[0]
    assert first.name == layer
    assert "% of the values clip" in first.fault
    assert first.local.saturated > 0.05
    assert found.left_in_float[0].name == layer
    assert f"--exclude {layer}" in found.advice
    assert worst_output(found.without_them).snr > worst_output(found.outputs).snr + 15


@pytest.mark.parametrize("layer", ["pointwise_conv", "residual_sum", "averaged"])
def test_a_scale_that_is_too_large_comes_first(model: onnx.ModelProto, layer: str) -> None:
    found = analysed(planted_onnx(model, stored_of(model, layer), factor=40))
    first = found.layers[0]
    assert first.name == layer
    assert "times too wide" in first.fault
    assert 40 < first.width < 80
    assert first.local.saturated == 0


@pytest.mark.parametrize(
    ("layer", "shift"), [("pointwise_conv", 110), ("averaged", 150), ("residual_sum", 180)]
)
def test_a_wrong_zero_point_comes_first(model: onnx.ModelProto, layer: str, shift: int) -> None:
    found = analysed(planted_onnx(model, stored_of(model, layer), shift=shift))
    assert found.layers[0].name == layer
    assert "clip" in found.layers[0].fault


def test_integers_that_are_read_otherwise_come_first(model: onnx.ModelProto) -> None:
    tensor = stored_of(model, "pointwise_conv")
    found = analysed(planted_onnx(model, tensor, shift=30, read=False))
    assert found.layers[0].name == "pointwise_conv"
    assert "but read with scale" in found.layers[0].fault
    assert snr(found, "pointwise_conv") < 25


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        ("stem", {"factor": 0.1}),
        ("residual", {"factor": 60.0}),
        ("body", {"shift": 100}),
        ("pointwise", {"shift": 110}),
    ],
)
def test_a_fault_in_tflite_comes_first(layer: str, change: dict[str, float]) -> None:
    module = load(TFLITE)
    planted_module(module, layer, **change)  # pyright: ignore[reportArgumentType]
    found = analyse(module, [{"image": image[None]} for image in images("tflite_images")])
    assert found.layers[0].name == layer
    assert found.layers[0].fault


def test_what_is_said_of_a_layer(model: onnx.ModelProto) -> None:
    """Recomputed by numpy from the layer's own values."""
    found = fi.sensitivity(ONNX, list(images("onnx_images")[:, None]))
    layer = next(each for each in found.layers if each.name == "pointwise_conv")
    q = layer.written
    assert layer.operator == "conv"
    assert 0.25 < layer.local.error < 0.32  # 1 / sqrt(12) of errors that are uniform
    assert layer.local.least >= (-128.5 - q.zero_point) * q.scale
    assert layer.local.used == pytest.approx(
        (layer.local.greatest - layer.local.least) / q.scale / 255, abs=0.01
    )
    assert layer.gain == pytest.approx(
        worst_output(layer.without).snr - worst_output(found.outputs).snr
    )
    assert [worst_output(each.alone).snr for each in found.layers] == sorted(
        worst_output(each.alone).snr for each in found.layers
    )
    assert found.advice.startswith("Nothing need be done")


def test_some_layers(model: onnx.ModelProto) -> None:
    feeds = [images("onnx_images")[:1]]
    found = fi.sensitivity(ONNX, feeds, layers=["*_conv"])
    assert {each.name for each in found.layers} == {
        "stem_conv", "body_conv", "depthwise_conv", "pointwise_conv",
    }  # fmt: skip
    with pytest.raises(fi.FuriosaError, match="no quantised layer 'stem_con'"):
        fi.sensitivity(ONNX, feeds, layers=["stem_con"])


def test_threads_change_nothing() -> None:
    one, two = (fi.sensitivity(TFLITE, jobs=jobs).as_json() for jobs in (1, 3))
    assert one == two


def test_what_has_no_real_numbers_is_refused(model: onnx.ModelProto) -> None:
    lowered = fi.transform(fi.load(ONNX), fi.default_pipeline().between("graph", "ftensor"))
    with pytest.raises(fi.FuriosaError, match="computes with integers, and has no meaning in real"):
        fi.sensitivity(lowered)
    node = helper.make_node("Relu", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy")
    plain = helper.make_model(
        helper.make_graph([node], "float", [x], [y]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    with pytest.raises(fi.FuriosaError, match="the network is not quantised"):
        fi.sensitivity(plain.SerializeToString())
    with pytest.raises(fi.FuriosaError, match="no inputs"):
        fi.sensitivity(ONNX, [])


def test_operators_on_integers_of_onnx() -> None:
    """QLinearConv and QLinearAdd, as QuantizeLinear and DequantizeLinear around Conv and Add."""
    rng = np.random.default_rng(0)
    zero = np.array(0, np.int8)
    numbers = {
        "xs": np.array(0.05, np.float32), "z": zero, "ws": np.array(0.02, np.float32),
        "cs": np.array(0.9, np.float32), "as": np.array(0.1, np.float32),
        "w": rng.integers(-100, 100, (4, 4, 3, 3)).astype(np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "z"], ["q"], "entry"),
        helper.make_node(
            "QLinearConv", ["q", "xs", "z", "w", "ws", "z", "cs", "z"], ["c"], "conv", pads=[1] * 4
        ),
        helper.make_node(
            "QLinearAdd", ["c", "cs", "z", "q", "xs", "z", "as", "z"], ["a"], "sum",
            domain="com.microsoft",
        ),
        helper.make_node("DequantizeLinear", ["a", "as", "z"], ["y"], "exit"),
    ]  # fmt: skip
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4, 6, 6]) for n in "xy")
    graph = helper.make_graph(
        nodes, "integers", [x], [y], [numpy_helper.from_array(a, n) for n, a in numbers.items()]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    file = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    image = rng.uniform(-6, 6, (1, 4, 6, 6)).astype(np.float32)
    found = fi.sensitivity(file, [image])
    assert {each.name for each in found.layers} == {"entry", "conv", "sum"}
    assert found.layers[0].name == "sum"  # of half the range that the convolution reaches
    assert "clip" in found.layers[0].fault


def test_state_is_kept_from_sample_to_sample() -> None:
    text = """
    builtin.module attributes {graph.source = "tflite"} {
      graph.variable @kept {type = tensor<1x4x!quant.uniform<i8:f32, 0.5>>, initial = #graph.blob<i8 [1, 4] (2, 2, 2, 2)>}
      func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "x"}) -> (tensor<1x4x!quant.uniform<i8:f32, 0.7>> {graph.name = "y"}) {
        %0 = graph.read_variable @kept : tensor<1x4x!quant.uniform<i8:f32, 0.5>>
        %1 = graph.add %x, %0 : tensor<1x4x!quant.uniform<i8:f32, 0.7>> loc("sum")
        graph.assign_variable @kept, %x
        func.return %1 : tensor<1x4x!quant.uniform<i8:f32, 0.7>>
      }
    }
    """  # noqa: E501
    inputs = [np.full((1, 4), n, np.int8) for n in (1, 4, 7)]
    (layer,) = fi.sensitivity(fi.parse(text), inputs).layers
    assert layer.name == "sum"
    assert (layer.local.least, layer.local.greatest) == (1.5, 5.5)


def test_the_command(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", image=images("onnx_images", 9))
    words = ["sensitivity", str(ONNX), "--inputs", str(tmp_path / "images.npz"), "-n", "2"]
    shown = CliRunner().invoke(main, [*words, "--top", "3"])
    assert shown.exit_code == 0, shown.stderr
    assert "The 3 of 9 layers" in shown.stdout
    assert "Nothing need be done" in shown.stdout
    assert max(map(len, shown.stdout.splitlines()[:8])) <= 100
    told = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert told["samples"] == 2
    assert len(told["layers"]) == 9
    assert all(math.isfinite(layer["snr_alone_db"]) for layer in told["layers"])
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(main, [*words, "--csv"]).stdout)))
    assert [row["layer"] for row in rows] == [layer["layer"] for layer in told["layers"]]
    drawn = CliRunner().invoke(main, ["sensitivity", str(TFLITE), "-n", "1", "--layers", "stem"])
    assert "WARNING: the inputs are drawn" in drawn.stderr
    both = CliRunner().invoke(main, [*words, "--json", "--csv"])
    assert both.exit_code == 1
    missing = CliRunner().invoke(main, ["sensitivity", str(ONNX), "--layers", "none"])
    assert missing.exit_code == 1
    assert f"ERROR: {ONNX}: there is no quantised layer 'none'" in missing.stderr.replace("\n", "")
