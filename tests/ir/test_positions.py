"""What passes and checks refuse of a text is said with its line, column and a caret."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import CompilationFailure, FuriosaError, VerificationFailure
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.text import parse_module, write_module
from furiosa_ir.ir.verifier import OperationFailure
from furiosa_ir.tools.furiosa import main as furiosa
from furiosa_ir.tools.opt import main as furiosa_opt
from tests.exporters.one_operator import TFLITE

TEXT = """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.constant"() <{value = #graph.blob<f32 [1] (3.0)>}> : () -> tensor<1xf32> loc("a")
  %1 = "graph.add"(%x, %0) : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32> loc("a")
  %2 = "graph.relu"(%1) : (tensor<4xf32>) -> tensor<4xf32> loc("a")
  %3 = "graph.tanh"(%2) : (tensor<4xf32>) -> tensor<4xf32> loc("b")
  func.return %3 : tensor<4xf32>
}
"""


@pytest.mark.parametrize(
    ("layer", "message", "line"),
    [
        ("a", "too large", 4),  # a constant is data
        ("a", "graph.relu: too large", 5),  # named
        ("b", "too large", 6),
        ("a+b", "too large", 4),  # fused by a pass
        ("other", "too large", 0),
        (None, "too large", 0),
    ],
)
def test_a_layer_is_found(layer: str | None, message: str, line: int):
    positions = Positions()
    parse_module(TEXT, name="x.mlir", positions=positions)
    placed = positions.placed(CompilationFailure(message, layer=layer, hint="so"))
    assert isinstance(placed, CompilationFailure)
    assert (placed.message, placed.hint, placed.layer) == (message, "so", layer)
    assert placed.file == (f"x.mlir:{line}:3" if line else None)
    assert placed.diagnostics[0].source == (TEXT.splitlines()[line - 1] if line else "")


def test_every_failure_is_placed():
    positions = Positions()
    module = parse_module(TEXT, name="x.mlir", positions=positions)
    ops = [op for op in module.walk() if op.name in ("graph.relu", "graph.tanh")]
    failures = [OperationFailure.of(op, "wrong") for op in ops]
    placed = positions.placed(OperationFailure.of_all(failures, 2, before="after the pass 'p': "))
    assert str(placed).startswith("x.mlir:5:3: layer 'a': after the pass 'p': graph.relu: wrong; ")
    assert [d.place for d in placed.diagnostics] == ["x.mlir:5:3", "x.mlir:6:3"]


def test_an_error_with_a_place_keeps_it():
    positions = Positions()
    parse_module(TEXT, name="x.mlir", positions=positions)
    error = CompilationFailure("too large", file="y.mlir:1:1", layer="a")
    assert positions.placed(error) is error
    assert Positions().placed(bare := CompilationFailure("too large", layer="a")) is bare


def edited(source: bytes | Path, level: str, old: str, new: str, folder: Path) -> tuple[Path, int]:
    """A network's text in which the first match is replaced, and the line of its operation."""
    path = folder / "edited.mlir"
    write_module(compile_source(source, target_ir=level).module, path)
    text = path.read_text()
    match = re.search(old, text)
    assert match is not None, text
    path.write_text(text[: match.start()] + new + text[match.end() :])
    *_, operation = re.finditer(
        r"^ *(?:%\S+ = )?(?:graph|warboy)\.", text[: match.start()], re.MULTILINE
    )
    return path, text.count("\n", 0, operation.start()) + 1


X, Y = "tensor<1x9x!quant.uniform<i8:f32, 1.0e-12>>", "tensor<1x9x!quant.uniform<i8:f32, 0.5>>"
SOFTMAX = f"""builtin.module attributes {{graph.source = "tflite"}} {{
func.func @main(%x: {X}) -> {Y} {{
  %1 = "graph.relu"(%x) : ({X}) -> {X} loc("first")
  %2 = "graph.softmax"(%1) <{{axis = 1 : i64, beta = 1.0 : f64}}> : ({X}) -> {Y} loc("second")
  func.return %2 : {Y}
}}
}}
"""
"""A softmax that LiteRT has not."""


def _written(folder: Path, text: str) -> tuple[Path, int]:
    path = folder / "written.mlir"
    path.write_text(text)
    return path, 4


Case = Callable[[Path, Path], tuple[Path, int]]

CASES: dict[str, Case] = {
    "export of a host segment": lambda _, folder: edited(
        TFLITE["pad"](), "graph", r"\{pads", "{value = 1.0, pads", folder
    ),
    "a lowering": lambda _, folder: _written(folder, SOFTMAX),
    "the checker": lambda digits, folder: edited(
        digits / "digits_int8.tflite",
        "warboy",
        r"(?<=address = 320, size = 16\), target = sram_flat\(address = )96",
        "97",
        folder,
    ),
    "a command without a field": lambda digits, folder: edited(
        digits / "digits_int8.tflite", "warboy", r', order = "HCW"', "", folder
    ),
    "a command with another type": lambda digits, folder: edited(
        digits / "digits_int8.tflite", "warboy", r"size = 16", 'size = "16"', folder
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_comes_after_reading_is_placed(case: str, digits: Path, tmp_path: Path):
    path, line = CASES[case](digits, tmp_path)
    with pytest.raises(FuriosaError) as caught:
        compile_source(path)
    assert re.fullmatch(rf"{path}:{line}:\d+", caught.value.file or ""), caught.value
    source = path.read_text().splitlines()[line - 1]
    assert caught.value.diagnostics[0].source == source
    result = CliRunner().invoke(furiosa, ["compile", str(path), "-o", str(tmp_path / "x.enf")])
    assert result.exit_code == 1
    sentence, shown, caret = result.stderr.splitlines()[-3:]
    assert sentence.startswith(f"ERROR: {path}:{line}:")
    assert caret.strip() == "^"
    assert shown[caret.index("^")] != " "


def test_furiosa_opt_places_the_errors_of_passes(tmp_path: Path):
    path, line = _written(tmp_path, SOFTMAX)
    result = CliRunner().invoke(furiosa_opt, [str(path), "--to", "warboy"])
    assert result.exit_code == 1
    assert re.match(rf"ERROR: {path}:{line}:3: layer 'second': ", result.stderr), result.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (', order = "HCW"', "", "sram_tile lacks its 'order'"),
        ("size = 16", "size = none", "'size' of dram_flat is none, and must"),
        ("size = 16", "size = true", "must be an integer"),
        ("size = 16", "size = 16, slices = 3", "dram_flat has no 'slices' (it has region, address"),
        ("size = 16", "size = 16, size = 3", "dram_flat has 'size' twice"),
        (r"slices = \(8, 1\)", "slices = (8, 1, 1)", "must be a tuple of 2, each an integer"),
        (r"sram_flat\(", "sram_heap(", "a command has no part 'sram_heap'"),
        (r"layer = 0\}", "layer = 0, waits = ()}", "what a command waits for are its operands"),
        (r', mode = "double"', ", mood = 1", "instruction has no 'mood'"),
        (r"layer = 0\}", "layer = -1}", "warboy.load: there is no layer -1 in a table of 8"),
        (r"layer = 0\}", 'layer = "0"}', "'layer' of load is \"0\", and must be an integer"),
    ],
)
def test_a_command_says_what_is_wrong_with_it(
    old: str, new: str, message: str, digits: Path, tmp_path: Path
):
    path, line = edited(digits / "digits_int8.tflite", "warboy", old, new, tmp_path)
    with pytest.raises(FuriosaError, match=re.escape(message)) as caught:
        compile_source(path)
    assert f":{line}:" in str(caught.value)


def test_a_plan_says_what_is_wrong_with_it():
    with pytest.raises(FuriosaError, match=r"'store' of kernel_plan is 1, and must be true or"):
        parse_module(
            "builtin.module attributes {p = #warboy.plan<kernel_plan(operands = (), "
            "tile = (1, 1, 1, 1), store = 1, prefetch = 0, in_place = none, pinned = false)>} {}"
        )
    assert issubclass(OperationFailure, VerificationFailure)
