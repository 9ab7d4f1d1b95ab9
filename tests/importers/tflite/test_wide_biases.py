"""Biases of 64 and 32 bits beside data of 16 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.tflite import import_tflite
from tests.importers.tflite.single import options, vector
from tests.importers.tflite.test_result_shapes import attempt
from tests.oracle.litert import Operator, Tensor, build_model, run_reference

RNG = np.random.default_rng(0)


def bias(dtype: Any) -> Tensor:
    return Tensor.constant("b", np.arange(-2, 2).astype(dtype), 0.05)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_fully_connected_finds_the_scale_of_its_bias(dtype: Any, scale: float) -> None:
    """LiteRT compares it with the product's where that is more than a fiftieth of the result's."""
    x, y = Tensor("x", (2, 3), np.int16, 0.5), Tensor("y", (2, 4), np.int16, scale)
    w = Tensor.constant("w", RNG.integers(-127, 128, (4, 3)).astype(np.int8), 0.1)
    table = options("FullyConnected")
    model = build_model([Operator("FULLY_CONNECTED", [x, w, bias(dtype)], [y], table, 4)])
    data = [RNG.integers(-3000, 3000, x.shape).astype(np.int16)]
    results, refusal = attempt(model, data)
    assert results is not None, refusal
    np.testing.assert_array_equal(results[0], run_reference(model, data)[0])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_transpose_conv_reads_64_bits(dtype: Any) -> None:
    """Of a bias of 32 bits, too, and beyond its end."""
    x, y = Tensor("x", (1, 4, 4, 3), np.int16, 0.5), Tensor("y", (1, 4, 4, 4), np.int16, 1.0)
    w = Tensor.constant("w", RNG.integers(-127, 128, (4, 2, 2, 3)).astype(np.int8), 0.1)
    inputs = [vector("shape", 1, 4, 4, 4), w, x, bias(dtype)]
    table = options("TransposeConv", strideW=1, strideH=1)
    model = build_model([Operator("TRANSPOSE_CONV", inputs, [y], table, 3)])
    if dtype is np.int32:
        with pytest.raises(ImportFailure, match="of 16 bits has a bias of 32, behind which LiteRT"):
            import_tflite(model)
        return
    data = [RNG.integers(-3000, 3000, x.shape).astype(np.int16)]
    results, refusal = attempt(model, data)
    assert results is not None, refusal
    np.testing.assert_array_equal(results[0], run_reference(model, data)[0])
