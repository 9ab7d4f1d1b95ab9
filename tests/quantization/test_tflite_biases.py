"""Dead channels of TFLite networks: weights of nothing beside a bias keep the bias."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.draws import draws
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model
from tests.quantization.test_tflite_preparation import quantized

F32 = np.float32
CHANNELS = 4

WINDOW = {"strideH": 1, "strideW": 1, "padding": schema.Padding.SAME}
OPERATORS = {
    "FULLY_CONNECTED": ((1, 8), (CHANNELS, 8), 0, options("FullyConnected")),
    "CONV_2D": (
        (1, 6, 6, 3),
        (CHANNELS, 3, 3, 3),
        0,
        options("Conv2D", **WINDOW, dilationHFactor=1, dilationWFactor=1),
    ),
    "DEPTHWISE_CONV_2D": (
        (1, 6, 6, CHANNELS),
        (1, 3, 3, CHANNELS),
        3,
        options("DepthwiseConv2D", **WINDOW, depthMultiplier=1),
    ),
}
"""Operator -> the shapes of data and weights, the weights' dimension of channels, options."""


def network(
    name: str, factors: list[float], bias: np.ndarray, rng: np.random.Generator, *, twice: bool
) -> tuple[bytes, tuple[int, ...]]:
    """One operator whose channels' weights are so large; or two that share their constants."""
    shape, weight_shape, axis, made = OPERATORS[name]
    along = [-1 if i == axis else 1 for i in range(len(weight_shape))]
    weight = rng.uniform(-1, 1, weight_shape) * np.reshape(factors, along)
    w, b = Tensor.constant("w", weight.astype(F32)), Tensor.constant("b", bias.astype(F32))
    x = Tensor("x", shape, F32)
    outputs = (*shape[:-1], CHANNELS)
    operators = [Operator(name, [x, w, b], [Tensor("y", outputs, F32)], made)]
    if twice:
        half = Tensor("half", shape, F32)
        quarter = Tensor.constant("quarter", np.array(0.25, F32))
        operators.append(Operator("MUL", [x, quarter], [half], options("Mul")))
        operators.append(Operator(name, [half, w, b], [Tensor("z", outputs, F32)], made))
    return build_model(operators), shape


@settings(
    deadline=None,
    max_examples=draws(12),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(sorted(OPERATORS)),
    st.lists(st.sampled_from([0.0, 1e-9, 1e-6, 1e-3, 1.0]), min_size=CHANNELS, max_size=CHANNELS),
    st.booleans(),
    st.booleans(),
)
def test_dead_channels(
    tmp_path: Path, name: str, factors: list[float], twice: bool, per_channel: bool
) -> None:
    rng = np.random.default_rng(4)
    bias = np.array([2.0, -1.5, 0.7, 1.0])
    model, shape = network(name, factors, bias, rng, twice=twice)
    data: Any = rng.uniform(-1, 1, (6, *shape[1:])).astype(F32)
    assert quantized(tmp_path, model, data=data, per_channel=per_channel)[1] > 20


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_data_of_zeros(tmp_path: Path, name: str) -> None:
    """Its range says nothing; the biases count all the same."""
    rng = np.random.default_rng(4)
    model, shape = network(name, [1.0] * CHANNELS, np.array([2, -1, 0.5, 1]), rng, twice=False)
    data = np.zeros((3, *shape[1:]), F32)
    assert quantized(tmp_path, model, data=data)[1] > 35
