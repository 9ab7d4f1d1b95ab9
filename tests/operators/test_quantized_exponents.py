"""Powers whose exponent is quantised: it is the float32 that onnxruntime makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.compiler import compile_model
from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.interpreter import run_module
from furiosa_ir.runtime import session
from tests.importers.onnx.networks import network
from tests.importers.onnx.old_opsets import by_onnxruntime

NODE = helper.make_node
CODES = np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 16, 16)


@pytest.mark.parametrize("exponent", [2.0, 3.0, -2.0, 0.5, 4.0])
def test_equals_onnxruntime(exponent: float) -> None:
    """Of negative numbers, too: 255 steps of 2 / 255 are a little more than 2 in exact numbers."""
    steps = 255 if exponent > 0 else -255
    scale = np.float32(abs(exponent)) / np.float32(255)
    assert np.float32(scale * np.float32(steps)) == exponent
    assert float(scale) * steps != exponent or exponent == 4.0
    constants = {
        "s": np.array(0.0371, np.float32),
        "z": np.array(-5, np.int8),
        "e": np.array(127 if steps > 0 else -128, np.int8),
        "se": np.array(scale),
        "ze": np.array(-128 if steps > 0 else 127, np.int8),
        "sy": np.array(0.0913, np.float32),
    }
    nodes = [
        NODE("DequantizeLinear", ["x", "s", "z"], ["a"]),
        NODE("DequantizeLinear", ["e", "se", "ze"], ["b"]),
        NODE("Pow", ["a", "b"], ["c"]),
        NODE("QuantizeLinear", ["c", "sy", "z"], ["y"]),
    ]
    shape = list(CODES.shape)
    x, y = (shape, TensorProto.INT8), (shape, TensorProto.INT8)
    model = network(nodes, {"x": x}, {"y": y}, constants)
    data = model.SerializeToString()
    (want,) = by_onnxruntime(model, [CODES])
    program = compile_model(data)
    assert all(isinstance(s, NpuSegment) for s in read_program(program).segments)
    with session.create(program) as running:
        (got,) = running.run(CODES).numpy()
    is_number = np.ones(CODES.shape, bool) if exponent != 0.5 else CODES >= -5
    np.testing.assert_array_equal(got[is_number], want[is_number])
    np.testing.assert_array_equal(got, run_module(import_onnx(data), {"x": CODES})["y"])
