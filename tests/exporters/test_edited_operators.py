"""Operators that text or a pass has changed go to host segments as they are, or are refused."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr, f64
from xdsl.dialects.func import FuncOp

from furiosa_ir.compiler import compile_source
from furiosa_ir.dialects.graph.functions import EluOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.exporters import export_segment
from furiosa_ir.importers import load
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline
from furiosa_ir.ir.text import write_module
from furiosa_ir.runtime import session
from tests.edited_text import try_edit
from tests.exporters.one_operator import IMAGE, ONNX, TFLITE
from tests.importers.tflite.single import options
from tests.oracle.litert import Operator, Tensor, build_model

NETWORKS = {
    **{f"{name}.tflite": make for name, make in TFLITE.items()},
    **{f"{name}.onnx": make for name, make in ONNX.items()},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_drawn_edits(name: str, tmp_path: Path):
    network = tmp_path / name
    network.write_bytes(NETWORKS[name]())
    for i in range(3):
        outcome = try_edit(network, "graph", random.Random(f"{i}/{name}"), tmp_path)
        assert not outcome.is_fault, outcome


def edited(network: bytes, old: str, new: str, tmp_path: Path) -> Path:
    """The text of a network in which something is replaced."""
    path = tmp_path / "edited.mlir"
    write_module(load(network), path)
    text = path.read_text()
    changed = re.sub(old, new, text)
    assert changed != text
    path.write_text(changed)
    return path


def run(program: bytes | None) -> Any:
    assert program is not None
    with session.create(program) as running:
        return running.run([X.ravel()[: prod(d.shape)].reshape(d.shape) for d in running.inputs()])


X = np.linspace(-9, 9, 144, dtype=np.float32).reshape(IMAGE)
MEANT: list[tuple[str, str, str, Callable[[Any], Any]]] = [
    ("mean", "array<i64: 1, 2>", "array<i64: 2, 1>", lambda x: x.mean((1, 2), keepdims=True)),
    ("add_relu6", r"graph.clip %\w+", "graph.clip %x", lambda x: x.clip(0, 6)),
    ("add_relu6", "maximum = 6.0", "maximum = 1.0", lambda x: (2 * x).clip(0, 1)),
    ("mul_relu", "func.return %y_1", "func.return %y", lambda x: x * x),
    ("leaky_relu", "alpha = 0.25", "alpha = 0.5", lambda x: np.maximum(x, x / 2)),
    ("softmax", r"\{axis = ", "{beta = 0.0, axis = ", lambda _: 1 / 8),
    ("mul_relu", "graph.relu", "graph.tanh", lambda x: np.tanh(x * x)),
    ("transpose", "array<i64: 0, 3, 1, 2>", "array<i64: 0, 3, 2, 1>", lambda x: x.swapaxes(1, 3)),
]
"""Network, what is replaced in its text, by what, and what it computes then."""


@pytest.mark.parametrize(("name", "old", "new", "meaning"), MEANT)
def test_what_the_text_says_is_computed(
    name: str, old: str, new: str, meaning: Callable[[Any], Any], tmp_path: Path
):
    path = edited(TFLITE[name](), old, new, tmp_path)
    program = compile_source(path).enf
    np.testing.assert_allclose(run(program)[0].numpy(), meaning(X), 1e-5, 1e-6)


@pytest.mark.parametrize(
    ("name", "old", "new", "difference"),
    [
        ("elu", r"\{origin =", "{alpha = 0.5, origin =", "alpha is 5.0*e-01 : f64, not left out"),
        ("average_pool", r"\{layout", "{count_include_pad = 1, layout", "count_include_pad is"),
        ("pad", r"\{pads", "{value = 1.0, pads", "value is 1.0+e.00 : f64, not 0.0"),
    ],
)
def test_what_has_no_form_is_refused(
    name: str, old: str, new: str, difference: str, tmp_path: Path
):
    path = edited(TFLITE[name](), old, new, tmp_path)
    with pytest.raises(CompilationFailure, match=f"layer 'y'.*no longer.*{difference}") as caught:
        compile_source(path)
    assert caught.value.hint is not None


def test_a_change_of_a_pass_is_noticed_too():
    module = load(TFLITE["elu"]())
    run_pipeline(make_context(), module, Pipeline("p", (Phase("graph", "", ("graph-partition",)),)))
    (op,) = (o for o in module.walk() if isinstance(o, EluOp))
    function = op.parent_op()
    assert isinstance(function, FuncOp)
    export_segment(function)
    op.alpha = FloatAttr(0.5, f64)
    with pytest.raises(CompilationFailure, match="alpha is"):
        export_segment(function)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('operator = "FLOOR_MOD"', 'operator = "FLOOR_DIV"', "'FLOOR_DIV', its origin is 'FLOOR"),
        ('MOD", ', 'MOD", slots = [1, 0], ', r"slots \[1, 0\] of 2 operands"),
    ],
)
def test_operators_carried_whole_are_their_origin(old: str, new: str, message: str, tmp_path: Path):
    with pytest.raises(CompilationFailure, match=f"layer 'y'.*{message}"):
        compile_source(edited(remainder(), old, new, tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'operator = "Hardmax"',
            'operator = "Softmax"',
            "operator Softmax, its origin has Hardmax",
        ),
        ('"Hardmax", ', '"Hardmax", slots = [-1], ', r"slots \[-1\], its origin has \[0\]"),
        (
            r"graph.opaque (%\w+) {",
            r"graph.opaque \1, \1 {slots = [0], ",
            "a number of operands of 2, its origin has 1",
        ),
        (
            r": tensor<1x4x6x6xf32>(.*)\n    func.return (%\w+) : tensor<1x4x6x6xf32>",
            r": tensor<1x4x6x6xi32>\1\n    func.return \2 : tensor<1x4x6x6xi32>",
            "a result's type code 6, its origin has 1",
        ),
    ],
)
def test_nodes_carried_whole_are_their_origin(old: str, new: str, message: str, tmp_path: Path):
    path = edited(ONNX["hardmax"](), old, new, tmp_path)
    text = path.read_text()
    if "xi32" in text:
        path.write_text(text.replace("-> (tensor<1x4x6x6xf32>", "-> (tensor<1x4x6x6xi32>"))
    with pytest.raises(CompilationFailure, match=f"layer 'node'.*{message}"):
        compile_source(path)


def remainder() -> bytes:
    a, b, y = (Tensor(name, (4,), np.int32) for name in "aby")
    return build_model([Operator("FLOOR_MOD", [a, b], [y], options("FloorMod"))])
