"""Headers name the passes that ran and where text came in; targets belong to modules."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.program import Program
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main
from tests.conftest import DIGITS

TFLITE, ONNX = DIGITS / "digits_int8.tflite", DIGITS / "digits_qdq_int8.onnx"
PASSES = [str(p.spec()) for phase in PIPELINE.phases for p in phase.resolve()]
TARGET = 'assign-target{npu="warboy-2pe"}'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def bad(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == 1, result.output
    assert "internal error" not in result.stderr
    return result.stderr.splitlines()[-1]


@cache
def direct() -> Program:
    return read_program(compile_model(ONNX))


def header(program: str = "a.enf") -> dict[str, Any]:
    return json.loads(call(main, "inspect", program, "--json"))["header"]


def opt(source: object, output: str, *options: object) -> None:
    call(opt_main, source, "-o", output, *options)


def compiled(source: object, *options: object) -> dict[str, Any]:
    call(main, "compile", source, "-o", "a.enf", *options)
    return header()


def test_a_network():
    assert compiled(ONNX)["pipeline"].split(",") == [TARGET, *PASSES]
    assert header()["resumed"] == []
    assert "resumed" not in call(main, "inspect", "a.enf")


@pytest.mark.parametrize("cut", range(1, len(PASSES) + 1))
def test_text_from_between_any_two_passes(cut: int):
    """Each pass runs once, whoever runs it, and the program is the same."""
    opt(ONNX, "half.mlir", "-p", ",".join(PASSES[:cut]))
    found = compiled("half.mlir")
    assert [p for p in found["pipeline"].split(",") if p != TARGET] == PASSES
    assert found["pipeline"].count(TARGET) == 1
    before = cut + ("split-batch" in PASSES[:cut])  # the first that needs a target
    assert found["resumed"] == [{"passes": before, "text": "unedited"}]
    assert read_program(Path("a.enf")).segments == direct().segments


def test_passes_that_were_left_out_are_not_named():
    opt(ONNX, "half.mlir", "-p", "graph-fold-quantization,graph-partition")
    passes = compiled("half.mlir")["pipeline"].split(",")
    assert passes[:2] == ["graph-fold-quantization", "graph-partition"]
    assert "graph-fuse-tables" not in passes
    # What comes behind the partition is caught up, though other passes were left out.
    assert passes[2:] == [TARGET, *PASSES[PASSES.index("graph-fold-space-to-batch") :]]


def test_a_chain_and_an_edit():
    opt(ONNX, "a.mlir", "-p", "graph-fold-quantization")
    opt("a.mlir", "b.mlir", "-p", "graph-fold-constants")
    text = Path("b.mlir").read_text()
    Path("b.mlir").write_text(text.replace("graph.relu", "graph.relu ", 1) + "// a comment\n")
    opt("b.mlir", "b.mlir")  # nothing runs, but what was edited stays so
    assert "<edited text>" not in Path("b.mlir").read_text()
    name = text[text.index('{graph.name = "') + 15 :].partition('"')[0]
    Path("b.mlir").write_text(text.replace(f'"{name}"', '"renamed"'))
    opt("b.mlir", "b.mlir")
    found = compiled("b.mlir")
    assert found["resumed"] == [
        {"passes": 1, "text": "unedited"},
        {"passes": 2, "text": "edited"},
    ]
    assert "from edited text, passes before it: 2" in " ".join(
        call(main, "inspect", "a.enf").split()
    )


def test_text_from_elsewhere():
    Path("x.mlir").write_text(
        'module attributes {graph.source = "onnx"} { func.func @main(%x: tensor<1x4xi8> '
        '{graph.name = "x"}) -> (tensor<1x4xi8> {graph.name = "y"}) { func.return %x : '
        "tensor<1x4xi8> } }"
    )
    found = compiled("x.mlir")
    assert found["resumed"] == [{"passes": 0, "text": "foreign"}]
    assert found["pipeline"].split(",") == [TARGET, *PASSES]


@pytest.mark.parametrize("left_out", PASSES[PASSES.index("graph-partition") :])
def test_a_needed_pass_that_is_left_out_is_named(left_out: str):
    passes = ",".join(p for p in PASSES if p != left_out)
    needed = {
        "graph-partition",
        "lower-to-ftensor",
        "fuse-kernels",
        "assign-views",
        "plan-tiles",
        "allocate",
        "schedule",
    }
    if left_out not in needed:
        compiled(ONNX, "--pass-pipeline", passes)
        return
    sentence = bad(main, "compile", ONNX, "--pass-pipeline", passes)
    assert f"needs the pass '{left_out}', which has not run" in sentence
    if left_out != "schedule":
        assert f"run {left_out} first" in bad(opt_main, ONNX, "-p", passes)


@pytest.mark.parametrize(
    "late",
    ["lower-to-ftensor", "fuse-kernels", "assign-views", "plan-tiles", "allocate", "schedule"],
)
def test_a_pass_behind_the_last(late: str):
    passes = ",".join([*PASSES, late])
    assert f"'{late}' comes too late" in bad(opt_main, ONNX, "-p", passes)


def test_the_target_reaches_given_passes():
    passes = ",".join(PASSES[: PASSES.index("allocate")])
    one = call(opt_main, TFLITE, "--target-npu", "warboy", "-p", passes)
    two = call(opt_main, TFLITE, "-p", passes)
    assert 'furiosa.target = "warboy"' in one
    assert 'furiosa.target = "warboy-2pe"' in two
    assert one != two
    assert one == call(opt_main, TFLITE, "-p", f"assign-target{{npu=warboy}},{passes}")
    compiled(TFLITE, "--target-npu", "warboy", "--pass-pipeline", ",".join(PASSES))
    assert read_program(Path("a.enf")).target == "warboy"
    for level in ("graph", "ftensor", "warboy"):
        call(
            main, "compile", TFLITE, "--target-npu", "warboy", "--target-ir", level, "-o", "x.mlir"
        )
        compiled("x.mlir")  # the text's
        assert read_program(Path("a.enf")).target == "warboy"
        compiled("x.mlir", "--target-npu", "warboy")
        with session.create("x.mlir") as s:
            assert s.program.target == "warboy"


@pytest.mark.parametrize("level", ["graph", "ftensor", "warboy"])
def test_contradictions(level: str):
    call(main, "compile", TFLITE, "--target-npu", "warboy", "--target-ir", level, "-o", "x.mlir")
    sentence = "the module's target is 'warboy', not 'warboy-2pe'"
    assert sentence in bad(main, "compile", "x.mlir", "--target-npu", "warboy-2pe")
    assert sentence in bad(opt_main, "x.mlir", "--target-npu", "warboy-2pe")
    assert sentence in bad(opt_main, "x.mlir", "-p", "assign-target{npu=warboy-2pe}")
    with pytest.raises(FuriosaError, match=sentence):
        session.create("x.mlir", device="warboy(2)*1")
    assert not Path("output.enf").exists()


def test_a_pipeline_that_contradicts_the_command():
    pipeline = compiled(TFLITE)["pipeline"]
    sentence = "the pipeline assigns the target 'warboy-2pe', not 'warboy'"
    options = ("--target-npu", "warboy", "--pass-pipeline", pipeline)
    assert sentence in bad(main, "compile", TFLITE, *options)
    assert compiled(TFLITE, "--pass-pipeline", pipeline)["pipeline"] == pipeline


def test_plans_for_another_target():
    until = ",".join(PASSES[: PASSES.index("allocate")])
    opt(TFLITE, "x.mlir", "--target-npu", "warboy", "-p", until)
    text = Path("x.mlir").read_text()
    head, body = text[: text.index("func.func")], text[text.index("func.func") :]
    assert all(part.count('furiosa.target = "warboy"') == 1 for part in (head, body))
    Path("x.mlir").write_text(head.replace('"warboy"', '"warboy-2pe"') + body)
    sentence = "@npu_0 is planned for 'warboy', the module's target is 'warboy-2pe'"
    assert sentence in bad(main, "compile", "x.mlir")
    assert sentence in bad(opt_main, "x.mlir", "-p", "allocate")
    # Without the module's attribute the plans say it.
    Path("x.mlir").write_text(head.replace('furiosa.target = "warboy"', "x.y") + body)
    compiled("x.mlir")
    assert read_program(Path("a.enf")).target == "warboy"


def test_a_target_that_is_none():
    opt(TFLITE, "x.mlir", "--target-npu", "warboy")
    text = Path("x.mlir").read_text()
    for wrong, sentence in (
        ('furiosa.target = "warboy-3pe"', "there is no target 'warboy-3pe'"),
        ("furiosa.target = 3 : i64", "'furiosa.target' is not a text"),
    ):
        Path("x.mlir").write_text(text.replace('furiosa.target = "warboy"', wrong))
        assert sentence in bad(main, "compile", "x.mlir")


def test_a_program_for_another_target(tmp_path: Path):
    compiled(TFLITE, "--target-npu", "warboy")
    with session.create("a.enf") as s:
        assert s.program.target == "warboy"
    with pytest.raises(FuriosaError, match="the program is for 'warboy', not for 'warboy-2pe'"):
        session.create("a.enf", device="npu:0:0-1")


def test_graph_text_is_for_any_target():
    opt(TFLITE, "x.mlir", "--to", "graph")
    assert "furiosa.target" not in Path("x.mlir").read_text()
    for target in ("warboy", "warboy-2pe"):
        compiled("x.mlir", "--target-npu", target)
        assert read_program(Path("a.enf")).target == target


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("func.func @other() { func.return }", "the module has no function @main"),
        ("func.func private @main(tensor<1xi8>) -> tensor<1xi8>", "the function @main has no body"),
        (
            (
                "func.func private @npu_0(tensor<1xi8>) -> tensor<1xi8> "
                'attributes {graph.placement = "npu"} '
                "func.func @main(%x: tensor<4xi8>) -> tensor<4xi8> "
                "{ func.return %x : tensor<4xi8> }"
            ),
            "the function @npu_0 has no body",
        ),
    ],
)
def test_functions_without_a_body(text: str, sentence: str):
    """They used to end in an internal error."""
    Path("x.mlir").write_text(f"module {{ {text} }}")
    assert sentence in bad(main, "compile", "x.mlir")
    if "@npu_0" not in text:
        assert sentence in bad(opt_main, "x.mlir", "-p", "graph-partition")
        return
    for name in PASSES[PASSES.index("graph-sink-movement") :]:
        if name.startswith("ftensor-"):
            continue  # rules, which find nothing
        assert sentence in bad(opt_main, "x.mlir", "-p", name)


def test_a_level_that_is_reached_and_one_that_is_passed():
    opt(TFLITE, "x.mlir", "--to", "ftensor")
    text = call(opt_main, "x.mlir")
    assert call(opt_main, "x.mlir", "--to", "ftensor") == text
    assert "at level 'ftensor', beyond 'graph'" in bad(opt_main, "x.mlir", "--to", "graph")
    assert "at level 'ftensor', beyond" in bad(main, "compile", "x.mlir", "--target-ir", "graph")
    sentence = "'graph-partition' comes too late: the network is cut into segments already"
    assert sentence in bad(opt_main, "x.mlir", "-p", "graph-partition")


def test_a_recorded_pipeline_makes_the_same_program():
    for target in ("warboy", "warboy-2pe"):
        pipeline = compiled(ONNX, "--target-npu", target)["pipeline"]
        program = Path("a.enf").read_bytes()
        spread = pipeline.replace(",", " ,\n  ")
        for text in (pipeline, f" builtin.module(\n{spread}\n)\n"):
            compiled(ONNX, "--pass-pipeline", text)
            assert Path("a.enf").read_bytes() == program
