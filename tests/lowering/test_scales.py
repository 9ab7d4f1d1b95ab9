"""Scales at the border of what makes sense, and scales along another dimension than channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.runtime.session import Session
from tests.importers.onnx.networks import network
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

node = helper.make_node


def fully_connected(scales: list[float], axis: int) -> bytes:
    """[2, 4] by a weight [4, 4]."""
    weight = np.random.default_rng(3).integers(-127, 128, (4, 4)).astype(np.int8)
    x, y = Tensor("x", (2, 4), np.int8, 0.5, 3), Tensor("y", (2, 4), np.int8, 0.25, -5)
    w = Tensor.constant("w", weight, scales, [0] * len(scales), axis)
    return build_model([Operator("FULLY_CONNECTED", [x, w, None], [y], options("FullyConnected"))])


def hints_of(program: Program) -> str:
    hosts = [s for s in program.segments if isinstance(s, HostSegment)]
    return "; ".join(reason for s in hosts for _, _, _, reason in s.operators)


def on_npu(program: Program) -> bool:
    return all(isinstance(s, NpuSegment) for s in program.segments)


@pytest.mark.parametrize("scales", [[0.1, 0.2, 1e-40, 1e-45], [1e-45], [0.5, 1e-30, 0.5, 0.5]])
def test_weights_whose_channels_never_speak(scales: list[float]) -> None:
    model = fully_connected(scales, 0)
    program = read_program(compile_model(model))
    assert on_npu(program)
    x = np.random.default_rng(4).integers(-128, 128, (2, 4)).astype(np.int8)
    with Session(program) as session:
        np.testing.assert_array_equal(session.run([x])[0].numpy(), run_reference(model, [x])[0])


def test_a_square_weight_with_scales_along_its_inputs_stays_on_the_host() -> None:
    program = read_program(compile_model(fully_connected([0.1, 0.2, 0.3, 0.4], 1)))
    assert not on_npu(program)
    assert "with scales along dimension 1 of its weight" in hints_of(program)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_activations_of_absurd_scales_stay_on_the_host(scale: float) -> None:
    int8 = TensorProto.INT8
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        node("Relu", ["xr"], ["yr"]),
        node("QuantizeLinear", ["yr", "t", "z"], ["y"]),
    ]
    constants = {"s": np.float32(scale), "t": np.float32(0.5), "z": np.int8(0)}
    model = network(nodes, {"x": ([1, 4], int8)}, {"y": ([1, 4], int8)}, constants)
    program = read_program(compile_model(model.SerializeToString()))
    assert not on_npu(program)
    assert f"with a scale of {scale:g}" in hints_of(program)


def test_a_factor_that_no_multiplier_is_stays_on_the_host() -> None:
    """It was an error of the compile, though the framework has an answer."""
    int8 = TensorProto.INT8
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        node("DequantizeLinear", ["v", "s", "z"], ["vr"]),
        node("Mul", ["xr", "vr"], ["yr"]),
        node("QuantizeLinear", ["yr", "s", "z"], ["y"]),
    ]
    constants = {"s": np.float32(1e12), "z": np.int8(0)}
    inputs = {"x": ([1, 4], int8), "v": ([1, 4], int8)}
    model = network(nodes, inputs, {"y": ([1, 4], int8)}, constants)
    program = read_program(compile_model(model.SerializeToString()))
    assert not on_npu(program)
    assert "with scales of a factor of 1e+12" in hints_of(program)


def test_tensors_of_no_elements_stay_on_the_host() -> None:
    int8 = TensorProto.INT8
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        node("Relu", ["xr"], ["yr"]),
        node("QuantizeLinear", ["yr", "s", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.5), "z": np.int8(0)}
    model = network(nodes, {"x": ([0, 4], int8)}, {"y": ([0, 4], int8)}, constants)
    program = read_program(compile_model(model.SerializeToString()))
    assert "on a tensor without elements" in hints_of(program)
    with Session(program) as session:
        assert session.run([np.zeros((0, 4), np.int8)])[0].numpy().shape == (0, 4)


@pytest.mark.parametrize("bias", [np.inf, -np.inf, np.nan])
def test_a_bias_that_is_no_number_is_none_of_the_accumulator(bias: float) -> None:
    int8 = TensorProto.INT8
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        node("DequantizeLinear", ["w", "s", "z"], ["wr"]),
        node("Gemm", ["xr", "wr", "b"], ["yr"]),
        node("QuantizeLinear", ["yr", "s", "z"], ["y"]),
    ]
    constants = {
        "s": np.float32(0.5),
        "z": np.int8(0),
        "w": np.ones((4, 2), np.int8),
        "b": np.array([0.25, bias], np.float32),
    }
    model = network(nodes, {"x": ([1, 4], int8)}, {"y": ([1, 2], int8)}, constants)
    program = read_program(compile_model(model.SerializeToString()))
    assert "Gemm between quantisations that have no integers here" in hints_of(program)


def product_with(operator: str, weight: Any) -> bytes:
    """CONV_2D (1 x 1) or FULLY_CONNECTED of 4 channels into 2 by ones of a type."""
    is_conv = operator == "CONV_2D"
    shapes = ((1, 3, 3, 4), (1, 3, 3, 2), (2, 1, 1, 4)) if is_conv else ((3, 4), (3, 2), (2, 4))
    x, y = Tensor("x", shapes[0], np.int8, 0.5, 3), Tensor("y", shapes[1], np.int8, 0.25, -5)
    w = Tensor.constant("w", np.ones(shapes[2], weight), 0.5)
    fields = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    kind = options("Conv2D", **fields) if is_conv else options("FullyConnected")
    return build_model([Operator(operator, [x, w, None], [y], kind)])


@pytest.mark.parametrize("operator", ["CONV_2D", "FULLY_CONNECTED"])
def test_weights_of_32_bits_stay_on_the_host(operator: str) -> None:
    """An i32 constant was taken for a bias wherever it stood."""
    assert not on_npu(read_program(compile_model(product_with(operator, np.int32))))


@pytest.mark.parametrize("operator", ["CONV_2D", "FULLY_CONNECTED"])
def test_boolean_weights_are_refused(operator: str) -> None:
    with pytest.raises(FuriosaError, match=f"{operator} of a boolean tensor"):
        compile_model(product_with(operator, np.bool_))


def test_a_division_by_a_computed_zero_ends() -> None:
    """LiteRT refuses to go on; the simulator met a shift of less than 0."""
    a, b = (Tensor(n, (1, 4), np.int8, 0.5, z) for n, z in (("a", 3), ("b", -7)))
    y = Tensor("y", (1, 4), np.int8, 0.25, -5)
    program = read_program(
        compile_model(build_model([Operator("DIV", [a, b], [y], options("Div"))]))
    )
    assert on_npu(program)
    left, right = np.int8([[1, 2, 3, 4]]), np.int8([[-7, -7, 5, 9]])
    with Session(program) as session:
        found = session.run([left, right])[0].numpy()
        by_one = session.run([left, np.int8([[-6, -6, 5, 9]])])[0].numpy()
    np.testing.assert_array_equal(found, by_one)
