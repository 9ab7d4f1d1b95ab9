"""Resizes of old operator sets, whose specification leaves much open."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

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
