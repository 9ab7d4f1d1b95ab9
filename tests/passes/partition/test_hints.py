"""What hints call operators and their data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.compiler import compile_model
from tests.importers.tflite.single import options, vector
from tests.lowering.test_scales import hints_of
from tests.oracle.litert import Operator, Tensor, build_model


def plain(name: str, shape: tuple[int, ...], dtype: Any) -> Tensor:
    return Tensor(name, shape, dtype)


def resize() -> Operator:
    x, y = plain("x", (1, 2, 3, 2), np.float32), plain("y", (1, 4, 6, 2), np.float32)
    kind = options("ResizeNearestNeighbor")
    return Operator("RESIZE_NEAREST_NEIGHBOR", [x, vector("s", 4, 6)], [y], kind)


def depthwise() -> Operator:
    """With a fused activation, which has the same origin."""
    x, y = (plain(n, (1, 6, 6, 2), np.float32) for n in "xy")
    weight = Tensor.constant("w", np.ones((1, 3, 3, 2), np.float32))
    bias = Tensor.constant("b", np.ones(2, np.float32))
    kind = options(
        "DepthwiseConv2D", strideH=1, strideW=1, depthMultiplier=1, fusedActivationFunction=3
    )
    return Operator("DEPTHWISE_CONV_2D", [x, weight, bias], [y], kind)


def strided_slice() -> Operator:
    x, y = plain("x", (4,), np.int32), plain("y", (2,), np.int32)
    operands = [x, vector("b", 0), vector("e", 2), vector("s", 1)]
    return Operator("STRIDED_SLICE", operands, [y], options("StridedSlice"))


def pad() -> Operator:
    x, y = plain("x", (4,), np.int64), plain("y", (6,), np.int64)
    pads = Tensor.constant("p", np.array([[1, 1]], np.int32))
    value = Tensor.constant("v", np.array(3, np.int64))
    return Operator("PADV2", [x, pads, value], [y], options("PadV2"))


def expand_dims() -> Operator:
    x, y = plain("x", (4,), np.bool_), plain("y", (1, 4), np.bool_)
    axis = Tensor.constant("a", np.array(0, np.int32))
    return Operator("EXPAND_DIMS", [x, axis], [y], options("ExpandDims"))


def clip() -> Operator:
    return Operator("RELU_N1_TO_1", [plain("x", (4,), np.float32)], [plain("y", (4,), np.float32)])


def maximum() -> Operator:
    x, y = (plain(n, (4,), np.uint8) for n in "xy")
    return Operator("MAXIMUM", [x, x], [y], options("MaximumMinimum"))


FLOAT = "works on float data; quantise the network to int8"


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        (resize(), f"RESIZE_NEAREST_NEIGHBOR {FLOAT}"),
        (depthwise(), f"DEPTHWISE_CONV_2D {FLOAT}; RELU6 {FLOAT}"),
        (clip(), f"RELU_N1_TO_1 {FLOAT}"),
        (strided_slice(), "STRIDED_SLICE on i32 data cannot"),
        (pad(), "PADV2 on i64 data cannot"),
        (expand_dims(), "EXPAND_DIMS on bool data cannot"),
        (maximum(), "MAXIMUM on u8 data without a scale cannot"),
    ],
    ids=lambda value: value.builtin if isinstance(value, Operator) else "",
)
def test_hints_name_the_operator_of_the_file_and_its_data(operator: Operator, said: str) -> None:
    program = read_program(compile_model(build_model([operator])))
    assert hints_of(program).startswith(said)
