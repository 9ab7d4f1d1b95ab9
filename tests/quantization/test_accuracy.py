"""How near outputs are whose shapes depend on the data, as those of detectors with NMS."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from furiosa_ir.quantization.accuracy import OutputAccuracy, compare
from furiosa_ir.tools.furiosa import main
from tests.importers.onnx.networks import network

pytestmark = pytest.mark.usefixtures("one_quantizer")


def compared(pairs: list[tuple[list[float], list[float]]]) -> OutputAccuracy:
    """The accuracy of one output over samples: the float one and the quantised one."""
    samples: list[Any] = [{"x": np.array(i)} for i in range(len(pairs))]
    (found,) = compare(
        ["y"],
        lambda sample: [np.array(pairs[int(sample["x"])][0])],
        lambda sample: [np.array(pairs[int(sample["x"])][1])],
        samples,
        channels_first=True,
    )
    return found


def test_samples_of_other_shapes_are_counted() -> None:
    found = compared([([8.0, 1.0], [8.0]), ([3.0, 4.0], [3.0, 4.5]), ([1.0], [])])
    assert (found.reshaped, found.max_error, found.peak) == (2, 0.5, 4.0)
    assert math.isclose(found.snr, 20.0)
    found = compared([([8.0, 1.0], [8.0])])
    assert found.reshaped == 1
    assert math.isnan(found.snr)
    assert found.as_json()["snr_db"] is None
    assert compared([([2.0], [2.0])]).snr == math.inf


def test_a_detector_with_nms_at_its_end(tmp_path: Path) -> None:
    node, rng = helper.make_node, np.random.default_rng(2)
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="conv"),
        node("Reshape", ["c", "rows"], ["r"]),
        node("Split", ["r", "parts"], ["b", "s"], axis=1),
        node("Transpose", ["b"], ["boxes"], perm=[0, 2, 1]),
        node("Sigmoid", ["s"], ["scores"]),
        node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["y"]),
    ]
    constants = {
        "w": rng.normal(size=(6, 3, 1, 1)).astype(np.float32),
        "rows": np.array([1, 6, -1], np.int64),
        "parts": np.array([4, 2], np.int64),
        "most": np.array([40], np.int64),
        "iou": np.array([0.4], np.float32),
        "least": np.array([0.5], np.float32),
    }
    x, y = ([1, 3, 12, 12], TensorProto.FLOAT), (["n", 3], TensorProto.INT64)
    onnx.save(network(nodes, {"x": x}, {"y": y}, constants), tmp_path / "n.onnx")
    np.savez(tmp_path / "c.npz", x=rng.normal(size=(6, 3, 12, 12)).astype(np.float32))
    options = ["--calibration", tmp_path / "c.npz", "-o", tmp_path / "q.onnx"]
    command = ["quantize", tmp_path / "n.onnx", *options, "--report", tmp_path / "r.json"]
    result = CliRunner().invoke(main, [str(part) for part in command])
    assert result.exit_code == 0, result.output
    (output,) = json.loads((tmp_path / "r.json").read_text())["outputs"]
    assert output["reshaped_samples"] > 0
    assert f"Of 'y' {output['reshaped_samples']} of 6 samples are not compared" in result.output
