"""A scale of 0 is one: LiteRT's kernels look for it, and its zero point is what they fill with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.importers.tflite.single import options, vector
from tests.importers.tflite.test_result_shapes import attempt
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

CONVOLUTIONS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...], int]] = {
    "CONV_2D": (
        options("Conv2D", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1),
        (3, 2, 2, 2),
        (1, 4, 4, 3),
        3,
    ),
    "DEPTHWISE_CONV_2D": (
        options("DepthwiseConv2D", strideW=1, strideH=1, depthMultiplier=1),
        (1, 2, 2, 2),
        (1, 4, 4, 2),
        3,
    ),
    "TRANSPOSE_CONV": (
        options("TransposeConv", strideW=2, strideH=2),
        (3, 2, 2, 2),
        (1, 8, 8, 3),
        3,
    ),
}
"""Options, shape of the filter and of the result, version."""


@pytest.mark.parametrize("builtin", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("dead", ["x", "w", "b", "y"])
def test_convolutions(builtin: str, dtype: Any, dead: str) -> None:
    table, kernel, made, version = CONVOLUTIONS[builtin]
    scales = {"x": 0.5, "w": 0.25, "b": 0.125, "y": 1.0, dead: 0.0}
    zero_point = 3 if dtype is np.int8 else 0
    rng = np.random.default_rng(7)
    wide = np.int32 if dtype is np.int8 else np.int64
    x = Tensor("x", (1, 4, 4, 2), dtype, scales["x"], zero_point)
    w = Tensor.constant("w", rng.integers(-100, 100, kernel).astype(np.int8), scales["w"])
    b = Tensor.constant("b", rng.integers(-100, 100, made[-1:]).astype(wide), scales["b"])
    y = Tensor("y", made, dtype, scales["y"], zero_point)
    inputs = [vector("shape", *made), w, x, b] if builtin == "TRANSPOSE_CONV" else [x, w, b]
    model = build_model([Operator(builtin, inputs, [y], table, version + (dtype is np.int16))])
    data = [rng.integers(-128, 128, x.shape).astype(dtype)]
    results, refusal = attempt(model, data)
    assert results is not None, refusal
    np.testing.assert_array_equal(results[0], run_reference(model, data)[0])


@pytest.mark.parametrize("builtin", ["ADD", "MUL", "RELU6", "TANH", "QUANTIZE", "SOFTMAX"])
@pytest.mark.parametrize("dead", [0, 1, 2])
def test_other_operators(builtin: str, dead: int) -> None:
    scales = [0.5, 0.5, 0.5]
    scales[dead] = 0.0
    x = [Tensor(n, (2, 4), np.int8, s, 3) for n, s in zip("ab", scales, strict=False)]
    count = 2 if builtin in ("ADD", "MUL") else 1
    y = Tensor("y", (2, 4), np.int8, scales[2], 3)
    tables = {"ADD": "Add", "MUL": "Mul", "QUANTIZE": "Quantize", "SOFTMAX": "Softmax"}
    table = options(tables[builtin]) if builtin in tables else None
    model = build_model([Operator(builtin, x[:count], [y], table, 2)])
    rng = np.random.default_rng(7)
    data = [rng.integers(-128, 128, (2, 4)).astype(np.int8) for _ in range(count)]
    results, _ = attempt(model, data)
    if results is not None:  # the others end LiteRT's process: test_hazards.py
        np.testing.assert_array_equal(results[0], run_reference(model, data)[0])
