"""Float operators between DEQUANTIZE and QUANTIZE, and what else LiteRT does in its own way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime.session import Session
from tests.importers.tflite.single import options, vector
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

SHAPE = (2, 4, 4, 3)


def check(model: bytes, *inputs: np.ndarray) -> bool:
    """Compares with LiteRT's reference kernels; whether all of it ran on the NPU."""
    program = read_program(compile_model(model))
    with Session(program) as session:
        found = session.run(list(inputs))[0].numpy()
    np.testing.assert_array_equal(found, run_reference(model, list(inputs))[0])
    return all(isinstance(s, NpuSegment) for s in program.segments)


def drawn(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)


ISLANDS: dict[str, tuple[list[Any], Any, tuple[int, ...]]] = {
    "SOFTMAX": ([], options("Softmax", beta=1.0), SHAPE),
    "LOG_SOFTMAX": ([], None, SHAPE),
    "L2_NORMALIZATION": ([], options("L2Norm"), SHAPE),
    "SUM": ([vector("axes", 1, 2)], options("Reducer", keepDims=True), (2, 1, 1, 3)),
    "MEAN": ([vector("axes", 1, 2)], options("Reducer", keepDims=True), (2, 1, 1, 3)),
    "NEG": ([], None, SHAPE),
    "LOG": ([], None, SHAPE),
    "LEAKY_RELU": ([], options("LeakyRelu", alpha=0.1), SHAPE),
    "SIN": ([], None, SHAPE),
    "FLOOR": ([], None, SHAPE),
    "TRANSPOSE": ([vector("perm", 0, 3, 1, 2)], options("Transpose"), (2, 3, 4, 4)),
    "RESHAPE": ([vector("shape", 6, 16)], options("Reshape"), (6, 16)),
}


@pytest.mark.parametrize("name", ISLANDS)
def test_a_float_operator_in_a_quantised_network(name: str) -> None:
    """They were folded into quantised ones, which round and saturate otherwise."""
    more, kind, shape = ISLANDS[name]
    x, real = Tensor("x", SHAPE, np.int8, 0.05, 3), Tensor("real", SHAPE, np.float32)
    made, y = Tensor("made", shape, np.float32), Tensor("y", shape, np.int8, 0.02, -7)
    model = build_model(
        [
            Operator("DEQUANTIZE", [x], [real], options("Dequantize")),
            Operator(name, [real, *more], [made], kind),
            Operator("QUANTIZE", [made], [y], options("Quantize")),
        ]
    )
    check(model, drawn(SHAPE))


@pytest.mark.parametrize("scale", [0.5, 0.1, 0.3])
def test_a_quantised_constant_rounds_half_away(scale: float) -> None:
    ties = np.float32(np.float32(scale) * (np.arange(-24, 24) + 0.5)).reshape(4, 12)
    real = Tensor.constant("real", ties)
    x, c = Tensor("x", (4, 12), np.int8, scale, 0), Tensor("c", (4, 12), np.int8, scale, 0)
    y = Tensor("y", (4, 12), np.int8, scale, 0)
    model = build_model(
        [
            Operator("QUANTIZE", [real], [c], options("Quantize")),
            Operator("MAXIMUM", [x, c], [y], options("MaximumMinimum")),
        ]
    )
    assert check(model, np.full((4, 12), -128, np.int8))


@pytest.mark.parametrize(
    ("begin", "masks", "shape", "npu"),
    [
        ((2, 0, 0), {"beginMask": 1, "shrinkAxisMask": 1}, (5, 6), True),
        ((2, -1, 0), {"beginMask": 7, "shrinkAxisMask": 2}, (2, 6), True),
        ((-2, 1, 1), {"shrinkAxisMask": 1}, (4, 5), True),
        ((3, 1, 1), {"shrinkAxisMask": 1}, (4, 5), True),
    ],
)
def test_dropped_dimensions(
    begin: tuple[int, ...], masks: dict[str, int], shape: tuple[int, ...], npu: bool
) -> None:
    """A mask lets begin go, also where the dimension is dropped."""
    x = Tensor("x", (4, 5, 6), np.int8, 0.5, 3)
    y = Tensor("y", shape, np.int8, 0.5, 3)
    inputs = [x, vector("begin", *begin), vector("end", 2, 5, 6), vector("strides", 1, 1, 1)]
    kind = options("StridedSlice", endMask=6, **masks)
    if shape[0] == 2:
        kind = options("StridedSlice", **masks)
    model = build_model([Operator("STRIDED_SLICE", inputs, [y], kind)])
    assert check(model, drawn((4, 5, 6))) == npu


@pytest.mark.parametrize("operator", ["CONV_2D", "ADD"])
def test_a_fused_tanh_is_none(operator: str) -> None:
    """LiteRT's kernels know no such activation and leave the sums as they are."""
    x, y = Tensor("x", (1, 3, 3, 4), np.int8, 0.5, 3), Tensor("y", (1, 3, 3, 4), np.int8, 0.25, -5)
    weight = np.random.default_rng(1).integers(-127, 128, (4, 1, 1, 4)).astype(np.int8)
    bias = Tensor.constant("b", np.array([1, -2, 3, 0], np.int32), 0.005)
    other = [Tensor.constant("w", weight, 0.01), bias] if operator == "CONV_2D" else [x]
    fields = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    more = fields if operator == "CONV_2D" else {}
    kind = options("Conv2D" if operator == "CONV_2D" else "Add", fusedActivationFunction=4, **more)
    check(build_model([Operator(operator, [x, *other], [y], kind)]), drawn((1, 3, 3, 4)))


@pytest.mark.parametrize("indices", [np.array(2, np.int32), np.array([[0, 3], [1, 1]], np.int32)])
def test_gathers_of_other_ranks_than_one(indices: np.ndarray) -> None:
    x = Tensor("x", (2, 4, 3), np.int8, 0.5, 3)
    y = Tensor("y", (2, *indices.shape, 3), np.int8, 0.5, 3)
    inputs = [x, Tensor.constant("indices", indices)]
    model = build_model([Operator("GATHER", inputs, [y], options("Gather", axis=1))])
    assert check(model, drawn((2, 4, 3)))
