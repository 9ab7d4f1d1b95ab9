"""Legal networks that onnxruntime's quantiser or onnx's converter gets wrong or refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers import load
from furiosa_ir.interpreter import run_module
from furiosa_ir.quantization import quantize
from furiosa_ir.quantization.preparation import prepare, read_network
from furiosa_ir.runtime import session
from tests.quantization.networks import Builder

pytestmark = pytest.mark.usefixtures("one_quantizer")

RNG = np.random.default_rng(5)


def quantized(model: Any, folder: Path, data: Any, **options: Any) -> list[float]:
    """Quantises; the signal to noise ratio of each output; the program equals the network."""
    onnx.save(model, folder / "float.onnx")
    report = quantize(folder / "float.onnx", data, folder / "q.onnx", **options)
    sample = data[:1] if data.ndim == len(model.graph.input[0].type.tensor_type.shape.dim) else None
    x = data[0] if sample is None else sample
    want = run_module(load(folder / "q.onnx"), {"x": x})
    with session.create(compile_model(folder / "q.onnx"), compiler_hints=False) as compiled:
        for reference, result in zip(want.values(), compiled.run([x]), strict=True):
            np.testing.assert_allclose(result.numpy(), reference, rtol=1e-5, atol=1e-5)
    return [output.snr for output in report.outputs]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 2.0), (0.5, -3.0), (2.0, 0.0), (0.0, 2.0)])
@pytest.mark.parametrize("bias", [(7,), (1, 7), (1,), (), (5, 1), (5, 7)], ids=str)
def test_gemm_factors(
    tmp_path: Path, alpha: float, beta: float, bias: tuple[int, ...], per_channel: bool
):
    b = Builder([5, 8])
    c = b.constant(RNG.normal(size=bias))
    y = b.node("Gemm", "x", b.constant(RNG.normal(size=(8, 7))), c, alpha=alpha, beta=beta)
    z = b.node("Gemm", "x", b.constant(RNG.normal(size=(7, 8))), c, beta=0.5, transB=1)
    data = RNG.normal(size=(8, 5, 8)).astype(np.float32)
    model = b.model(y, z, shape=[5, 7])
    assert min(quantized(model, tmp_path, data, per_channel=per_channel)) > 30


def test_the_factor_of_a_bias_that_is_computed_stays(tmp_path: Path):
    b = Builder([5, 8])
    c = b.node("Sigmoid", b.node("ReduceMean", "x", axes=[1], keepdims=1))
    y = b.node("Gemm", "x", b.constant(RNG.normal(size=(8, 7))), c, alpha=0.5, beta=4.0)
    data = RNG.normal(size=(8, 5, 8)).astype(np.float32)
    assert quantized(b.model(y, shape=[5, 7]), tmp_path, data)[0] > 30


def test_a_zero_factor_takes_no_notice_of_infinity(tmp_path: Path):
    b = Builder([1, 8])
    c = b.constant(np.full(7, np.inf))
    model = b.model(b.node("Gemm", "x", b.weight(8, 7), c, beta=0.0), shape=[1, 7])
    assert quantized(model, tmp_path, RNG.normal(size=(8, 8)).astype(np.float32))[0] > 30


@pytest.mark.parametrize("nodes", [True, False])
def test_an_output_that_is_an_input(tmp_path: Path, nodes: bool):
    b = Builder([1, 4, 8, 8])
    outputs = [b.node("Conv", "x", b.weight(4, 4, 1, 1))] if nodes else []
    model = b.model("x", *outputs, shape=[1, 4, 8, 8])
    snr = quantized(model, tmp_path, RNG.normal(size=(4, 4, 8, 8)).astype(np.float32))
    assert snr[0] == np.inf
    assert min(snr) > 30
    names = [o.name for o in onnx.load(tmp_path / "q.onnx").graph.output]
    assert names == ["x", *outputs]


def test_a_convolution_transposed_of_groups_with_a_bias(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    b = Builder([1, 4, 8, 8])
    grouped = {"group": 2, "strides": [2, 2]}
    x = b.node("ConvTranspose", "x", b.weight(4, 3, 3, 3), b.weight(6), name="biased", **grouped)
    y = b.node("ConvTranspose", "x", b.weight(4, 3, 3, 3), name="unbiased", **grouped)
    model = b.model(x, y, shape=[1, 6, 17, 17])
    assert min(quantized(model, tmp_path, RNG.normal(size=(4, 4, 8, 8)).astype("f4"))) > 30
    (record,) = caplog.records
    assert "layer 'biased': a ConvTranspose of several groups with a bias" in record.message
    constants = {i.name: i for i in onnx.load(tmp_path / "q.onnx").graph.initializer}
    sizes = {n: c.dims for n, c in constants.items() if n.endswith("constant_0_scale")}
    assert [list(d) for d in sizes.values()] == [[]]
    assert list(constants["constant_2_scale"].dims) == [3]
    assert numpy_helper.to_array(constants["constant_0_zero_point"]) == 0


def resized(kind: str, opset: int, mode: str, *scales: float) -> Any:
    """A convolution and an Upsample or Resize of an old opset behind it."""
    b = Builder([1, 4, 5, 7])
    x = b.node("Conv", "x", b.weight(4, 4, 1, 1))
    values = [1.0, 1.0, *scales]
    if opset < 9:
        y = b.node(kind, x, mode=mode, scales=values, name="resized")
    else:
        y = b.node(kind, x, b.constant(np.float32(values)), mode=mode, name="resized")
    shape = [1, 4, *(int(n * s) for n, s in zip((5, 7), scales, strict=True))]
    return b.model(y, shape=shape, opset=opset)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(2, 2), (1.7, 2.3), (3, 1), (0.6, 0.6), (1, 0.35)], ids=str)
@pytest.mark.parametrize(
    ("kind", "opset"), [("Upsample", 7), ("Upsample", 8), ("Upsample", 9), ("Resize", 10)]
)
def test_resizes_of_old_opsets(
    tmp_path: Path, kind: str, opset: int, mode: str, scales: tuple[float, ...]
):
    import onnxruntime

    if kind == "Upsample":
        scales = tuple(max(s, 1 / s) for s in scales)  # it only grows
    model = resized(kind, opset, mode, *scales)
    data = RNG.normal(size=(4, 4, 5, 7)).astype(np.float32)
    assert quantized(model, tmp_path, data)[0] > 30
    prepared = prepare(read_network(tmp_path / "float.onnx"), "float.onnx")
    want, got = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": data[:1]})[0]
        for m in (model, prepared)
    )
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_scales_that_are_folded_first(tmp_path: Path):
    b = Builder([1, 4, 5, 7])
    half = b.node("Div", b.constant(np.float32([1, 1, 1, 1])), b.constant(np.float32([1, 1, 2, 2])))
    y = b.node("Resize", b.node("Conv", "x", b.weight(4, 4, 1, 1)), half)
    model = b.model(y, shape=[1, 4, 2, 3], opset=10)
    assert quantized(model, tmp_path, RNG.normal(size=(4, 4, 5, 7)).astype("f4"))[0] > 30


def test_a_resize_that_no_later_opset_has(tmp_path: Path):
    onnx.save(resized("Resize", 10, "nearest", 0.6, 2.3), tmp_path / "float.onnx")
    model = read_network(tmp_path / "float.onnx")
    with pytest.raises(FuriosaError, match="shrinks one axis and stretches another") as error:
        prepare(model, "float.onnx")
    assert "float.onnx: layer 'resized'" in str(error.value)
    prepare(resized("Resize", 10, "linear", 0.6, 2.3), "float.onnx")
