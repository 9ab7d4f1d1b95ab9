"""Boxes and scores that a network joins at its end keep their own scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from furiosa_ir.compiler import compile_model
from furiosa_ir.quantization.calibration import load_samples
from furiosa_ir.quantization.indifference import Step
from furiosa_ir.quantization.onnx import OnnxSource, left_in_float, quantize_onnx
from furiosa_ir.quantization.onnx_running import onnx_runner
from furiosa_ir.quantization.own_scales import kept_apart
from furiosa_ir.quantization.tflite import TFLiteSource, quantize_tflite
from furiosa_ir.quantization.tflite_running import tflite_runner
from furiosa_ir.reports.inspect import summary
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model
from tests.quantization.networks import Builder


def detector(size: float, *, levels: int = 2, behind: str = "") -> Any:
    """Boxes of such a size and scores of 0 to 1, for each level; all joined and transposed."""
    b = Builder([1, 3, 8, 8])
    found: list[str] = []
    for level in range(levels):
        x = b.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2]) if level else "x"
        boxes = b.node("Conv", x, b.constant(b.rng.normal(0, size, (4, 3, 1, 1))))
        scores = b.node("Sigmoid", b.node("Conv", x, b.weight(5, 3, 1, 1)))
        both = b.node("Concat", boxes, scores, axis=1)
        found.append(b.node("Reshape", both, b.constant(np.array([1, 9, -1]))))
    y = b.node("Concat", *found, axis=2) if levels > 1 else found[0]
    y = b.node("Transpose", y, perm=[0, 2, 1])
    if behind:
        y = b.node(behind, y)
    return b.model(y, shape=[1, 80 if levels > 1 else 64, 9])


def quantized(model: Any) -> tuple[Any, float]:
    """The quantised network, and the signal to noise ratio of the scores."""
    source = OnnxSource.of(model, "n")
    data = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    samples = load_samples(data, source.inputs)
    result, _ = quantize_onnx(source, samples)
    want, got = (onnx_runner(m, "n")(samples[0])[0][..., 4:] for m in (model, result))
    return result, float(10 * np.log10(np.square(want).sum() / np.square(want - got).sum()))


@pytest.mark.parametrize("levels", [1, 2])
def test_boxes_and_scores(levels: int) -> None:
    model, snr = quantized(detector(300, levels=levels))
    assert snr > 35
    kinds = left_in_float(model)
    assert kinds.get("Concat", 0) + kinds.get("Transpose", 0) < 4  # only what is behind
    figures = summary(compile_model(model.SerializeToString()))["summary"]
    assert figures["npu_mac_share"] == 1


def test_ranges_that_are_alike_share_a_scale() -> None:
    model, snr = quantized(detector(1))
    assert snr > 25
    assert left_in_float(model) == {}


def test_a_concat_that_is_computed_with_is_quantised() -> None:
    model, _ = quantized(detector(300, behind="Relu"))
    assert left_in_float(model) == {}


def test_what_is_behind_and_what_is_before() -> None:
    ranges = {"a": (-600.0, 600.0), "b": (0.0, 1.0), "c": (0.0, 1.0)}
    steps = [
        Step("Conv", ("x",), ("b",)),
        Step("Reshape", ("b",), ("c",)),
        Step("Concat", ("a", "c"), ("d",)),
        Step("Transpose", ("d",), ("y",)),
    ]
    assert kept_apart(steps, ranges, ["y"]) == {"d", "y"}
    assert kept_apart(steps, ranges, ["y", "d"]) == {"d", "y"}
    assert kept_apart([*steps, Step("Abs", ("d",), ("z",))], ranges, ["y", "z"]) == set()
    assert kept_apart([*steps, Step("", ("y",), ())], ranges, ["y"]) == set()
    assert kept_apart(steps, {**ranges, "a": (-4.0, 4.0)}, ["y"]) == set()


def test_tflite(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, boxes, scores, likely, y = (
        Tensor(name, (1, n), np.float32)
        for name, n in (("x", 8), ("boxes", 4), ("scores", 5), ("likely", 5), ("y", 9))
    )
    weights = [
        Tensor.constant(name, rng.normal(0, size, shape).astype(np.float32))
        for name, size, shape in (("v", 200, (4, 8)), ("w", 1, (5, 8)))
    ]
    biases = [Tensor.constant(n, np.ones(k, np.float32)) for n, k in (("c", 4), ("d", 5))]
    dense = options("FullyConnected")
    operators = [
        Operator("FULLY_CONNECTED", [x, weights[0], biases[0]], [boxes], dense),
        Operator("FULLY_CONNECTED", [x, weights[1], biases[1]], [scores], dense),
        Operator("LOGISTIC", [scores], [likely], None),
        Operator("CONCATENATION", [boxes, likely], [y], options("Concatenation", axis=1)),
    ]
    content = build_model(operators)
    (tmp_path / "n.tflite").write_bytes(content)
    source = TFLiteSource.read(tmp_path / "n.tflite")
    data = rng.normal(size=(6, 1, 8)).astype(np.float32)
    samples = load_samples(data, source.inputs)
    result, _ = quantize_tflite(source, samples)
    want, got = (
        np.array([tflite_runner(c, source.inputs, "n")(s)[0] for s in samples])[..., 4:]
        for c in (content, result)
    )
    assert 10 * np.log10(np.square(want).sum() / np.square(want - got).sum()) > 30
