"""Scales along a dimension of what is no weight: LiteRT takes such a tensor for one without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from tests.importers.tflite.single import options
from tests.importers.tflite.test_result_shapes import attempt
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

RELU = 1
SEVERAL = (0.5, 0.25, 0.5, 1.0)


@pytest.mark.parametrize(
    ("builtin", "table"),
    [
        ("ADD", options("Add")),
        ("SUB", options("Sub")),
        ("SQUARED_DIFFERENCE", options("SquaredDifference")),
        ("LESS", options("Less")),
        ("SOFTMAX", options("Softmax", beta=1.0)),
        ("LOG_SOFTMAX", options("LogSoftmax")),
    ],
)
def test_what_ends_the_process(builtin: str, table: Any) -> None:
    """It does so for a scale of 0, which several are to it."""
    x = [Tensor(n, (2, 4), np.int8, SEVERAL, 3, 1) for n in "ab"]
    y = Tensor("y", (2, 4), np.bool_ if builtin == "LESS" else np.int8, None)
    if builtin != "LESS":
        scale, zero_point = (1 / 16, 127) if builtin == "LOG_SOFTMAX" else (1 / 256, -128)
        y = Tensor("y", (2, 4), np.int8, scale, zero_point)
    count = 1 if builtin.endswith("SOFTMAX") else 2
    model = build_model([Operator(builtin, x[:count], [y], table, 2)])
    with pytest.raises(ImportFailure, match="several scales, which it takes for one without"):
        import_tflite(model)


@pytest.mark.parametrize("builtin", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("scale", [SEVERAL, 0.0, None, 1e-10, 0.5])
@pytest.mark.parametrize("activation", [0, RELU, 3])
def test_pools(builtin: str, scale: Any, activation: int) -> None:
    """Without a bound that is an integer they clamp at what happens to be in memory."""
    table = options(
        "Pool2D",
        strideW=1,
        strideH=1,
        filterWidth=2,
        filterHeight=2,
        padding=1,
        fusedActivationFunction=activation,
    )
    x = Tensor("x", (1, 3, 3, 4), np.int8, scale, 0, 3)
    y = Tensor("y", (1, 2, 2, 4), np.int8, scale, 0, 3)
    model = build_model([Operator(builtin, [x], [y], table, 2)])
    data = [np.random.default_rng(1).integers(-128, 128, x.shape).astype(np.int8)]
    results, refusal = attempt(model, data)
    unbounded = scale == 1e-10 and activation == 3  # 6 / scale is no int32; 0 / scale is one
    if activation and (scale in (SEVERAL, 0.0, None) or unbounded):
        assert "so that LiteRT clamps at what memory holds" in refusal
        return
    assert results is not None, refusal
    np.testing.assert_array_equal(results[0], run_reference(model, data)[0])


@pytest.mark.parametrize("scales", [(0.1, 0.2, 0.1, 0.0), (0.1, 0.1, 0.1, 0.1)])
@pytest.mark.parametrize("zero_points", [(1, 0, 0, -2), (1, 1, 1, 1)])
def test_zero_points_of_rows(scales: Any, zero_points: Any) -> None:
    """FULLY_CONNECTED does not subtract them."""
    rng = np.random.default_rng(3)
    x = Tensor("x", (2, 3), np.int8, 0.5, 3)
    elements = rng.integers(-127, 128, (4, 3)).astype(np.int8)
    w = Tensor.constant("w", elements, scales, zero_points)
    b = Tensor.constant("b", rng.integers(-100, 100, 4).astype(np.int32), 0.05)
    y = Tensor("y", (2, 4), np.int8, 3.0, 1)
    model = build_model([Operator("FULLY_CONNECTED", [x, w, b], [y], options("FullyConnected"), 4)])
    data = [rng.integers(-128, 128, x.shape).astype(np.int8)]
    results, refusal = attempt(model, data)
    assert results is not None, refusal
    np.testing.assert_array_equal(results[0], run_reference(model, data)[0])


@pytest.mark.parametrize("data", [(0.5, 3), (0.5, 120), (0.25, 3)])
@pytest.mark.parametrize("constant", [(0.5, 3), (0.5, 120), (0.25, 3)])
def test_pads_of_the_results_scale(data: tuple[float, int], constant: tuple[float, int]) -> None:
    """PADV2 compares its constant with its result; the data's scale it does not look at."""
    x, y = Tensor("x", (2, 3), np.int8, *data), Tensor("y", (4, 3), np.int8, 0.5, 120)
    pads = Tensor.constant("pads", np.array([[1, 1], [0, 0]], np.int32))
    fill = Tensor.constant("fill", np.array([-77], np.int8), *constant)
    model = build_model([Operator("PADV2", [x, pads, fill], [y], options("PadV2"), 2)])
    arrays = [np.arange(-3, 3, dtype=np.int8).reshape(2, 3)]
    results, refusal = attempt(model, arrays)
    if constant != (0.5, 120):
        assert "another scale or zero point than its result, which LiteRT refuses" in refusal
        with pytest.raises(RuntimeError, match="constant_values"):
            run_reference(model, arrays)
        return
    assert results is not None, refusal
    np.testing.assert_array_equal(results[0], run_reference(model, arrays)[0])


@pytest.mark.parametrize("builtin", ["ADD", "MAXIMUM", "NEG", "PRELU", "RESHAPE"])
@pytest.mark.parametrize("kinds", [(np.int8, np.uint8), (np.uint8, np.int8)])
def test_a_declared_result_of_the_other_sign(builtin: str, kinds: Any) -> None:
    """LiteRT computes on, with the operands' type; here the values were converted."""
    x = [Tensor(n, (2, 4), kinds[0], 0.5, 3) for n in "ab"]
    y = Tensor("y", (2, 4), kinds[1], 0.5, 3)
    count = 1 if builtin in ("NEG", "RESHAPE") else 2
    model = build_model([Operator(builtin, x[:count], [y])])
    with pytest.raises(ImportFailure, match="which LiteRT does not make"):
        import_tflite(model)
