"""Resizes of old operator sets, whose specification leaves much open."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from furiosa_ir.runtime import session
from tests.importers.onnx.networks import network


@pytest.mark.parametrize("scales", [(0.6, 0.6), (1.0, 0.4), (2.0, 1.5), (0.5, 2.0)])
def test_nearest_resizes_of_opset_10_are_onnxruntime_s(scales: tuple[float, float]) -> None:
    """Which takes the next element, not the one before, where a tensor shrinks."""
    shape = (1, 2, 10, 10)
    result = [1, 2, *(int(10 * np.float32(s)) for s in scales)]
    nodes = [helper.make_node("Resize", ["x", "s"], ["y"], mode="nearest")]
    constants = {"s": np.float32([1, 1, *scales])}
    model = network(
        nodes,
        {"x": (list(shape), TensorProto.UINT8)},
        {"y": (result, TensorProto.UINT8)},
        constants,
        opset=10,
    ).SerializeToString()
    x = np.arange(200, dtype=np.uint8).reshape(shape)
    (expected,) = onnxruntime.InferenceSession(model).run(None, {"x": x})
    with session.create(model) as running:
        np.testing.assert_array_equal(running.run([x])[0].numpy(), expected)


@pytest.mark.parametrize("mode", ["cubic", "linear", "nearest"])
@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("declared", [None, 22, 23])
def test_extents_are_those_of_onnx(mode: str, opset: int, declared: int | None) -> None:
    """10 * 2.3 is 22 for ONNX and 23 for onnxruntime, which runs what is not quantised."""
    axes = {"axes": [2, 3]} if opset >= 18 else {}
    scales = np.float32([1.1, 2.3] if axes else [1, 1, 1.1, 2.3])
    nodes = [helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode, **axes)]
    if opset < 13:
        nodes[0].input[1] = "roi"
    result = None if declared is None else [1, 1, 11, declared]
    constants = {"s": scales, "roi": np.zeros(0, np.float32)}
    model = network(nodes, {"x": [1, 1, 10, 10]}, {"y": result}, constants, opset=opset)
    x = np.random.default_rng(0).standard_normal((1, 1, 10, 10)).astype(np.float32)
    with session.create(model.SerializeToString()) as running:
        found = running.run([x])[0].numpy()
    assert found.shape == (1, 1, 11, declared or 22)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    if mode != "nearest":
        np.testing.assert_allclose(found[..., :22], expected, atol=1e-4)


def test_a_resize_of_what_has_no_type_here() -> None:
    """Values of unknown rank stay within the origin of who reads them; Resize was refused."""
    nodes = [
        # Nobody can tell how many elements Compress keeps, and so how many dimensions u has.
        helper.make_node("NonZero", ["x"], ["z"]),
        helper.make_node("Shape", ["z"], ["n"]),
        helper.make_node("Mul", ["n", "none"], ["zeros"]),
        helper.make_node("Add", ["zeros", "four"], ["two"]),
        helper.make_node("Concat", ["ones", "two"], ["all"], axis=0),
        helper.make_node("Compress", ["all", "every"], ["target"]),
        helper.make_node("Reshape", ["x", "target"], ["u"]),
        helper.make_node("Resize", ["u", "", "s"], ["t"], mode="linear"),
        helper.make_node("Reshape", ["t", "flat"], ["y"]),
    ]
    constants = {
        "none": np.array([0, 0]),
        "four": np.array([4, 4]),
        "ones": np.array([1, 1]),
        "every": np.ones(4, bool),
        "s": np.float32([1, 1, 2, 2]),
        "flat": np.array([1, 64]),
    }
    model = network(nodes, {"x": [1, 16]}, {"y": [1, 64]}, constants, opset=13).SerializeToString()
    x = np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(model).run(None, {"x": x})
    with session.create(model) as running:
        np.testing.assert_allclose(running.run([x])[0].numpy(), expected, atol=1e-6)
