"""Whole networks: equal to the oracles of both formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from furiosa_ir.importers.onnx import import_onnx
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.interpreter import Interpreter, run_module
from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.text import read_module, write_module
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.lowering.operation import lower_operation
from tests.conftest import DIGITS
from tests.oracle.litert import run_reference

ONNX = ["ic_resnet8_qdq_i8", "kws_dscnn_qdq_i8", "ad_fc_ae_qdq_i8", "vww_mbv1_025_96_qdq_i8"]
TFLITE = ["ic_resnet8_int8", "kws_dscnn_int8", "ad_fc_ae_int8", "sww_streaming_int8"]


def random_inputs(module, rng: np.random.Generator) -> list[np.ndarray]:
    from furiosa_ir.interpreter.elements import numpy_dtype
    from furiosa_ir.ir.shaped_operation import element_of, shape_of

    arrays = []
    for argument in Interpreter(module).function("main").body.block.args:
        dtype = numpy_dtype(element_of(argument))
        if dtype.kind == "f":
            arrays.append(rng.uniform(-1, 1, shape_of(argument)).astype(dtype))
        else:
            info = np.iinfo(dtype)
            arrays.append(rng.integers(info.min, info.max + 1, shape_of(argument)).astype(dtype))
    return arrays


def test_digits_onnx_agrees_with_onnxruntime():
    import onnxruntime

    path = DIGITS / "digits_qdq_int8.onnx"
    images = np.load(DIGITS / "digits_inputs.npz")["onnx_images"][:20]
    module = import_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = [i.name for i in session.get_inputs()]
    for image in images:
        (mine,) = run_module(module, {name: image[None]}).values()
        (theirs,) = session.run(None, {name: image[None]})
        assert mine.dtype == theirs.dtype
        assert mine.argmax() == theirs.argmax()


def test_digits_tflite_equals_litert():
    path = DIGITS / "digits_int8.tflite"
    images = np.load(DIGITS / "digits_inputs.npz")["tflite_images"][:20]
    module = import_tflite(path)
    for image in images:
        results = run_module(module, [image[None]], lower_operation=lower_operation)
        for mine, theirs in zip(
            results.values(), run_reference(path.read_bytes(), [image[None]]), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs, strict=True)


@pytest.mark.corpus
@pytest.mark.parametrize("name", ONNX)
def test_onnx_equals_exact_evaluation(name: str, shared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(shared))
    from exact_onnx import ExactModel

    path = shared / "models" / "trained" / f"{name}.onnx"
    module = import_onnx(path)
    verify_module(module)
    names = [a.data["graph.name"].data for a in Interpreter(module).function("main").arg_attrs]
    rng = np.random.default_rng(0)
    for _ in range(3):
        feeds = dict(zip(names, random_inputs(module, rng), strict=True))
        mine = run_module(module, feeds)
        for a, b in zip(mine.values(), ExactModel(str(path)).run(feeds), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9, strict=True)


@pytest.mark.corpus
@pytest.mark.parametrize("name", TFLITE)
def test_tflite_equals_litert(name: str, shared: Path):
    path = shared / "models" / "trained" / f"{name}.tflite"
    module = import_tflite(path)
    verify_module(module)
    rng = np.random.default_rng(0)
    for _ in range(3):
        inputs = random_inputs(module, rng)
        mine = run_module(module, inputs, lower_operation=lower_operation)
        for a, b in zip(mine.values(), run_reference(path.read_bytes(), inputs), strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_networks_round_trip_through_text(name: str, tmp_path: Path):
    module = (import_onnx if name.endswith("onnx") else import_tflite)(DIGITS / name)
    write_module(module, tmp_path / "m.mlir")
    again = read_module(tmp_path / "m.mlir")
    verify_module(again)
    assert difference(module, again) is None
    inputs = random_inputs(module, np.random.default_rng(1))
    for a, b in zip(
        run_module(module, inputs, lower_operation=lower_operation).values(),
        run_module(again, inputs, lower_operation=lower_operation).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_every_pass_keeps_the_meaning(name: str):
    from furiosa_ir.backends.warboy.pipeline import PIPELINE
    from furiosa_ir.ir.context import make_context
    from furiosa_ir.ir.pipeline import run_pass

    module = (import_onnx if name.endswith("onnx") else import_tflite)(DIGITS / name)
    rng = np.random.default_rng(2)
    feeds = [random_inputs(module, rng) for _ in range(5)]

    def outputs() -> list[np.ndarray]:
        interpreter = Interpreter(module, lower_operation)
        return [a for f in feeds for a in interpreter.run(f).values()]

    expected = outputs()
    for phase in PIPELINE.between(None, "ftensor").phases:
        for step in phase.resolve():
            run_pass(make_context(), module, step)
            for mine, first in zip(outputs(), expected, strict=True):
                np.testing.assert_array_equal(mine, first, err_msg=step.name, strict=True)
