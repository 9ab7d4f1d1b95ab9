"""Networks that are quantised in part: the rest is quantised as well, what there is stays."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.quantization.calibration import load_samples
from furiosa_ir.quantization.onnx import OnnxSource, left_in_float, quantize_onnx
from furiosa_ir.quantization.onnx_running import onnx_runner
from furiosa_ir.quantization.preparation import name_nodes
from furiosa_ir.reports.inspect import summary
from tests.draws import draws
from tests.quantization.networks import Builder, convolutions, encoder_block

SHAPE = (3, 12, 12)
DATA = np.random.default_rng(1).normal(size=(4, *SHAPE)).astype(np.float32)


def quantized(model: Any, data: Any = DATA, **options: Any) -> Any:
    name_nodes(model)
    source = OnnxSource.of(model, "n")
    return quantize_onnx(source, load_samples(data, source.inputs), **options)[0]


def snr(want: Any, got: Any, data: Any = DATA) -> float:
    a, b = (
        np.concatenate([onnx_runner(m, "n")({"x": x[None]})[0] for x in data]) for m in (want, got)
    )
    return float(10 * np.log10(np.square(a).sum() / max(np.square(a - b).sum(), 1e-30)))


def scales(model: Any) -> dict[str, list[float]]:
    """Of each tensor that a QuantizeLinear takes, and of each integer constant."""
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    return {
        n.input[0].removesuffix("_QuantizeLinear_Input"): constants[n.input[1]].reshape(-1).tolist()
        for n in model.graph.node
        if n.op_type == "QuantizeLinear" or (n.input and n.input[0] in constants)
        if n.op_type in ("QuantizeLinear", "DequantizeLinear")
    }


LAYERS = ("stem", "inner", "classifier", "add_4", "maxpool_9", "globalaveragepool_10")


@settings(deadline=None, max_examples=draws(6))
@given(st.sets(st.sampled_from(LAYERS), min_size=1), st.booleans(), st.sampled_from([13, 21]))
def test_any_layers_left(left: set[str], per_channel: bool, opset: int) -> None:
    model = convolutions(opset=opset)
    part = quantized(model, exclude=sorted(left), per_channel=per_channel)
    if not left & {"stem", "inner", "classifier"}:
        # What is before and behind is rounded: nothing is left.
        with pytest.raises(FuriosaError, match=r"the network is quantised already \(compile"):
            quantized(part, per_channel=per_channel)
        return
    before = scales(part)
    whole = quantized(part, per_channel=per_channel)
    onnx.checker.check_model(whole)
    assert left_in_float(whole) == {}
    after = scales(whole)
    shared = set(before) & set(after)
    assert len(shared) >= 3
    assert {k: before[k] for k in shared} == {k: after[k] for k in shared}
    assert snr(model, whole) > 25
    assert [o.name for o in whole.graph.output] == [o.name for o in model.graph.output]
    with pytest.raises(FuriosaError, match=r"the network is quantised already \(compile"):
        quantized(whole, per_channel=per_channel)


@pytest.mark.parametrize("left", [(), ("stem",), ("classifier",), ("add_4",), LAYERS], ids=str)
def test_what_compile_recommends_is_taken(
    left: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    part = quantized(convolutions(), exclude=left)
    caplog.clear()
    compile_model(part.SerializeToString())
    recommended = "furiosa quantize" in caplog.text
    if recommended:
        OnnxSource.of(part, "n")
    else:
        with pytest.raises(FuriosaError, match="quantised already"):
            OnnxSource.of(part, "n")


def test_a_float_network_is_not_quantised_in_part(caplog: pytest.LogCaptureFixture) -> None:
    """Its Relus belong to convolutions that are of floats, too."""
    compile_model(convolutions().SerializeToString())
    assert "the network is not quantised and runs wholly on the host" in caplog.text


def test_an_encoder() -> None:
    data = np.random.default_rng(1).normal(size=(4, 16, 32)).astype(np.float32)
    model = encoder_block()
    part = quantized(model, data, exclude=["scores", "attention", "gelu"])
    whole = quantized(part, data)
    assert set(left_in_float(whole)) <= {"Reshape"}  # of the input, on the host
    assert snr(model, whole, data) > 25


@pytest.mark.parametrize("activation", ["int8", "uint8"])
def test_float_weights(activation: str) -> None:
    """What a network for quantisation-aware training may be: activations only."""
    model = quantized(convolutions(), activation=activation)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        stored = constants.get(node.input[0])
        if node.op_type != "DequantizeLinear" or stored is None:
            kept.append(node)
            continue
        scale = constants[node.input[1]].reshape([-1] + [1] * (stored.ndim - 1))
        real = (stored * scale).astype(np.float32).reshape(stored.shape)
        model.graph.initializer.append(numpy_helper.from_array(real, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    whole = quantized(model, activation=activation)
    assert left_in_float(whole) == {}
    assert snr(model, whole) > 30
    figures = summary(compile_model(whole.SerializeToString()))["summary"]
    assert figures["npu_mac_share"] == 1


def test_weights_that_are_rounded_as_floats() -> None:
    """QuantizeLinear and DequantizeLinear around float weights, as PyTorch writes them."""
    b = Builder([1, *SHAPE])
    zero, scale = b.constant(np.array(0, np.int8)), b.constant(np.float32(0.011))
    weight = b.rng.normal(0, 0.3, (4, 3, 3, 3))
    w = b.node("QuantizeLinear", b.constant(weight), scale, zero)
    y = b.node("Conv", "x", b.node("DequantizeLinear", w, scale, zero), pads=[1] * 4)
    model = b.model(y, shape=[1, 4, 12, 12])
    whole = quantized(model)
    stored = [numpy_helper.to_array(i) for i in whole.graph.initializer]
    (integers,) = [a for a in stored if a.ndim == 4]
    want = np.clip(np.rint(weight.astype(np.float32) / np.float32(0.011)), -128, 127)
    np.testing.assert_array_equal(integers, want)
    assert snr(model, whole) > 30


def test_integers_outside(tmp_path: Path) -> None:
    """An int8 input and output keep their scales, and the calibration data is integers."""
    for opset, omitted in itertools.product((19, 21), (False, True)):
        b = Builder([1, *SHAPE])
        b.inputs[0].type.tensor_type.elem_type = onnx.TensorProto.INT8
        first, last = (b.constant(np.float32(s)) for s in (0.03, 0.05))
        zero = b.constant(np.array(0, np.int8))
        zeros = [] if omitted else [zero]
        x = b.node("DequantizeLinear", "x", first, *zeros)
        y = b.node("Relu", b.node("Conv", x, b.weight(4, 3, 3, 3), b.weight(4), pads=[1] * 4))
        named: Any = {"output_dtype": int(onnx.TensorProto.INT8)} if omitted and opset == 21 else {}
        end = b.node("QuantizeLinear", y, last, *([] if named else [zero]), **named)
        model = b.model(end, shape=[1, 4, 12, 12], opset=opset)
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT8
        data = np.random.default_rng(0).integers(-128, 128, (4, *SHAPE)).astype(np.int8)
        whole = quantized(model, data)
        onnx.checker.check_model(whole)
        assert end in {n.output[0] for n in whole.graph.node if n.op_type == "QuantizeLinear"}
        want, got = (onnx_runner(m, "n")({"x": data[:1]})[0] for m in (model, whole))
        assert want.dtype == got.dtype == np.int8
        assert np.abs(want.astype(int) - got).max() <= 2
        onnx.save(whole, tmp_path / "q.onnx")
        assert summary(compile_model(tmp_path / "q.onnx"))["summary"]["npu_mac_share"] == 1
