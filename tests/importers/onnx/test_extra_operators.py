"""Operators that onnxruntime has in ONNX's domain, in sets in which ONNX has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.importers.onnx.networks import imported, names, network
from tests.importers.onnx.old_opsets import by_onnxruntime, ours

RNG = np.random.default_rng(2)
X = RNG.normal(size=(2, 3, 6, 8)).astype(np.float32)
ROW = RNG.normal(size=8).astype(np.float32)
CHANNELS = [0.1, 0.2, 0.3]

CASES: dict[str, tuple[Any, dict[str, np.ndarray], int]] = {
    "LayerNormalization": (
        helper.make_node("LayerNormalization", ["x", "s", "b"], ["y"], epsilon=0.1),
        {"s": ROW, "b": ROW},
        16,
    ),
    "its statistics": (
        helper.make_node("LayerNormalization", ["x", "s"], ["y", "mean", "deviation"], axis=-1),
        {"s": ROW},
        16,
    ),
    "SimplifiedLayerNormalization": (
        helper.make_node("SimplifiedLayerNormalization", ["x", "s"], ["y"]),
        {"s": ROW},
        20,
    ),
    "Affine": (helper.make_node("Affine", ["x"], ["y"], alpha=2.0, beta=0.5), {}, 9),
    "Crop": (helper.make_node("Crop", ["x"], ["y"], border=[1, 2, 1, 0]), {}, 9),
    "DynamicSlice": (
        helper.make_node("DynamicSlice", ["x", "from", "to"], ["y"]),
        {"from": np.array([0, 1]), "to": np.array([1, 3])},
        9,
    ),
    "ImageScaler": (
        helper.make_node("ImageScaler", ["x"], ["y"], scale=0.5, bias=CHANNELS),
        {},
        9,
    ),
    "MeanVarianceNormalization": (
        helper.make_node("MeanVarianceNormalization", ["x"], ["y"], across_channels=1),
        {},
        8,
    ),
    "ParametricSoftplus": (
        helper.make_node("ParametricSoftplus", ["x"], ["y"], alpha=0.5, beta=2.0),
        {},
        9,
    ),
    "ScaledTanh": (helper.make_node("ScaledTanh", ["x"], ["y"], alpha=0.5, beta=2.0), {}, 9),
    "ThresholdedRelu": (helper.make_node("ThresholdedRelu", ["x"], ["y"], alpha=0.5), {}, 9),
    "an Affine without attributes": (helper.make_node("Affine", ["x"], ["y"]), {}, 9),
    "a ThresholdedRelu without": (helper.make_node("ThresholdedRelu", ["x"], ["y"]), {}, 9),
    "a MeanVarianceNormalization without": (
        helper.make_node("MeanVarianceNormalization", ["x"], ["y"]),
        {},
        8,
    ),
}
"""What -> the node, its constants, the newest set in which onnxruntime's own form counts."""


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("age", [0, 1])
def test_an_operator_in_an_old_set(kind: str, age: int) -> None:
    """Alone, and in front of an operator of ONNX's."""
    node, constants, newest = CASES[kind]
    opset = newest - age if newest < 10 else (newest, 9)[age]
    behind = helper.make_node("Neg", ["y"], ["z"])
    outputs = dict.fromkeys([*node.output, "z"])
    model = network([node, behind], {"x": list(X.shape)}, outputs, constants, opset=opset)
    model.ir_version = 8
    for result, want in zip(ours(model, [X]), by_onnxruntime(model, [X]), strict=True):
        assert result.shape == want.shape
        np.testing.assert_allclose(result, want, rtol=1e-4, atol=1e-5)


def test_layer_normalization_is_the_same_operation() -> None:
    node, constants, _ = CASES["LayerNormalization"]
    model = network([node], {"x": list(X.shape)}, {"y": None}, constants, opset=12)
    assert names(imported(model)) == ["layer_norm"]
