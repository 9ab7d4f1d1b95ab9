"""Modules by `import furiosa_ir as fi`: in, out, through passes, run at every level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import furiosa_ir as fi
from tests.conftest import DIGITS

ONNX, TFLITE = DIGITS / "digits_qdq_int8.onnx", DIGITS / "digits_int8.tflite"


@pytest.fixture(scope="module")
def network() -> fi.Module:
    return fi.load(ONNX)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.load(DIGITS / "digits_inputs.npz")["onnx_images"][:1]


def test_load_takes_what_a_compile_takes(network: fi.Module):
    text = fi.print_module(network)
    for source in (str(ONNX), ONNX.read_bytes(), onnx.load(ONNX)):
        made = fi.print_module(fi.load(source))
        assert made.count("graph.conv") == text.count("graph.conv") == 4
    assert "tensor<2x1x8x8xf32>" in fi.print_module(fi.load(ONNX, batch_size=2))
    part = fi.load(ONNX, outputs=["pooled"])
    assert "graph.softmax" not in fi.print_module(part)


def test_files_and_texts(network: fi.Module, tmp_path: Path):
    fi.save(network, tmp_path / "net.mlir")
    assert (tmp_path / "net.safetensors").exists()
    read = fi.load(tmp_path / "net.mlir")
    assert fi.compile(read).tables.layers == fi.compile(network).tables.layers
    kind = "tensor<1x4xf32>"
    text = f"func.func @main(%x: {kind}) -> {kind} {{\n  func.return %x : {kind}\n}}"
    fi.verify(fi.parse(text))
    with pytest.raises(fi.FuriosaError, match=r"mine:2:\d+: .*%y"):
        fi.parse(text.replace("return %x", "return %y"), name="mine")


def test_passes_leave_what_they_are_given(network: fi.Module):
    before = fi.print_module(network)
    after = fi.transform(network, "graph-fold-quantization")
    lowered = fi.transform(network, fi.default_pipeline().between("graph", "ftensor"))
    assert fi.print_module(network) == before
    assert "ftensor.conv" in fi.print_module(lowered)
    assert fi.print_module(after).count("graph.dequantize") < before.count("graph.dequantize")
    assert 'loc("stem' in fi.print_module(after)  # the copy has its layers
    with pytest.raises(fi.FuriosaError, match="there is no pass 'grap-fold'"):
        fi.transform(network, "grap-fold")


@pytest.mark.parametrize("last", ["", "graph", "ftensor", "warboy"])
def test_every_level_computes_the_same(network: fi.Module, image: np.ndarray, last: str):
    module = fi.transform(network, fi.default_pipeline().between(last=last)) if last else network
    (expected,) = fi.simulate(ONNX, image).values()
    assert np.array_equal(fi.run(module, image)["probabilities"], expected)
    assert np.array_equal(fi.run(module, {"image": image})["probabilities"], expected)


def test_inputs_that_do_not_fit(network: fi.Module, image: np.ndarray):
    with pytest.raises(fi.FuriosaError, match="has shape"):
        fi.run(network, image[:, :, :4])
    with pytest.raises(fi.FuriosaError, match="there is no input 'imago'"):
        fi.run(network, {"imago": image})
    with pytest.raises(fi.FuriosaError, match="dtype float64"):
        fi.run(network, image.astype(np.float64))


def test_a_pass_that_raises_is_a_furiosa_error(network: fi.Module, tmp_path: Path):
    plugin = tmp_path / "bad.py"
    plugin.write_text(
        "from dataclasses import dataclass\nimport furiosa_ir as fi\n"
        "@dataclass(frozen=True)\nclass Bad(fi.Pass):\n    '''Fails.'''\n    name = 'api-bad'\n"
        "    def apply(self, ctx, op):\n        raise ValueError('no way')\n"
    )
    fi.load_plugins([plugin])
    with pytest.raises(fi.FuriosaError, match=r"bad\.py:8: .*ValueError: no way"):
        fi.transform(network, "api-bad")
    steps = fi.explore(network, "graph-fold-quantization,api-bad,graph-fold-constants")
    assert [step.after is None for step in steps] == [False, True]
    assert "no way" in (steps.error or "")
    assert steps.module is None
    assert "no way" in steps._repr_html_()
