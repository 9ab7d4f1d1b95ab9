"""The real form beside onnxruntime and the network itself; what varies, beside whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

import furiosa_ir as fi
from furiosa_ir.importers import load
from furiosa_ir.ir.segments import main_function
from furiosa_ir.layer_sensitivity.evaluation import Evaluation, round_to
from furiosa_ir.layer_sensitivity.real_form import real_form
from furiosa_ir.numerics.array import Array
from furiosa_ir.verification.inputs import drawn_inputs, network_inputs
from tests.conftest import DIGITS, SHARED
from tests.draws import mostly_slow
from tests.layer_sensitivity.networks import (
    without_quantisation,
    without_quantisation_tflite,
)

ONNX = DIGITS / "digits_qdq_int8.onnx"
TFLITE = DIGITS / "digits_int8.tflite"


def images(kind: str) -> Array:
    with np.load(DIGITS / "digits_inputs.npz") as arrays:
        return arrays[kind][:6]


def test_it_computes_what_the_file_does_without_its_quantisation() -> None:
    session = ort.InferenceSession(
        without_quantisation(onnx.load(ONNX)).SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    evaluation = Evaluation(real_form(load(ONNX)))
    for image in images("onnx_images"):
        want = np.asarray(session.run(None, {"image": image[None]})[0])
        base = evaluation.run({"image": image[None]}, rounded=False, state={})
        np.testing.assert_allclose(base.outputs[0], want, rtol=1e-4, atol=1e-6)


FLOAT_IN_LITERT = [
    "ad_fc_ae_int8.tflite",
    "ic_resnet8_int8.tflite",
    "kws_dscnn_int8.tflite",
    "person_detect_int8_qdimfix.tflite",
    "vww_mbv1_025_96_int8.tflite",
]


@pytest.mark.parametrize(
    "file",
    [
        TFLITE,
        *(
            pytest.param(SHARED / "models" / "trained" / name, marks=pytest.mark.corpus)
            for name in FLOAT_IN_LITERT
        ),
    ],
    ids=lambda path: path.name,
)
def test_it_computes_what_litert_does_of_the_network_in_float(file: Path) -> None:
    module = load(file)
    litert: Any = Interpreter(model_content=without_quantisation_tflite(file.read_bytes()))
    litert.allocate_tensors()
    (entry,), (exit_,) = litert.get_input_details(), litert.get_output_details()
    (argument,) = main_function(module).body.block.args
    q = fi.quantization_of(argument)
    assert q is not None
    evaluation = Evaluation(real_form(module))
    (name,) = evaluation.inputs
    for feeds in drawn_inputs(network_inputs(module))[:3]:
        real = (feeds[name].astype(np.float64) - q.zero_point) * q.scale
        litert.set_tensor(entry["index"], real.astype(np.float32))
        litert.invoke()
        want = np.asarray(litert.get_tensor(exit_["index"]))
        base = evaluation.run(feeds, rounded=False, state={})
        scale = float(np.abs(want).max())
        np.testing.assert_allclose(base.outputs[0], want, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize(("file", "kind"), [(ONNX, "onnx_images"), (TFLITE, "tflite_images")])
def test_rounded_everywhere_it_is_the_network(file: Path, kind: str) -> None:
    """LiteRT's integers round twice: steps apart here and there, where the softmax is steep."""
    module = load(file)
    evaluation = Evaluation(real_form(module))
    (name,) = evaluation.inputs
    q = fi.quantization_of(module_output(module))
    for image in images(kind):
        want = fi.run(module, image[None])["probabilities"]
        if q is not None:
            want = (want.astype(np.float64) - q.zero_point) * q.scale
        got = evaluation.run({name: image[None]}, rounded=True, state={}).outputs[0]
        np.testing.assert_allclose(got, want, atol=1e-6 if q is None else 8 * q.scale)


def module_output(module: ModuleOp) -> SSAValue:
    last = main_function(module).body.block.last_op
    assert last is not None
    return last.operands[0]


@pytest.mark.parametrize("file", [ONNX, TFLITE])
@pytest.mark.parametrize("passes", ["", "graph-fold-quantization", "graph"])
def test_what_varies_is_what_a_whole_run_makes(file: Path, passes: str) -> None:
    """At each moment of the graph level, cut into segments as well; to the bit."""
    module = load(file)
    if passes:
        module = fi.transform(module, passes)
    form = real_form(module)
    evaluation = Evaluation(form)
    feeds = drawn_inputs(network_inputs(module))[1]
    for rounded in (False, True):
        base = evaluation.run(feeds, rounded=rounded, state={})
        for index in range(len(form.layers)):
            want = evaluation.run(feeds, rounded=rounded, state={}, but=[index])
            for a, b in zip(want.outputs, evaluation.vary(base, index), strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_pass_that_keeps_the_values_keeps_the_real_form() -> None:
    module = load(ONNX)
    folded = fi.transform(module, "graph-fold-quantization")
    feeds = {"image": images("onnx_images")[:1]}
    for rounded in (False, True):
        one, other = (
            Evaluation(real_form(m)).run(feeds, rounded=rounded, state={}).outputs[0]
            for m in (module, folded)
        )
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


CORPUS = sorted(
    path
    for path in (SHARED / "models" / "trained").glob("*.*")
    if path.suffix in (".onnx", ".tflite")
)


@pytest.mark.corpus
@pytest.mark.parametrize(
    "file",
    mostly_slow(CORPUS, "sww_streaming_int8.tflite", "ssd_mbv1_coco_300_u8.tflite"),
    ids=lambda path: path.name,
)
def test_networks_of_the_corpus(file: Path) -> None:
    """Everything that is quantised has layers, computes, and rounds to something else."""
    module = load(file)
    form = real_form(module)
    assert bool(form.layers) == ("fp32" not in file.name)
    evaluation = Evaluation(form)
    feeds = drawn_inputs(network_inputs(module))[0]
    outputs = [
        evaluation.run(feeds, rounded=rounded, state=evaluation.initial_state()).outputs
        for rounded in (False, True)
    ]
    for real, rounded in zip(*outputs, strict=True):
        assert np.isfinite(real).all()
        assert real.shape == rounded.shape


def test_rounding_to_steps() -> None:
    q = fi.quant.Quantization("i8", (0.5,), (3,))
    x = np.array([-100, -0.26, 0.24, 0.26, 0.5, 100], np.float32)
    np.testing.assert_array_equal(round_to(x, q), [-65.5, -0.5, 0, 0.5, 0.5, 62])
    other = fi.quant.Quantization("i8", (0.25,), (0,))
    np.testing.assert_array_equal(round_to(x, q, other)[4], 1.0)  # stored as 4
    channels = fi.quant.Quantization("u8", (1.0, 2.0), (0, 1), 1)
    np.testing.assert_array_equal(
        round_to(np.array([[1.4, 4.9]], np.float32), channels), [[1.0, 4.0]]
    )
