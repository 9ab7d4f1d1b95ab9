"""`furiosa diff`: values, time, memory and placement of two sides."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from xdsl.dialects.builtin import ModuleOp

import furiosa_ir as fi
from furiosa_ir.debugging.difference import Side, compare, side_of
from furiosa_ir.driver import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.text import write_module
from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest
from furiosa_ir.tools.furiosa import main
from tests.conftest import DIGITS


@pytest.fixture(scope="module")
def default(digits: Path) -> Side:
    return side_of(digits)


def test_a_network_beside_itself_differs_in_nothing(default: Side) -> None:
    difference = compare(default, default, 2)
    assert difference.tensors
    assert not any(t.differing or t.note for t in difference.tensors)
    assert {t.name for t in difference.tensors if t.is_output} == {"probabilities"}
    assert difference.figures["cycles"][0] == difference.figures["cycles"][1] > 0
    assert not difference.placement
    assert not difference.durations
    assert difference.alone == (0, 0)


def test_a_wrong_pass_shows_from_its_layer_on(default: Side, digits: Path) -> None:
    edit = Edit(EditKind.INSERT_AFTER, "lower-to-ftensor", "wrong-zero-point")
    other = side_of(digits, passes=PipelineRequest(edits=(edit,)))
    difference = compare(default, other, 2)
    layers = [t for t in difference.tensors if not t.is_output]
    first = next(i for i, t in enumerate(layers) if t.differing)
    assert "pointwise_conv" in layers[first].name
    assert "stem_conv" in layers[1].name
    assert layers[first].greatest > 1
    assert 0 < layers[first].differing <= layers[first].elements
    (output,) = [t for t in difference.tensors if t.is_output]
    assert output.differing


def test_two_programs_and_a_program_beside_its_text(
    default: Side, levels: dict[str, ModuleOp], tmp_path: Path
) -> None:
    assert default.program is not None
    alone = Side("program", default.program, None)
    difference = compare(alone, alone, 1)
    names = [t.name for t in difference.tensors]
    assert names[-1] == "probabilities"
    assert "image_QuantizeLinear" in names
    text = tmp_path / "digits.mlir"
    write_module(levels["ftensor"], text)
    beside = compare(alone, side_of(text), 1)
    assert [t.name for t in beside.tensors if t.is_output and not t.differing] == ["probabilities"]


def test_text_that_becomes_no_program_has_values_all_the_same(tmp_path: Path) -> None:
    line = "%r = ftensor.{} %x, %y : tensor<4xi32>"
    for name in ("add", "sub"):
        (tmp_path / f"{name}.mlir").write_text(
            'builtin.module attributes {graph.source = "onnx"} {\n'
            "  func.func @main(%x: tensor<4xi32>, %y: tensor<4xi32>) -> (tensor<4xi32>) {\n"
            f"    {line.format(name)}\n"
            "    func.return %r : tensor<4xi32>\n  }\n}\n"
        )
    one, other = (side_of(tmp_path / f"{name}.mlir") for name in ("add", "sub"))
    difference = compare(one, other, 1)
    assert len(difference.notes) == 2
    assert difference.figures["cycles"] == (None, None)
    (output,) = difference.tensors
    assert output.differing


def test_other_inputs_are_refused(default: Side) -> None:
    program = compile_source(DIGITS / "digits_int8.tflite").program
    with pytest.raises(FuriosaError, match="other inputs"):
        compare(default, Side("tflite", program, None), 1)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("sum product", "product sum", {"sum": "", "product": ""}),
        ("sum product", "product renamed", {"sum": "", "product": ""}),
        ("sum", "product sum", {"sum": "", "product": "only B has it"}),
        ("sum product", "product", {"sum": "only A has it", "product": ""}),
    ],
)
def test_outputs_go_by_their_names(
    one: str, other: str, expected: dict[str, str], tmp_path: Path
) -> None:
    """Another order is no difference; what one side calls otherwise goes by its place."""
    made = {"sum": "add", "product": "mul", "renamed": "add"}
    sides: list[Side] = []
    for names in (one.split(), other.split()):
        t = "tensor<4xi32>"
        lines = "".join(f"    %{n} = ftensor.{made[n]} %x, %y : {t}\n" for n in names)
        results = ", ".join(f'{t} {{graph.name = "{n}"}}' for n in names)
        text = tmp_path / f"{'_'.join(names)}.mlir"
        text.write_text(
            'builtin.module attributes {graph.source = "onnx"} {\n'
            f"  func.func @main(%x: {t}, %y: {t}) -> ({results}) {{\n{lines}"
            f"    func.return {', '.join(f'%{n}' for n in names)}"
            f" : {', '.join(t for _ in names)}\n  }}\n}}\n"
        )
        sides.append(side_of(text))
    tensors = [t for t in compare(sides[0], sides[1], 1).tensors if t.is_output]
    assert {t.name: t.note for t in tensors} == expected
    assert not any(t.differing for t in tensors)


def test_the_command_line(digits: Path) -> None:
    arguments = ["diff", str(digits), "--skip", "ftensor-fuse-tables", "-n", "1"]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    assert "output probabilities" in told.stdout
    assert "SRAM at its peak" in told.stdout
    assert "placement: the same" in told.stdout
    result = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert result["b"].endswith("--skip ftensor-fuse-tables")
    assert result["figures"]["cycles"]["a"] > 0
    assert {"name", "max_error", "mean_error", "differing"} <= set(result["tensors"][0])
    assert "shared tensors are equal" in told.stdout
    nothing = CliRunner().invoke(main, ["diff", str(digits)])
    assert nothing.exit_code == 1
    assert "nothing to compare" in nothing.stderr


def test_programs_of_one_segment_share_outputs_alone(tmp_path: Path) -> None:
    program = tmp_path / "digits.enf"
    fi.compile(DIGITS / "digits_int8.tflite").save(program)
    told = CliRunner().invoke(main, ["diff", str(program), str(program), "-n", "1"])
    assert "values on 1 input: no tensors but the outputs are on both sides\n" in told.stdout


def test_passes_and_versions_that_only_one_side_has_are_named(default: Side, digits: Path) -> None:
    plain = default
    edit = Edit(EditKind.SKIP, "ftensor-fuse-tables", "")
    other = side_of(digits, passes=PipelineRequest(edits=(edit,)))
    assert other.program is not None
    older = replace(other, program=replace(other.program, compiler="furiosa-ir 0.0.1"))
    difference = compare(plain, older, 1)
    assert difference.passes == (("ftensor-fuse-tables",), ())
    assert difference.compilers[1] == "furiosa-ir 0.0.1"
    assert difference.compilers[0] != difference.compilers[1]
    assert difference.as_json()["passes_alone"] == {"a": ["ftensor-fuse-tables"], "b": []}
