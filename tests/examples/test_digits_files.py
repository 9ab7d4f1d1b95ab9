"""The bundled digits files: small, whole, and right in the frameworks they are written for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.oracle.litert import run_reference

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
TFLITE = DIGITS / "digits_int8.tflite"
ONNX = DIGITS / "digits_qdq_int8.onnx"
INPUTS = DIGITS / "digits_inputs.npz"
ACCURACY = 0.95


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    with np.load(INPUTS) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("path", [TFLITE, ONNX, INPUTS], ids=lambda path: path.name)
def test_file_is_below_100_kb(path: Path):
    assert 0 < path.stat().st_size < 100_000


def test_inputs_are_200_labelled_images_ready_for_both_formats(inputs: dict[str, np.ndarray]):
    described = {name: (array.dtype, array.shape) for name, array in inputs.items()}
    assert described == {
        "onnx_images": (np.float32, (200, 1, 8, 8)),
        "tflite_images": (np.int8, (200, 8, 8, 1)),
        "labels": (np.int64, (200,)),
    }
    assert set(inputs["labels"]) == set(range(10))
    floats = inputs["onnx_images"][:, 0]
    integers = inputs["tflite_images"][..., 0].astype(np.int64)
    np.testing.assert_allclose((integers + 128) / 255.0, floats, atol=0.5 / 255)


def test_onnx_file_is_opset_13_qdq_per_channel():
    model = onnx.load(ONNX)
    onnx.checker.check_model(model, full_check=True)
    assert [(i.domain, i.version) for i in model.opset_import if i.domain == ""] == [("", 13)]
    operators = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv", "Add", "MaxPool", "Softmax"} <= operators
    sizes = {i.name: i.dims for i in model.graph.initializer}
    scales = [
        sizes[node.input[1]] for node in model.graph.node if node.op_type == "DequantizeLinear"
    ]
    assert any(list(dims) == [16] for dims in scales), "no per-channel weights"


def test_onnxruntime_classifies_the_held_out_images(inputs: dict[str, np.ndarray]):
    session = onnxruntime.InferenceSession(ONNX, providers=["CPUExecutionProvider"])
    predicted = [
        session.run(None, {"image": image[None]})[0].argmax() for image in inputs["onnx_images"]
    ]
    assert (predicted == inputs["labels"]).mean() >= ACCURACY


def test_litert_classifies_the_held_out_images(inputs: dict[str, np.ndarray]):
    model = TFLITE.read_bytes()
    predicted = [
        run_reference(model, [image[None]])[0].argmax() for image in inputs["tflite_images"]
    ]
    assert (predicted == inputs["labels"]).mean() >= ACCURACY
