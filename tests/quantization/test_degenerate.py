"""Tensors that no calibration means: empty, constant, tiny, of float16; channels of nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.calibration import load_samples
from furiosa_ir.quantization.onnx import OnnxSource, quantize_onnx
from furiosa_ir.quantization.onnx_running import onnx_runner
from furiosa_ir.quantization.preparation import name_nodes

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(4, 3, 6, 6)).astype(np.float32)
WEIGHT = RNG.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
METHODS = ("minmax", "entropy", "percentile")
N = helper.make_node


def snr(
    nodes: list[Any],
    constants: dict[str, Any],
    data: Any = DATA,
    *,
    kind: int = TensorProto.FLOAT,
    more: dict[str, list[int]] | None = None,
    **options: Any,
) -> float:
    shapes = {"x": [1, 3, 6, 6], **(more or {})}
    inputs = [helper.make_tensor_value_info(n, kind, s) for n, s in shapes.items()]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    weights = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    name_nodes(model)
    source = OnnxSource.of(model, "n")
    samples = load_samples(data, source.inputs)
    quantized, _ = quantize_onnx(source, samples, **options)
    want, got = (onnx_runner(m, "n")(samples[0])[0].astype(float) for m in (model, quantized))
    noise = max(np.square(want - got).sum(), 1e-30)
    return float(10 * np.log10(np.square(want).sum() / noise))


@pytest.mark.parametrize("method", METHODS)
def test_float16(method: str) -> None:
    """The whole network; and weights that a Cast makes float32."""
    nodes = [N("Conv", ["x", "w"], ["c"]), N("Relu", ["c"], ["r"]), N("Sigmoid", ["r"], ["y"])]
    half = {"w": WEIGHT.astype(np.float16)}
    kind = int(TensorProto.FLOAT16)
    assert snr(nodes, half, DATA.astype(np.float16), kind=kind, method=method) > 25
    nodes = [N("Cast", ["w"], ["v"], to=int(TensorProto.FLOAT)), N("Conv", ["x", "v"], ["y"])]
    assert snr(nodes, half, method=method) > 20


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 3.0, -1e-3])
def test_data_that_is_constant(method: str, value: float) -> None:
    nodes = [N("Conv", ["x", "w", "b"], ["y"])]
    constants = {"w": WEIGHT, "b": np.ones(4, np.float32)}
    assert snr(nodes, constants, np.full_like(DATA, value), method=method) > 35


@pytest.mark.parametrize("method", METHODS)
def test_values_that_are_next_to_nothing(method: str) -> None:
    nodes = [N("Mul", ["x", "k"], ["m"]), N("Conv", ["m", "w", "b"], ["y"])]
    constants = {"k": np.float32(1e-42), "w": WEIGHT, "b": np.ones(4, np.float32)}
    assert snr(nodes, constants, method=method) > 35


@pytest.mark.parametrize("method", METHODS)
def test_tensors_without_elements(method: str) -> None:
    """A Slice of nothing, a constant, an input."""
    nodes = [N("Slice", ["x", "z", "z", "z1"], ["s"]), N("Relu", ["s"], ["r"])]
    nodes += [N("Concat", ["x", "r", "e", "i"], ["m"], axis=1), N("Conv", ["m", "w"], ["y"])]
    zero, one = np.array([0]), np.array([1])
    nothing = np.zeros((1, 0, 6, 6), np.float32)
    constants = {"z": zero, "z1": one, "e": nothing, "w": WEIGHT}
    data = {"x": DATA, "i": np.zeros((4, 0, 6, 6), np.float32)}
    assert snr(nodes, constants, data, more={"i": [1, 0, 6, 6]}, method=method) > 18


@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e-12, 1e-6])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose", "depthwise"])
def test_dead_channels(kind: str, per_channel: bool, factor: float) -> None:
    shape = {"Conv": (4, 3, 3, 3), "ConvTranspose": (3, 4, 3, 3), "depthwise": (3, 1, 3, 3)}[kind]
    weight = RNG.normal(0, 0.3, shape).astype(np.float32)
    weight[(slice(None), 1) if kind == "ConvTranspose" else 1] *= factor
    bias = np.array([2, -1.5, 0.7, 1], np.float32)[: 3 if kind == "depthwise" else 4]
    groups: Any = {"group": 3} if kind == "depthwise" else {}
    name = "Conv" if kind == "depthwise" else kind
    nodes = [N(name, ["x", "w", "b"], ["y"], name="n", **groups)]
    assert snr(nodes, {"w": weight, "b": bias}, per_channel=per_channel) > 30


@pytest.mark.parametrize(
    ("constant", "sentence"),
    [
        (np.nan, "'Add_0': its values reach from nan to nan"),
        (np.inf, "'Add_0': its values reach from inf to inf"),
    ],
)
def test_what_is_no_number_is_named(constant: float, sentence: str) -> None:
    nodes = [N("Add", ["x", "k"], ["y"])]
    with pytest.raises(FuriosaError, match=sentence):
        snr(nodes, {"k": np.float32(constant)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number(value: float) -> None:
    data = DATA.copy()
    data[2, 0, 0, 0] = value
    with pytest.raises(FuriosaError, match="the input 'x' has a NaN or an infinity"):
        snr([N("Relu", ["x"], ["y"])], {}, data)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["Max", "Min", "Where", "Pad", "Clip"])
def test_infinite_constants_that_no_result_holds(kind: str, method: str) -> None:
    """Max with -inf, the side of a Where that nothing takes, a padding that a Softmax hides."""
    below, above = np.float32(-np.inf), np.float32(np.inf)
    x: dict[str, Any] = {"w": WEIGHT}
    nodes = {
        "Max": [N("Max", ["c", "k"], ["y"])],
        "Min": [N("Min", ["c", "h"], ["y"])],
        "Where": [N("Where", ["all", "c", "k"], ["y"])],
        "Pad": [N("Pad", ["c", "by", "k"], ["p"]), N("Softmax", ["p"], ["y"], axis=-1)],
        "Clip": [N("Clip", ["c", "k", "h"], ["y"])],
    }[kind]
    used = {i for node in nodes for i in node.input}
    others = {"k": below, "h": above, "all": np.array(True), "by": np.array([0] * 7 + [2])}
    x |= {k: v for k, v in others.items() if k in used}
    assert snr([N("Conv", ["x", "w"], ["c"]), *nodes], x, method=method) > 20


def test_a_weight_without_a_scale_is_named_by_its_layer() -> None:
    """Not by a name of the quantiser's, which --exclude does not know."""
    nodes = [N("Conv", ["x", "w", "b"], ["y"], name="mine")]
    with pytest.raises(FuriosaError) as caught:
        snr(nodes, {"w": WEIGHT, "b": np.full(4, 3e38, np.float32)})
    assert caught.value.layer == "mine"


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", ["Conv", "Gemm", "ConvTranspose", "shared"])
@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.01, 1.0, 1e3])
def test_biases_beside_weights_of_zeros(kind: str, size: float, *, per_channel: bool) -> None:
    """One channel, or all of them: what is left of it is its bias, in as many bits as any value."""
    rng = np.random.default_rng(0)
    for dead in ([2], [0, 1, 2, 3]):
        weight = rng.normal(0, size / 10, (4, 3, 3, 3)).astype(np.float32)
        weight[dead] = 0
        bias = (size * rng.uniform(0.5, 1, 4)).astype(np.float32)
        constants = {"w": weight, "b": bias}
        nodes = [N("Conv", ["x", "w", "b"], ["y"])]
        if kind == "ConvTranspose":
            constants["w"] = np.ascontiguousarray(weight.transpose(1, 0, 2, 3))
            nodes = [N("ConvTranspose", ["x", "w", "b"], ["y"])]
        if kind == "Gemm":
            constants["w"] = np.tile(weight.reshape(4, -1), 4).T
            nodes = [N("Flatten", ["x"], ["f"]), N("Gemm", ["f", "w", "b"], ["y"])]
        if kind == "shared":
            constants["c"] = 3 * bias
            more = N("Conv", ["x", "w", "c"], ["v"])
            nodes = [N("Conv", ["x", "w", "b"], ["u"]), more, N("Add", ["u", "v"], ["y"])]
        assert snr(nodes, constants, per_channel=per_channel) > 30
