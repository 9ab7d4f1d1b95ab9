"""TFLite networks that ai-edge-quantizer stumbles over: short weights, names, masks, integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.calibration import load_samples
from furiosa_ir.quantization.tflite import TFLiteSource, quantize_tflite
from furiosa_ir.quantization.tflite_preparation import packed
from furiosa_ir.quantization.tflite_running import tflite_runner
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model

schema: Any = schema_py_generated
F32 = np.float32
N, WIDTH = 12, 8
LEAST = float(np.finfo(np.float32).min)
RNG = np.random.default_rng(3)


def value(name: str, *shape: int, dtype: Any = F32) -> Tensor:
    return Tensor(name, shape, dtype)


def constant(name: str, array: Any, dtype: Any = F32) -> Tensor:
    return Tensor.constant(name, np.asarray(array, dtype))


def quantized(
    folder: Path, content: bytes, *shape: int, data: Any = None, **chosen: Any
) -> tuple[bytes, float]:
    """The quantised network, and the worst output's signal to noise ratio."""
    (folder / "float.tflite").write_bytes(content)
    source = TFLiteSource.read(folder / "float.tflite")
    if data is None:
        data = RNG.normal(size=(6, *shape)).astype(F32)
    samples = load_samples({source.inputs[0].name: data}, source.inputs)
    result, _ = quantize_tflite(source, samples, **chosen)
    runs = [tflite_runner(c, source.inputs, "n") for c in (content, result)]
    worst = np.inf
    outputs = [[run(s) for s in samples] for run in runs]
    for want, got in zip(zip(*outputs[0], strict=True), zip(*outputs[1], strict=True), strict=True):
        noise = np.square(np.array(want) - np.array(got)).sum()
        worst = min(worst, 10 * np.log10(np.square(want).sum() / max(noise, 1e-30)))
    return result, float(worst)


def names(content: bytes) -> list[str]:
    graph = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0]
    return [graph.tensors[i].name.decode() for i in (*graph.inputs, *graph.outputs)]


WINDOW = {"strideH": 1, "strideW": 1, "padding": schema.Padding.SAME}
OPERATORS = {
    "FULLY_CONNECTED": ((1, 8), (4, 8), options("FullyConnected")),
    "CONV_2D": (
        (1, 6, 6, 3),
        (4, 3, 3, 3),
        options("Conv2D", **WINDOW, dilationHFactor=1, dilationWFactor=1),
    ),
    "DEPTHWISE_CONV_2D": (
        (1, 6, 6, 4),
        (1, 3, 3, 4),
        options("DepthwiseConv2D", **WINDOW, depthMultiplier=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPERATORS))
@pytest.mark.parametrize("bias_too", [False, True])
def test_float16_weights(tmp_path: Path, name: str, bias_too: bool) -> None:
    shape, weights, made = OPERATORS[name]
    x, y = value("x", *shape), value("y", *shape[:-1], 4)
    short = constant("w_h", RNG.uniform(-1, 1, weights), np.float16)
    w = value("w", *weights)
    operators = [Operator("DEQUANTIZE", [short], [w], None)]
    b = constant("b", [1.0, -2, 3, 0.5])
    if bias_too:
        b_h = constant("b_h", [1.0, -2, 3, 0.5], np.float16)
        b = value("b", 4)
        operators.append(Operator("DEQUANTIZE", [b_h], [b], None))
    operators.append(Operator(name, [x, w, b], [y], made))
    result, snr = quantized(tmp_path, build_model(operators), *shape[1:])
    assert snr > 28
    model = schema.ModelT.InitFromPackedBuf(result, 0)
    assert len(model.subgraphs[0].operators) == 1
    assert names(result) == ["x", "y"]


MASKS = ("add", "select", "computed", "sub")


def attention(mask: str, given: float) -> bytes:
    x = value("x", 1, N, WIDTH)
    s, a, p, y = value("s", 1, N, N), value("a", 1, N, N), value("p", 1, N, N), value("y", *x.shape)
    causal = np.tril(np.ones((1, N, N)))
    soft = schema.SoftmaxOptionsT()
    soft.beta = 0.5
    operators = [Operator("BATCH_MATMUL", [x, x], [s], options("BatchMatMul", adjY=True))]
    if mask == "add":
        m = constant("m", np.where(causal > 0, 0, given))
        operators.append(Operator("ADD", [s, m], [a], options("Add")))
    elif mask == "sub":
        m = constant("m", np.where(causal > 0, 0, -given))
        operators.append(Operator("SUB", [s, m], [a], options("Sub")))
    elif mask == "select":
        chosen = Tensor.constant("c", causal > 0)
        fill = constant("m", np.full((1, N, N), given))
        operators.append(Operator("SELECT_V2", [chosen, s, fill], [a], options("SelectV2")))
    else:
        seen, hidden, m = value("seen", 1, N, 1), value("hidden", 1, N, N), value("m", 1, N, N)
        top, one = value("top", 1, N, 1), value("one", 1, N, 1)
        axes = Tensor.constant("axes", np.array([2], np.int32))
        operators += [
            Operator("REDUCE_MAX", [x, axes], [top], options("Reducer", keepDims=True)),
            Operator("SUB", [top, top], [one], options("Sub")),
            Operator("EXP", [one], [seen], options("Exp")),
            Operator("SUB", [seen, constant("causal", causal)], [hidden], options("Sub")),
            Operator("MUL", [hidden, constant("big", max(given, LEAST))], [m], options("Mul")),
            Operator("ADD", [s, m], [a], options("Add")),
        ]
    operators += [
        Operator("SOFTMAX", [a], [p], soft),
        Operator("BATCH_MATMUL", [p, x], [y], options("BatchMatMul")),
    ]
    return build_model(operators)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("given", [-np.inf, LEAST, -1e9, -1e4])
def test_masks(tmp_path: Path, mask: str, given: float, caplog: pytest.LogCaptureFixture) -> None:
    assert quantized(tmp_path, attention(mask, given), N, WIDTH)[1] > 25
    assert "are clipped where the Softmax behind them cannot tell" in caplog.text


@pytest.mark.parametrize(
    ("middle", "end"), [("y", "z"), ("y_quantized", "y"), ("x", "y"), ("", "y"), ("y", "y")]
)
def test_names(tmp_path: Path, middle: str, end: str) -> None:
    """Outputs keep theirs, of float operators too; tensors may share one, or have none."""
    shape, weights, made = OPERATORS["FULLY_CONNECTED"]
    x, m, z = value("x", *shape), value("m", 1, 4), value(end, 1, 4)
    w, b = constant("w", RNG.uniform(-1, 1, weights)), constant("b", np.ones(4))
    operators = [
        Operator("FULLY_CONNECTED", [x, w, b], [m], made),
        Operator("SIN", [m], [z], None),
    ]
    model = schema.ModelT.InitFromPackedBuf(build_model(operators), 0)
    (inner,) = [t for t in model.subgraphs[0].tensors if t.name == b"m"]
    inner.name = middle.encode()
    result, snr = quantized(tmp_path, packed(model, 1), *shape[1:])
    assert names(result) == ["x", end]
    assert snr > 20


def integers(*, more: bool) -> bytes:
    """Float outside, int8 inside; and a float operator, or none."""
    x, y, z, e = value("x", 1, 8), value("y", 1, 4), value("z", 1, 8), value("e", 1, 4)
    a, c = (Tensor(name, (1, 8), np.int8, 0.05) for name in "ac")
    operators = [
        Operator("QUANTIZE", [x], [a], None),
        Operator("ABS", [a], [c], None),
        Operator("DEQUANTIZE", [c], [z], None),
    ]
    if more:
        w, b = constant("w", RNG.uniform(-1, 1, (4, 8))), constant("b", np.ones(4))
        operators.append(Operator("FULLY_CONNECTED", [z, w, b], [y], options("FullyConnected")))
        operators.append(Operator("SIN", [y], [e], None))
    return build_model(operators)


def test_int8_inside_is_not_quantised_again(tmp_path: Path) -> None:
    (tmp_path / "n.tflite").write_bytes(integers(more=False))
    with pytest.raises(FuriosaError, match=r"the network is quantised already \(compile"):
        TFLiteSource.read(tmp_path / "n.tflite")
    (tmp_path / "n.tflite").write_bytes(integers(more=True))
    with pytest.raises(FuriosaError, match="already, but for 'y', 'e': ai-edge-quantizer takes"):
        TFLiteSource.read(tmp_path / "n.tflite")


@pytest.mark.parametrize(
    ("constants", "end", "sentence"),
    [
        (np.where(np.arange(8) < 5, 0, LEAST), "LOG_SOFTMAX", "'a': its values reach from -3.4"),
        (np.full(8, np.nan), "ABS", "'a': its values are no numbers"),
        (np.full(8, 1e35), "ABS", "'a': its values reach from 1e.35 to 1e.35"),
    ],
    ids=["least float", "NaN", "great"],
)
def test_what_no_scale_holds_is_a_sentence(
    tmp_path: Path, constants: Any, end: str, sentence: str
) -> None:
    """LiteRT's kernels end the process for some of them."""
    x, a, y = (value(n, 1, 8) for n in "xay")
    m = constant("m", constants.reshape(1, 8))
    operators = [Operator("ADD", [x, m], [a], options("Add")), Operator(end, [a], [y], None)]
    with pytest.raises(FuriosaError, match=sentence):
        quantized(tmp_path, build_model(operators), 8)


def test_a_constant_without_elements(tmp_path: Path) -> None:
    x, y = value("x", 1, 8), value("y", 1, 8)
    joined = options("Concatenation", axis=1)
    operators = [Operator("CONCATENATION", [x, constant("e", np.zeros((1, 0)))], [y], joined)]
    assert quantized(tmp_path, build_model(operators), 8)[1] > 35


def test_integer_weights_of_an_operator_on_floats(tmp_path: Path) -> None:
    x, y = value("x", 1, 8), value("y", 1, 4)
    w = Tensor.constant("w", RNG.integers(-127, 128, (4, 8)).astype(np.int8), 0.01)
    dense = options("FullyConnected")
    operators = [Operator("FULLY_CONNECTED", [x, w, constant("b", np.ones(4))], [y], dense)]
    result, snr = quantized(tmp_path, build_model(operators), 8)
    assert snr > 30
    graph = schema.ModelT.InitFromPackedBuf(result, 0).subgraphs[0]
    assert all(t.type != schema.TensorType.FLOAT32 for t in graph.tensors)
