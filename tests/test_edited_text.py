"""Edits of IR text are refused as furiosa-opt refuses them, or compile to what the text says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.text import parse_module
from tests.draws import draws
from tests.edited_text import LEVELS, NETWORKS, edit, text_of, try_edit


@pytest.mark.draws
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda path: path.name)
def test_drawn_edits(network: Path, level: str, tmp_path: Path):
    for i in range(draws(15)):
        rng = random.Random(f"{i}/{network.name}/{level}")
        outcome = try_edit(network, level, rng, tmp_path)
        assert not outcome.is_fault, outcome


def test_edits_change_the_text():
    text, _ = text_of(NETWORKS[0], "graph")
    assert all(edit(text, random.Random(i))[0] != text for i in range(20))


def relu(quantised: str) -> str:
    kind = f"tensor<4x{quantised}>"
    return (
        f'func.func @main(%x: {kind}) -> {kind} {{\n  %0 = "graph.relu"(%x) : ({kind}) -> {kind}\n'
        f"  func.return %0 : {kind}\n}}"
    )


@pytest.mark.parametrize(
    ("quantised", "message"),
    [
        ("!quant.uniform<i8:f32, -0.5:3>", "a scale of -0.5"),
        ("!quant.uniform<i8:f32, 0.5:128>", "a zero point of 128, which i8 does not hold"),
        ("!quant.uniform<u8:f32, 0.5:-1>", "a zero point of -1"),
        ("!quant.uniform<i8:f32:1, {0.5, 0.25}>", "2 scales along dimension 1"),
        ("!quant.uniform<i8:f32:0, {0.5, 0.25}>", "2 scales along dimension 0"),
    ],
)
def test_quantised_types_are_verified(quantised: str, message: str):
    parse_module(relu("!quant.uniform<i8:f32, 0.5:3>"))
    with pytest.raises(FuriosaError, match=message):
        parse_module(relu(quantised))


def test_the_unit_of_a_bias_is_that_of_the_product():
    def conv(scale: str, source: str = "onnx") -> str:
        x, w, y = (f"!quant.uniform<i8:f32, {s}>" for s in ("0.5:3", "0.25", "0.125"))
        b = f"!quant.uniform<i32:f32, {scale}>"
        types = f"(tensor<1x2x4x4x{x}>, tensor<3x2x1x1x{w}>, tensor<3x{b}>)"
        arguments = types[1:-1].split(", tensor")
        names = ", ".join(
            f"%{n}: {'tensor' if i else ''}{t}"
            for i, (n, t) in enumerate(zip("xwb", arguments, strict=True))
        )
        return f"""builtin.module attributes {{graph.source = "{source}"}} {{
        func.func @main({names}) -> tensor<1x3x4x4x{y}> {{
          %0 = "graph.conv"(%x, %w, %b) <{{layout = "NCHW", kernel_layout = "OIHW",
            strides = array<i64: 1, 1>, pads = array<i64: 0, 0, 0, 0>,
            dilations = array<i64: 1, 1>, group = 1 : i64}}> : {types} -> tensor<1x3x4x4x{y}>
          func.return %0 : tensor<1x3x4x4x{y}>
        }} }}"""

    parse_module(conv("0.125"))
    with pytest.raises(FuriosaError, match=r"the bias has the scale 0\.25, x and weight make 0\.1"):
        parse_module(conv("0.25"))
    parse_module(conv("0.25", "tflite"))  # LiteRT takes a bias for a sum, whatever its scale
