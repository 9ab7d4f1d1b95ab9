"""Sums that leave the 32-bit accumulator, and products that have no channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime.session import Session
from tests.importers.onnx.networks import network
from tests.lowering.test_scales import hints_of

INT8 = TensorProto.INT8
node = helper.make_node
LONG = 70_000


def quantized(
    operator: str,
    shapes: tuple[Sequence[int], Sequence[int]],
    constants: dict[str, Any],
    then: str | None = None,
) -> bytes:
    """DQ - operator - (an operator with the constant `c`) - Q, with the weight `w` in int8."""
    operands = ["xr", "wr"] + (["br"] if "b" in constants else [])
    bias = [node("DequantizeLinear", ["b", "sb"], ["br"])] if "b" in constants else []
    nodes = [
        node("DequantizeLinear", ["x", "sx", "zx"], ["xr"]),
        node("DequantizeLinear", ["w", "sw"], ["wr"]),
        *bias,
        node(operator, operands, ["t"]),
        *([node(then, ["t", "c"], ["u"])] if then else []),
        node("QuantizeLinear", ["u" if then else "t", "sy", "zy"], ["y"]),
    ]
    scales = {"sx": np.float32(0.5), "sw": np.float32(0.25), "sb": np.float32(0.125)}
    constants = scales | {"zy": np.int8(0)} | constants
    inputs, outputs = {"x": (list(shapes[0]), INT8)}, {"y": (list(shapes[1]), INT8)}
    return network(nodes, inputs, outputs, constants).SerializeToString()


def check(model: bytes, x: np.ndarray) -> str:
    """Compares with onnxruntime; the hints."""
    program = read_program(compile_model(model))
    with Session(program) as session:
        found = session.run([x])[0].numpy()
    (expected,) = onnxruntime.InferenceSession(model).run(None, {"x": x})
    np.testing.assert_array_equal(found, expected)
    return hints_of(program)


@pytest.mark.parametrize("bias", [2**31 - 1, -(2**31), 2**30])
def test_a_bias_near_the_limit(bias: int) -> None:
    """Saturation on the opposite side was silent."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.integers(-127, 128, (4, 4, 3, 3)).astype(np.int8),
        "b": np.array([bias, 5, -7, 0], np.int32),
        "sy": np.float32(5e3),
        "zx": np.int8(0),
    }
    model = quantized("Conv", ([1, 4, 6, 6], [1, 4, 4, 4]), constants)
    hints = check(model, rng.integers(-128, 128, (1, 4, 6, 6)).astype(np.int8))
    assert ("whose sums may exceed 32 bits" in hints) == (abs(bias) > 2**30)


@pytest.mark.parametrize("then", [None, "Add", "Mul"])
@pytest.mark.parametrize("value", [127, 100])
def test_long_sums(then: str | None, value: int) -> None:
    """70,000 products of 127 * 255 exceed 32 bits, those of 100 * 255 do not."""
    constants = {
        "w": np.full((LONG, 2), [[value, -value]], np.int8),
        "sy": np.float32(1e7 / 4),
        "zx": np.int8(-128),
    }
    if then:
        constants["c"] = np.float32([3, 2])
    model = quantized("MatMul", ([1, LONG], [1, 2]), constants, then)
    hints = check(model, np.full((1, LONG), 127, np.int8))
    assert ("MatMul" in hints or "Gemm" in hints) == (value == 127)


@pytest.mark.parametrize("then", ["Add", "Mul"])
def test_a_product_of_vectors_has_no_channels(then: str) -> None:
    constants = {
        "w": np.arange(-4, 5, dtype=np.int8),
        "sy": np.float32(0.5),
        "zx": np.int8(3),
        "c": np.float32(0.5),
    }
    model = quantized("MatMul", ([9], []), constants, then)
    check(model, np.arange(9, dtype=np.int8))


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
def test_no_output_channels(operator: str) -> None:
    shape = (0, 3, 3, 3) if operator == "Conv" else (3, 0, 3, 3)
    constants = {"w": np.zeros(shape, np.int8), "sy": np.float32(0.5), "zx": np.int8(3)}
    side = 2 if operator == "Conv" else 6
    model = quantized(operator, ([1, 3, 4, 4], [1, 0, side, side]), constants)
    assert "without elements" in hints_of(read_program(compile_model(model)))


def test_a_gemm_of_factor_zero_is_its_bias() -> None:
    constants = {
        "s": np.float32(0.5),
        "z": np.int8(0),
        "w": np.ones((4, 3), np.int8),
        "b": np.float32([1, 2, 3]),
    }
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["xr"]),
        node("DequantizeLinear", ["w", "s", "z"], ["wr"]),
        node("Gemm", ["xr", "wr", "b"], ["t"], alpha=0.0),
        node("QuantizeLinear", ["t", "s", "z"], ["y"]),
    ]
    model = network(nodes, {"x": ([2, 4], INT8)}, {"y": ([2, 3], INT8)}, constants)
    with Session(read_program(compile_model(model.SerializeToString()))) as session:
        found = session.run([np.ones((2, 4), np.int8)])[0].numpy()
    np.testing.assert_array_equal(found, [[2, 4, 6]] * 2)


def test_a_great_bias_of_a_channel_of_zeros() -> None:
    """As onnxruntime quantises channels that never speak: with a tiny scale, and a great bias."""
    weight = np.random.default_rng(0).integers(-127, 128, (2, 4, 3, 3)).astype(np.int8)
    weight[0] = 0
    bias = np.array([2**31 - 1, 5], np.int32)
    constants = {"w": weight, "b": bias, "sy": np.float32(5e3), "zx": np.int8(0)}
    model = quantized("Conv", ([1, 4, 6, 6], [1, 2, 4, 4]), constants)
    assert "Conv" not in check(model, np.full((1, 4, 6, 6), 100, np.int8))
