"""The table by layer: what each costs alone, what has come together, and what its range is for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.accuracy import OutputAccuracy
from furiosa_ir.quantization.calibration import load_samples
from furiosa_ir.quantization.layers import (
    LayerAccuracy,
    no_more_than_a_table,
    warn_of_poor_outputs,
    worst,
)
from furiosa_ir.quantization.onnx import OnnxSource, quantize_onnx
from furiosa_ir.quantization.tflite import TFLiteSource, quantize_tflite
from tests.quantization import test_tflite, test_tflite_preparation
from tests.quantization.networks import Builder, convolutions, encoder_block
from tests.quantization.test_indifference import LEAST, WIDTH, N, added, attention


def onnx_layers(model: Any, data: Any, **options: Any) -> dict[str, LayerAccuracy]:
    source = OnnxSource.of(model, "n")
    samples = load_samples(data.astype(np.float32), source.inputs)
    return {layer.name: layer for layer in quantize_onnx(source, samples, **options)[1]}


def tflite_layers(folder: Path, content: bytes, *shape: int) -> dict[str, LayerAccuracy]:
    (folder / "n.tflite").write_bytes(content)
    source = TFLiteSource.read(folder / "n.tflite")
    data = np.random.default_rng(1).normal(size=(6, *shape)).astype(np.float32)
    samples = load_samples(data, source.inputs)
    return {layer.name: layer for layer in quantize_tflite(source, samples)[1]}


def normal(*shape: int) -> Any:
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize("opset", [11, 18])
def test_layers_of_onnx(opset: int) -> None:
    layers = onnx_layers(convolutions(opset=opset), normal(6, 3, 12, 12))
    assert list(layers)[:2] == ["stem", "norm"]
    assert layers["stem"].alone == layers["stem"].accumulated  # nothing before it
    assert 30 < layers["classifier"].accumulated < layers["classifier"].alone < 70
    assert all(layer.low <= 0 <= layer.high for layer in layers.values())


def test_a_network_that_onnxruntime_has_prepared_is_compared_with_the_float_one() -> None:
    model = convolutions()
    data = normal(6, 3, 12, 12)
    wanted = onnx_layers(model, data)
    model.metadata_props.add(key="onnx.infer", value="onnxruntime.quant")
    layers = onnx_layers(model, data)
    assert {n: layer.accumulated for n, layer in layers.items()} == {
        n: layer.accumulated for n, layer in wanted.items()
    }


def test_layers_of_an_encoder() -> None:
    layers = onnx_layers(encoder_block(), normal(4, 16, 32))
    kinds = {layer.operator for layer in layers.values()}
    assert {"MatMul", "Softmax", "Gemm", "Add", "LayerNormalization"} <= kinds
    assert min(layer.alone for layer in layers.values()) > 30


def test_of_a_layer_left_in_float_only_the_result_is_rounded() -> None:
    before, after = (
        onnx_layers(convolutions(), normal(6, 3, 12, 12), exclude=excluded)["inner"]
        for excluded in ([], ["inner"])
    )
    assert after.alone > before.alone + 1


def test_layers_of_tflite(tmp_path: Path) -> None:
    layers = tflite_layers(tmp_path, test_tflite.network(), 8, 8, 3)
    assert list(layers) == ["features", "flat", "scores", "result"]
    assert layers["features"].operator == "CONV_2D"
    assert abs(layers["features"].alone - layers["features"].accumulated) < 0.1
    assert 30 < layers["scores"].accumulated < layers["scores"].alone


def test_what_a_mask_hides_is_no_noise(tmp_path: Path) -> None:
    layers = tflite_layers(tmp_path, test_tflite_preparation.attention("add", LEAST), N, WIDTH)
    assert min(layer.alone for layer in layers.values()) > 30
    layers = onnx_layers(attention(added, -np.inf), normal(4, N, WIDTH))
    assert min(layer.accumulated for layer in layers.values()) > 25


def bad() -> Any:
    """One channel a thousand times as great, and a sum with it."""
    b = Builder([1, 3, 8, 8])
    weight = b.rng.normal(size=(6, 3, 1, 1))
    weight[2] *= 3000
    x = b.node("Conv", "x", b.constant(weight), name="uneven")
    y = b.node("Conv", "x", b.weight(6, 3, 1, 1), name="even")
    z = b.node("Add", x, y, name="sum")
    return b.model(b.node("Sigmoid", y), z, shape=[1, 6, 8, 8])


def test_what_dominates_a_range() -> None:
    layers = onnx_layers(bad(), normal(4, 3, 8, 8))
    assert layers["uneven"].dominated.startswith("channel 2, to ")
    assert "; the median one reaches" in layers["uneven"].dominated
    assert layers["even"].dominated == ""
    assert layers["sum"].dominated.startswith("operand 'uneven_0'")
    assert "; 'even_1' reaches" in layers["sum"].dominated


def test_a_comparison_that_fails_costs_its_table_only(caplog: pytest.LogCaptureFixture) -> None:
    with no_more_than_a_table("n.onnx"):
        raise FuriosaError("onnxruntime does not take the network")
    assert "n.onnx: its layers cannot be compared: onnxruntime does not" in caplog.text


def layer(name: str, alone: float) -> LayerAccuracy:
    return LayerAccuracy(name, "Conv", alone, alone, -1, 1, "")


def test_a_poor_output_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    layers = [layer("good", 40), layer("bad", 8.3), layer("odd", float("nan")), layer("poor", 12)]
    assert [each.name for each in worst(layers, 2)] == ["bad", "poor"]
    good, poor = (OutputAccuracy(n, snr, None, 0.1, 1) for n, snr in (("y", 20.0), ("z", 11.5)))
    with caplog.at_level(logging.WARNING):
        warn_of_poor_outputs("n.onnx", [good], layers, ["more samples"])
        assert not caplog.text
        warn_of_poor_outputs("n.onnx", [good, poor], layers, ["--method entropy", "more samples"])
    (record,) = caplog.records
    assert record.getMessage() == (
        "n.onnx: on the calibration data the output 'z' (11.5 dB) is far from the float network's; "
        "layers that cost most: 'bad' (8.3 dB alone), 'poor' (12.0 dB alone), "
        "'good' (40.0 dB alone); try --exclude 'bad', --method entropy, more samples"
    )
