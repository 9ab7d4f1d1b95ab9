"""What generated tests of rules have found, as text: these modules computed something else once."""

from __future__ import annotations

import pytest

from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import find_pass
from furiosa_ir.ir.text import parse_module, print_module
from tests.passes.generated.judge import judge
from tests.passes.generated.modules import Drawn

I8, U8 = "!quant.uniform<i8:f32, 0.25:3>", "!quant.uniform<u8:f32, 0.0625:67>"
_BLOCKS, _NOTHING = "{blocks = array<i64: 2, 2>", "array<i64: 0, 0, 0, 0>}"
_WEIGHT = "tensor<2x1x1x2x!quant.uniform<i8:f32, 0.5>>"
_LAYOUTS = '{layout = "NHWC", kernel_layout = "OHWI"}'
WIDE = "!quant.uniform<i16:f32, 3.0>"


def _module(body: str, arguments: str, result: str, source: str = "onnx") -> str:
    return (
        f'builtin.module attributes {{graph.source = "{source}"}} {{\n'
        f'func.func @main({arguments}) -> {result} attributes {{graph.placement = "npu"}} {{\n'
        f"{body}\n}}\n}}\n"
    )


def _moved(second: str, result: str) -> str:
    """A transpose that requantises, and what reads it."""
    return _module(
        f"""%1 = graph.transpose %0 {{perm = array<i64: 2, 0, 1>}} : tensor<2x3x4x{U8}>
        {second}
        func.return %2 : {result}""",
        f"%0: tensor<3x4x2x{I8}>",
        result,
    )


CASES = {
    "a clip that saturates, then a quantisation": (
        "graph-fold-quantization",
        _module(
            f"""%1 = graph.relu %0 : tensor<256x{U8}>
            %2 = graph.quantize %1 : tensor<256x{WIDE}>
            func.return %2 : tensor<256x{WIDE}>""",
            f"%0: tensor<256x{WIDE}>",
            f"tensor<256x{WIDE}>",
        ),
    ),
    "a function of a transpose that requantises": (
        "graph-sink-movement",
        _moved(f"%2 = graph.neg %1 : tensor<2x3x4x{I8}>", f"tensor<2x3x4x{I8}>"),
    ),
    "an affine function of one": (
        "graph-sink-movement",
        _moved(
            "%2 = graph.affine %1 {factor = #graph.blob<f64 [1] (4.0)>, "
            f"offset = #graph.blob<f64 [1] (0.0)>}} : tensor<2x3x4x{I8}>",
            f"tensor<2x3x4x{I8}>",
        ),
    ),
    "a sum of two": (
        "graph-sink-movement",
        _moved(f"%2 = graph.add %1, %1 : tensor<2x3x4x{I8}>", f"tensor<2x3x4x{I8}>"),
    ),
    "a concatenation of two": (
        "graph-sink-movement",
        _moved(
            f"%2 = graph.concat %1, %1 {{axis = 1}} : tensor<2x6x4x{I8}>", f"tensor<2x6x4x{I8}>"
        ),
    ),
    "a padding of one": (
        "graph-sink-movement",
        _moved(
            f"%2 = graph.pad %1 {{pads = array<i64: 0, 0, 1, 0, 0, 1>}} : tensor<2x3x6x{I8}>",
            f"tensor<2x3x6x{I8}>",
        ),
    ),
    "a transpose of one that requantises again": (
        "graph-compose-movement",
        _moved(
            f"%2 = graph.transpose %1 {{perm = array<i64: 1, 0, 2>}} : tensor<3x2x4x{I8}>",
            f"tensor<3x2x4x{I8}>",
        ),
    ),
    "a move of a cast that requantises": (
        "graph-fold-quantization",
        _module(
            f"""%1 = graph.storage_cast %0 : tensor<4x8x{U8}>
            %2 = graph.transpose %1 {{perm = array<i64: 1, 0>}} : tensor<8x4x{I8}>
            func.return %2 : tensor<8x4x{I8}>""",
            f"%0: tensor<4x8x{I8}>",
            f"tensor<8x4x{I8}>",
        ),
    ),
    "blocks that requantise a convolution": (
        "graph-fold-space-to-batch",
        _module(
            f"""%1 = graph.space_to_batch %0 {_BLOCKS}, pads = {_NOTHING} : tensor<4x2x2x2x{I8}>
            %w = graph.constant #graph.blob<i8 [2, 1, 1, 2] (3, -5, 17, 60)> : {_WEIGHT}
            %2 = graph.conv %1, %w {_LAYOUTS} : tensor<4x2x2x2x{I8}>
            %3 = graph.batch_to_space %2 {_BLOCKS}, crops = {_NOTHING} : tensor<1x4x4x2x{U8}>
            func.return %3 : tensor<1x4x4x2x{U8}>""",
            f"%0: tensor<1x4x4x2x{I8}>",
            f"tensor<1x4x4x2x{U8}>",
        ),
    ),
    "a normalisation with one quantised parameter": (
        "graph-fold-quantization",
        _module(
            f"""%1 = graph.dequantize %0 : tensor<2x3x4xf32>
            %2 = graph.constant #graph.blob<i8 [3] (58, 0, 91)> : tensor<3x{I8}>
            %3 = graph.dequantize %2 : tensor<3xf32>
            %4 = graph.constant #graph.blob<f32 [3] (1.0, 0.0, 0.5)> : tensor<3xf32>
            %5 = graph.instance_norm %1, %3, %4 {{epsilon = 0.001}} : tensor<2x3x4xf32>
            %6 = graph.quantize %5 : tensor<2x3x4x{I8}>
            func.return %6 : tensor<2x3x4x{I8}>""",
            f"%0: tensor<2x3x4x{I8}>",
            f"tensor<2x3x4x{I8}>",
        ),
    ),
    "a choice that saturates, then a quantisation": (
        "graph-fold-quantization",
        _module(
            f"""%1 = graph.constant #graph.blob<i8 [4] (-46, 124, -107, 43)> : tensor<4x{I8}>
            %2 = graph.where %0, %1, %1 : tensor<4x!quant.uniform<i8:f32, 0.0078125:127>>
            %3 = graph.quantize %2 : tensor<4x{I8}>
            func.return %3 : tensor<4x{I8}>""",
            "%0: tensor<4xi1>",
            f"tensor<4x{I8}>",
        ),
    ),
    "a quantised slope without dimensions": (
        "graph-fold-quantization",
        _module(
            f"""%1 = graph.dequantize %0 : tensor<8xf32>
            %2 = graph.constant #graph.blob<i32 [] (7)> : tensor<!quant.uniform<i32:f32, 0.25>>
            %3 = graph.dequantize %2 : tensor<f32>
            %4 = graph.p_relu %1, %3 : tensor<8xf32>
            %5 = graph.quantize %4 : tensor<8x{I8}>
            func.return %5 : tensor<8x{I8}>""",
            f"%0: tensor<8x{I8}>",
            f"tensor<8x{I8}>",
        ),
    ),
}


def _apply(name: str, text: str) -> tuple[str, str]:
    module = parse_module(text)
    what = find_pass(name)()

    def rewrite(into: object) -> int:
        what.apply(make_context(), module)
        return 1

    judge(Drawn(module, "text", whole=False), rewrite, name, inputs=6)
    once = print_module(module)
    what.apply(make_context(), module)
    return once, print_module(module)


@pytest.mark.parametrize(("name", "text"), CASES.values(), ids=CASES)
def test_values_stay(name: str, text: str) -> None:
    once, again = _apply(name, text)
    assert once == again


def test_a_constant_that_is_cast_counts_as_one_at_once() -> None:
    """Concatenated with a quantised value, it is one; a second run of the pass found that."""
    once, again = _apply(
        "graph-fold-quantization",
        _module(
            """%1 = graph.storage_cast %0 : tensor<4xi8>
            %2 = graph.constant #graph.blob<i8 [2] (5, 6)> : tensor<2x!quant.uniform<i8:f32, 0.5>>
            %3 = graph.storage_cast %2 : tensor<2xi8>
            %4 = graph.concat %1, %3 {axis = 0} : tensor<6xi8>
            func.return %4 : tensor<6xi8>""",
            f"%0: tensor<4x{I8}>",
            "tensor<6xi8>",
        ),
    )
    assert once == again


def test_transposes_of_constants_that_are_not_folded_do_not_go_on_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FURIOSA_MAX_FOLDED_GROWTH", "1")
    constant = "graph.constant #graph.blob<f32 [2, 3] (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)>"
    transpose = "graph.transpose %c {perm = array<i64: 1, 0>} : tensor<3x2xf32>"
    body = f"""%c = {constant} : tensor<2x3xf32>
        %1 = {transpose}
        %2 = {transpose}
        %3 = graph.concat %2, %1 {{axis = 0}} : tensor<6x2xf32>
        func.return %3 : tensor<6x2xf32>"""
    _apply("graph-sink-movement", _module(body, "", "tensor<6x2xf32>"))
