"""Windows and resizes beyond what the machine, or its program, has room for run on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.compiler import compile_model
from furiosa_ir.program import HostSegment
from furiosa_ir.runtime.session import Session
from tests.importers.onnx.networks import network
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

node = helper.make_node


def depthwise(dilation: int) -> bytes:
    """DEPTHWISE_CONV_2D of [1, 6, 6, 2] by 3 x 3, padding SAME: the padding is the dilation."""
    x, y = (Tensor(n, (1, 6, 6, 2), np.int8, 0.5) for n in "xy")
    weight = np.random.default_rng(1).integers(-127, 128, (1, 3, 3, 2)).astype(np.int8)
    w = Tensor.constant("w", weight, 0.25)
    bias = Tensor.constant("b", np.array([3, -7], np.int32), 0.125)
    fields = {"strideH": 1, "strideW": 1, "dilationHFactor": dilation, "dilationWFactor": 1}
    kind = options("DepthwiseConv2D", padding=0, depthMultiplier=1, **fields)
    return build_model([Operator("DEPTHWISE_CONV_2D", [x, w, bias], [y], kind)])


@pytest.mark.parametrize(("dilation", "host"), [(3000, False), (5000, True)])
def test_tflite_padding(dilation: int, host: bool) -> None:
    model = depthwise(dilation)
    program = read_program(compile_model(model))
    assert any(isinstance(s, HostSegment) for s in program.segments) == host
    x = np.random.default_rng(2).integers(-128, 128, (1, 6, 6, 2)).astype(np.int8)
    with Session(program) as session:
        np.testing.assert_array_equal(session.run([x])[0].numpy(), run_reference(model, [x])[0])


def quantized(made: Any, shape: list[int], result: list[int], weight: list[int]) -> bytes:
    int8 = TensorProto.INT8
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        node("DequantizeLinear", ["w", "s", "z"], ["wr"]),
        made,
        node("QuantizeLinear", ["yr", "s", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.5), "z": np.int8(0), "w": np.ones(weight, np.int8)}
    return network(
        nodes, {"x": (shape, int8)}, {"y": (result, int8)}, constants
    ).SerializeToString()


@pytest.mark.parametrize(
    "model",
    [
        quantized(
            node("Conv", ["xr", "wr"], ["yr"], strides=[1 << 33, 1]),
            [1, 1, 4, 4],
            [1, 1, 1, 4],
            [1, 1, 1, 1],
        ),
        quantized(
            node("ConvTranspose", ["xr", "wr"], ["yr"], strides=[5000, 1]),
            [1, 1, 2, 2],
            [1, 1, 5001, 2],
            [1, 1, 1, 1],
        ),
        quantized(
            node("MaxPool", ["xr"], ["yr"], kernel_shape=[2, 1], pads=[0, 0, 4097, 0]),
            [1, 1, 4, 4],
            [1, 1, 4100, 4],
            [1],
        ),
    ],
)
def test_onnx(model: bytes) -> None:
    program = read_program(compile_model(model))
    assert not any(isinstance(s, NpuSegment) for s in program.segments)


@pytest.mark.parametrize("operator", ["Resize", "Gather"])
def test_more_indices_than_a_program_holds(operator: str) -> None:
    count = 1 << 24
    if operator == "Resize":
        constants = {"n": np.array([1, 1, 1, count]), "s": np.float32(0.5), "z": np.int8(0)}
        made = node("Resize", ["xr", "", "", "n"], ["yr"], mode="nearest")
    else:
        constants = {"n": np.zeros(count, np.int64), "s": np.float32(0.5), "z": np.int8(0)}
        made = node("Gather", ["xr", "n"], ["yr"], axis=3)
    int8 = TensorProto.INT8
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        made,
        node("QuantizeLinear", ["yr", "s", "z"], ["y"]),
    ]
    model = network(nodes, {"x": ([1, 1, 1, 4], int8)}, {"y": ([1, 1, 1, count], int8)}, constants)
    program = read_program(compile_model(model.SerializeToString()))
    assert not any(isinstance(s, NpuSegment) for s in program.segments)
