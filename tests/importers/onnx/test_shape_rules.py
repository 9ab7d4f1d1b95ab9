"""Types of operators that onnx's shape inference has no rule for, against onnxruntime's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.shape_rules import SHAPE_RULES
from furiosa_ir.ir.shaped_operation import shape_of
from tests.importers.onnx.networks import imported, network, operations
from tests.importers.onnx.old_opsets import by_onnxruntime, ours

RNG = np.random.default_rng(9)
IMAGE = RNG.normal(size=(2, 8, 3, 5)).astype(np.float32)
SIGNAL = RNG.normal(size=(2, 128, 1)).astype(np.float32)
POOLED = np.array([[[[5, 6], [7, 8]]]], np.float32)
INDICES = np.array([[[[0, 2], [8, 10]]]], np.int64)
ROW = RNG.normal(size=8).astype(np.float32)


def _group(opset: int, groups: int, **more: Any) -> tuple[Any, ...]:
    row = ROW[: groups if opset < 21 else 8]
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=groups, **more)
    return node, IMAGE, {"s": row, "b": row}, opset


def _stft(inputs: list[str], **more: Any) -> tuple[Any, ...]:
    constants = {
        "step": np.array(8),
        "window": np.hanning(16).astype(np.float32),
        "length": np.array(16),
    }
    return helper.make_node("STFT", inputs, ["y"], **more), SIGNAL, constants, 17


def _window(op_type: str, **more: Any) -> tuple[Any, ...]:
    node = helper.make_node(op_type, ["n"], ["y"], **more)
    return node, IMAGE, {"n": np.array(10)}, 17


def _mvn(opset: int, **more: Any) -> tuple[Any, ...]:
    return helper.make_node("MeanVarianceNormalization", ["x"], ["y"], **more), IMAGE, {}, opset


CASES: dict[str, tuple[Any, np.ndarray, dict[str, np.ndarray], int]] = {
    "GroupNormalization of 18": _group(18, 4),
    "of 20, one group": _group(20, 1),
    "of 19, as many as channels": _group(19, 8, epsilon=0.1),
    "of 21": _group(21, 4),
    "of 21, doubles inside": _group(21, 2, stash_type=11),
    "MeanVarianceNormalization of 9": _mvn(9),
    "of 13": _mvn(13),
    "of 13, axes": _mvn(13, axes=[1, 3]),
    "HannWindow": _window("HannWindow"),
    "HammingWindow": _window("HammingWindow", periodic=0),
    "BlackmanWindow": _window("BlackmanWindow", output_datatype=onnx.TensorProto.DOUBLE),
    "MelWeightMatrix": (
        helper.make_node("MelWeightMatrix", ["bins", "n", "rate", "low", "high"], ["y"]),
        IMAGE,
        {
            "bins": np.array(8),
            "n": np.array(16),
            "rate": np.array(8192),
            "low": np.array(0, np.float32),
            "high": np.array(4096, np.float32),
        },
        17,
    ),
    "MaxUnpool": (
        helper.make_node("MaxUnpool", ["x", "i", "s"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        POOLED,
        {"i": INDICES, "s": np.array([1, 1, 5, 5])},
        11,
    ),
    "MaxUnpool of no shape": (
        helper.make_node("MaxUnpool", ["x", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        POOLED,
        {"i": INDICES},
        11,
    ),
    "STFT": _stft(["x", "step", "", "length"]),
    "of the window's length": _stft(["x", "step", "window"]),
    "of both": _stft(["x", "step", "window", "length"]),
    "with two sides": _stft(["x", "step", "window"], onesided=0),
}
"""What -> the node, x, the constants, the operator set."""


@pytest.mark.parametrize("kind", CASES)
def test_a_rule(kind: str) -> None:
    node, x, constants, opset = CASES[kind]
    behind = helper.make_node("Neg", ["y"], ["z"])
    nodes = [node, behind] if "x" in node.input else [node, behind, _same()]
    inputs = {"x": list(x.shape)}
    outputs = {"y": None, "z": None} if "x" in node.input else {"y": None, "z": None, "same": None}
    model = network(nodes, inputs, outputs, constants, opset=opset)
    model.ir_version = 8
    for output in model.graph.output[:2]:
        for attribute in node.attribute:
            if attribute.name == "output_datatype":
                output.type.tensor_type.elem_type = attribute.i
    want = by_onnxruntime(model, [x])
    op = next(o for o in operations(imported(model)) if isinstance(o, OpaqueOp))
    assert shape_of(op.results[0]) == want[0].shape
    for result, other in zip(ours(model, [x]), want, strict=True):
        assert result.dtype == other.dtype
        np.testing.assert_allclose(result, other, rtol=1e-4, atol=1e-4)


def _same() -> Any:
    return helper.make_node("Identity", ["x"], ["same"])


def test_every_rule_is_tested() -> None:
    assert {node.op_type for node, *_ in CASES.values()} == SHAPE_RULES.keys()


def test_lengths_that_the_network_computes() -> None:
    """The rank is known, the extents are not."""
    nodes = [
        helper.make_node("HannWindow", ["n"], ["w"]),
        helper.make_node("STFT", ["x", "step", "w"], ["y"]),
    ]
    inputs: dict[str, Any] = {"x": [2, 128, 1], "n": ([], onnx.TensorProto.INT32), "step": ([], 7)}
    model = network(nodes, inputs, {"y": None})
    arrays = [SIGNAL, np.array(16, np.int32), np.array(8)]
    (result,), (want,) = ours(model, arrays), by_onnxruntime(model, arrays)
    assert result.shape == want.shape == (2, 15, 9, 2)
    np.testing.assert_allclose(result, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [-1, 1 << 40])
def test_a_length_that_makes_no_sense(length: int) -> None:
    nodes = [helper.make_node("HannWindow", ["n"], ["y"]), _same()]
    model = network(nodes, {"x": [1]}, {"y": None, "same": None}, {"n": np.array(length)})
    with pytest.raises(ImportFailure, match=r"negative|too large"):
        imported(model)


def test_group_normalization_is_no_operator_of_older_sets() -> None:
    node, _, constants, _ = _group(18, 4)
    model = network([node], {"x": [2, 8, 3, 5]}, {"y": None}, constants, opset=17)
    with pytest.raises(ImportFailure, match="GroupNormalization"):
        imported(model)
