"""Masks in front of a Softmax: their range is no part of the scores'."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.quantization.calibration import load_samples
from furiosa_ir.quantization.indifference import (
    Step,
    limits_of,
    softmax_floor,
    some_rows,
)
from furiosa_ir.quantization.onnx import OnnxSource, quantize_onnx
from furiosa_ir.quantization.onnx_running import onnx_runner
from tests.quantization.networks import Builder

N, WIDTH = 12, 8
CAUSAL = np.tril(np.ones((N, N))) > 0
LEAST = float(np.finfo(np.float32).min)

Mask = Callable[[Builder, str, float], str]


def added(b: Builder, scores: str, value: float) -> str:
    return b.node("Add", scores, b.constant(np.where(CAUSAL, 0.0, value)))


def selected(b: Builder, scores: str, value: float) -> str:
    fill = b.constant(np.float32(value))
    return b.node("Where", b.constant(CAUSAL), scores, fill)


def broadcast(b: Builder, scores: str, value: float) -> str:
    """The last three positions, as padding."""
    padding = np.where(np.arange(N) < N - 3, 0.0, value).reshape(1, 1, N)
    return b.node("Add", b.constant(padding), scores)


def computed(b: Builder, scores: str, value: float) -> str:
    """(1 - mask) * value, as BERT has it; the mask is from the data."""
    seen = b.node("Cast", b.node("Greater", "x", b.constant(np.float32(-9))), to=1)
    seen = b.node(
        "Mul", b.node("ReduceMax", seen, axes=[2], keepdims=0), b.constant(CAUSAL[9:10] * 1.0)
    )
    hidden = b.node("Sub", b.constant(np.float32(1)), seen)
    mask = b.node("Mul", hidden, b.constant(np.float32(max(value, LEAST))))
    return b.node("Add", scores, b.node("Unsqueeze", mask, b.constant(np.array([1]))))


def twice(b: Builder, scores: str, value: float) -> str:
    """A causal mask and one of padding: two of the least floats are minus infinity together."""
    padding = np.where(np.arange(N) < N - 3, 0.0, value).reshape(1, 1, N)
    masks = b.node("Add", b.node("Expand", b.constant(padding), b.constant(np.array([1, N, N]))),
                   b.constant(np.where(CAUSAL, 0.0, value)))  # fmt: skip
    return b.node("Add", scores, masks)


def subtracted(b: Builder, scores: str, value: float) -> str:
    return b.node("Sub", scores, b.constant(np.where(CAUSAL, 0.0, -value)))


MASKS = (added, selected, broadcast, computed, twice, subtracted)
VALUES = (-np.inf, LEAST, -1e9, -1e4)


def softmax(b: Builder, x: str) -> str:
    return b.node("Softmax", x, axis=-1)


def written_out(b: Builder, x: str) -> str:
    powers = b.node("Exp", b.node("Sub", x, b.node("ReduceMax", x, axes=[-1], keepdims=1)))
    return b.node("Div", powers, b.node("ReduceSum", powers, b.constant(np.array([-1]))))


def attention(mask: Mask, value: float, layers: int = 1, normalize: Any = softmax) -> Any:
    b = Builder([1, N, WIDTH])
    x = "x"
    for _ in range(layers):
        query, key, data = (b.node("MatMul", x, b.weight(WIDTH, WIDTH)) for _ in range(3))
        scores = b.node("MatMul", query, b.node("Transpose", key, perm=[0, 2, 1]))
        x = b.node("Add", x, b.node("MatMul", normalize(b, mask(b, scores, value)), data))
    return b.model(x, shape=[1, N, WIDTH])


def snr(model: Any, **options: Any) -> float:
    source = OnnxSource.of(model, "n")
    data = np.random.default_rng(1).normal(size=(4, N, WIDTH)).astype(np.float32)
    samples = load_samples(data, source.inputs)
    want = np.concatenate([onnx_runner(model, "n")(s)[0] for s in samples])
    quantized, _ = quantize_onnx(source, samples, **options)
    got = np.concatenate([onnx_runner(quantized, "n")(s)[0] for s in samples])
    return float(10 * np.log10(np.square(want).sum() / np.square(want - got).sum()))


@pytest.mark.parametrize(
    ("mask", "value"),
    list(itertools.product(MASKS, VALUES)),
    ids=lambda v: v.__name__ if callable(v) else str(v),
)
def test_masks(mask: Mask, value: float, caplog: pytest.LogCaptureFixture) -> None:
    assert snr(attention(mask, value, layers=2)) > 24
    assert "are clipped where the Softmax behind them cannot tell" in caplog.text


@pytest.mark.parametrize(
    ("method", "value"),
    [("entropy", LEAST), ("percentile", -np.inf), ("percentile", LEAST), ("percentile", -1e4)],
)
def test_other_methods(method: str, value: float) -> None:
    assert snr(attention(added, value), method=method) > 18


@pytest.mark.parametrize("value", [LEAST, -1e9, -1e4])
def test_a_softmax_that_is_written_out(value: float) -> None:
    assert snr(attention(added, value, normalize=written_out)) > 20


def test_a_mask_that_is_an_output_keeps_its_values() -> None:
    """Somebody sees them: the range is what it is."""
    x, y, z = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xyz")
    mask = numpy_helper.from_array(np.array([0, 0, -1e4, 0], np.float32), "m")
    nodes = [helper.make_node("Add", ["x", "m"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y, z], [mask])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    source = OnnxSource.of(model, "n")
    quantized, _ = quantize_onnx(source, [{"x": np.ones((1, 4), np.float32)}])
    _, got = onnx_runner(quantized, "n")({"x": np.ones((1, 4), np.float32)})
    assert got[0, 2] < -9900


@pytest.mark.parametrize("value", VALUES)
def test_rows_that_are_hidden_altogether(value: float) -> None:
    """Their scores are as low as the mask; the limit is that of the others."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (3, N, N))
    scores = np.where(CAUSAL, scores, value)
    scores[:, 2] = max(value, LEAST) + rng.normal(size=N)
    floor = softmax_floor([some_rows(scores, -1)])
    assert -20 < floor < -5


def test_limits_go_against_the_flow() -> None:
    steps = [
        Step("Mul", ("hidden", "big"), ("mask",)),
        Step("Sub", ("scores", "half"), ("less",)),
        Step("Add", ("less", "mask"), ("sum",)),
        Step("Reshape", ("sum",), ("flat",)),
        Step("Softmax", ("flat",), ("y",)),
        Step("Neg", ("other",), ("negative",)),
        Step("Sigmoid", ("negative",), ("z",)),
    ]
    ranges = {
        "hidden": (0.0, 1.0), "mask": (-1e9, 0.0), "scores": (-4.0, 5.0), "less": (-6.0, 3.0),
        "sum": (-1e9, 3.0), "flat": (-1e9, 3.0), "other": (-3.0, 900.0), "negative": (-900.0, 3.0),
    }  # fmt: skip
    constants = {"big": np.array(-1e9), "half": np.array(2.0)}
    found = limits_of(steps, ranges, constants, ["y", "z"], {"flat": -12.0})
    inf = float("inf")
    assert found["flat"] == found["sum"] == (-12.0, inf)
    assert found["mask"] == (-15.0, inf)
    assert found["less"] == (-12.0, inf)
    assert found["scores"] == (-10.0, inf)
    assert found["big"] == (-15.0 * 255, inf)
    assert "hidden" not in found
    assert found["negative"] == (-10.0, 10.0)
    assert found["other"] == (-10.0, 10.0)
    # Who else takes a tensor has to agree.
    more = [*steps, Step("Abs", ("sum",), ("seen",))]
    assert not {"sum", "mask", "less"} & set(
        limits_of(more, ranges, constants, ["y"], {"flat": -12.0})
    )
