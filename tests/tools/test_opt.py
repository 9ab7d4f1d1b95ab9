"""furiosa-opt: every option, good and bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from furiosa_ir.ir.equivalence import difference
from furiosa_ir.ir.history import HISTORY, UNEDITED, Resumption, history_of
from furiosa_ir.ir.text import parse_module, read_module
from furiosa_ir.tools.opt import main
from tests.conftest import DIGITS

T = "tensor<4xf32>"
GOOD = f"""func.func @main(%x: {T}) -> {T} {{
  %0 = "graph.relu"(%x) : ({T}) -> {T} loc("first")
  func.return %0 : {T}
}}
"""
PLUGIN = '''
from dataclasses import dataclass

from furiosa_ir.dialects.graph.elementwise import ReluOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import rule


@rule(ReluOp)
def forget(op, rw):
    """relu(x) = x, which is wrong."""
    return op.x


@dataclass(frozen=True)
class Forget(RewritePass):
    """Forgets Relu."""

    name = "plugin-forget"
    rules = (forget,)
'''


def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def good(*arguments: object, stdin: str | bytes | None = None) -> Result:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return result


def bad(*arguments: object, stdin: str | bytes | None = None) -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 1
    assert result.stderr.startswith("ERROR: ")
    # Behind the sentence there may be the line of a text, and a caret.
    assert result.stderr.count("\n") == 1 or result.stderr.endswith("^\n")
    assert not result.stdout
    return result.stderr


def test_text_from_standard_input():
    result = good("-", stdin=GOOD)
    assert "loc(" not in result.stdout
    assert difference(parse_module(result.stdout), parse_module(GOOD), locations=False) is None
    result = good("--print-debuginfo", stdin=GOOD)
    assert difference(parse_module(result.stdout), parse_module(GOOD)) is None


@pytest.mark.parametrize("name", ["digits_int8.tflite", "digits_qdq_int8.onnx"])
def test_networks_to_files_and_back(name: str, tmp_path: Path):
    path = tmp_path / "a.mlir"
    good(DIGITS / name, "-o", path)
    good(path, "--to", "ftensor", "-o", tmp_path / "b.mlir")
    good(DIGITS / name, "--to", "ftensor", "-o", tmp_path / "c.mlir")
    b, c = read_module(tmp_path / "b.mlir"), read_module(tmp_path / "c.mlir")
    assert history_of(b).passes == history_of(c).passes
    assert history_of(b).resumed == (Resumption(0, UNEDITED),)
    b.attributes[HISTORY] = c.attributes[HISTORY]
    assert difference(b, c) is None
    assert "ftensor.conv" in good(tmp_path / "b.mlir").stdout
    first = good(tmp_path / "a.mlir", "--from", "graph", "--to", "graph").stdout
    assert "@npu_" in first
    piped = good(
        "-",
        "--constants",
        tmp_path / "a.safetensors",
        "-p",
        "graph-fold-quantization,graph-partition",
        stdin=path.read_text(),
    )
    assert "@npu_" in piped.stdout


def test_network_bytes_from_standard_input():
    result = good("-", stdin=(DIGITS / "digits_int8.tflite").read_bytes())
    assert "graph.conv" in result.stdout


def test_list_passes_prints_options_rules_and_phases(tmp_path: Path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    text = good("--load", plugin, "--list-passes").stdout
    assert "plan-tiles\n" in text
    assert "npu: str" in text
    assert "forget: graph.relu\n          relu(x) = x, which is wrong." in text
    assert "phases of the pipeline 'warboy'" in text
    result = good("--load", plugin, "-p", "plugin-forget", stdin=GOOD)
    assert "graph.relu" not in result.stdout


def test_dumps_and_timing_go_to_standard_error():
    path = DIGITS / "digits_int8.tflite"
    result = good(
        path, "-p", "graph-partition,lower-to-ftensor", "--print-ir-after-all", "--timing"
    )
    assert result.stderr.count("IR Dump After") == 2
    assert "lower-to-ftensor" in result.stderr.rsplit("memory  where", 1)[1]
    result = good(
        path, "-p", "graph-partition,lower-to-ftensor", "--print-ir-before", "lower-to-ftensor"
    )
    assert result.stderr.count("IR Dump Before") == 1
    result = good(path, "-p", "graph-partition", "--print-ir-before-all")
    assert result.stderr.startswith(
        "// -----// IR Dump Before graph-partition //----- //\n!image = !quant.uniform<"
    )


def test_split_input():
    result = good("--split-input-file", stdin=f"{GOOD}// -----\n{GOOD}")
    assert result.stdout.count("@main") == 2
    assert result.stdout.count("// -----\n") == 1
    error = run("--split-input-file", stdin=f"{GOOD}// -----\nfunc.func @f() {{ oops }}")
    assert error.exit_code == 1
    assert "<stdin>:6:" in error.stderr


def test_split_input_says_what_is_wrong_with_each_part():
    """The others are printed, as mlir-opt does."""
    wrong = GOOD.replace(T, "tensor<5xf32>", 1)
    late = GOOD.replace('"graph.relu"(%x)', '"graph.relu"(%0)')
    text = "// -----\n".join((f"{GOOD} oops\n", wrong, GOOD, late))
    result = run("--split-input-file", stdin=text)
    assert result.exit_code == 1
    assert result.stdout.count("@main") == 1
    lines = [line for line in result.stderr.splitlines() if "<stdin>" in line]
    assert [line.split(", ")[0] for line in lines] == [
        "ERROR: <stdin>:5:2: there is no operation 'oops'",
        "<stdin>:8:21: error: operand is used with type tensor<4xf32>",
        "<stdin>:18:3: error: layer 'first': graph.relu: operand 0",
    ]
    assert result.stderr.count("^\n") == 3


LATE = f'%1 = "graph.relu"(%2) : ({T}) -> {T}\n  %2 = "graph.relu"(%x) : ({T}) -> {T}'


@pytest.mark.parametrize(
    ("comment", "missing"),
    [
        ("// expected-error@+1 {{is used before it is defined}}\n  LATE", ""),
        ("// expected-error@below {{graph.relu: operand 0}}\n  LATE", ""),
        ("// expected-error-re@+1 {{operand \\d+}}\n  LATE", ""),
        ("// expected-error@+1 {{something else}}\n  LATE", "something else"),
        ("// expected-error@+2 {{is used before it is defined}}\n  LATE", "did not occur"),
        ("LATE", "unexpected error"),
        ("// expected-error {{an error}}", "did not occur"),
        ("// expected-error@+1 {{oops}}\n  oops\n", ""),
    ],
)
def test_verify_diagnostics(comment: str, missing: str):
    body = comment.replace("LATE", LATE)
    second = GOOD.replace("func.return", f"{body}\n  func.return")
    text = f"{GOOD}// -----\n{second}"
    result = run("--verify-diagnostics", "--split-input-file", stdin=text)
    if missing:
        assert result.exit_code == 1
        assert missing in result.stderr
    else:
        assert result.exit_code == 0, result.stderr


def test_errors_of_passes_have_a_line_too():
    origin = "#graph.origin<onnx, #graph.blob<ui8 [0] ()>>"
    properties = f'<{{operator = "Foo", slots = array<i64: 0>, origin = {origin}}}>'
    text = f"""builtin.module attributes {{graph.source = "onnx"}} {{
  func.func private @npu_0(%x: {T}) -> {T} attributes {{graph.placement = "npu"}} {{
    // expected-error@+1 {{{{graph.opaque}}}}
    %0 = "graph.opaque"(%x) {properties} : ({T}) -> {T}
    func.return %0 : {T}
  }}
}}
"""
    good("--verify-diagnostics", "-p", "lower-to-ftensor", stdin=text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/file"], "/no/such/file: no such file or directory"),
        (["-p", "nothing"], "there is no pass 'nothing'"),
        (["-p", "assign-target{nqu=x}"], "did you mean 'npu'"),
        (["-p", "plan-tiles{target=warboy}"], "put assign-target{npu=...} in front"),
        (["--to", "nowhere"], "there is no phase 'nowhere'"),
        (["-p", "schedule", "--to", "graph"], "neither --from nor --to"),
        (["--load", "/no/such.py"], "the plug-in does not exist"),
        (["-o", "/no/such/folder/x.mlir"], "cannot be written"),
        (["-o", "."], ".: cannot be written: it is a directory"),
        (["-o", "/"], "/: cannot be written: it is a directory"),
        (["-b", "3"], "<stdin>: the batch size of IR cannot be changed"),
        (["-b", "3", "--split-input-file"], "the batch size of IR cannot be changed"),
        (["--target-npu", "nope"], "there is no target 'nope' (choose one of warboy, warboy-2pe"),
        (["--print-ir-before", "nopass"], "there is no pass 'nopass'"),
        (["--print-ir-after", "graph-partitoin"], "did you mean 'graph-partition'"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str):
    assert message in bad(*arguments, stdin=GOOD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @main(", "<stdin>:1:"),
        (GOOD.replace("%0 :", "%9 :"), "<stdin>:"),
        (
            GOOD.replace(f"-> {T} loc", "-> tensor<5xf32> loc").replace(
                f"%0 : {T}", "%0 : tensor<5xf32>"
            ),
            "<stdin>:2:3: layer 'first': graph.relu",
        ),
        ("", "the file is empty"),
        ("hello", "text file"),
    ],
)
def test_bad_text(text: str, message: str):
    assert message in bad(stdin=text)


def test_a_plugin_that_breaks(tmp_path: Path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text("1 / 0")
    assert "ZeroDivisionError" in bad("--load", plugin, stdin=GOOD)


def test_a_program_is_disassembled_but_not_transformed(tmp_path: Path):
    from furiosa_ir.compiler import compile_model

    path = tmp_path / "a.enf"
    path.write_bytes(compile_model(DIGITS / "digits_int8.tflite"))
    assert "npu_0" in good(path).stdout
    assert "cannot be transformed" in bad(path, "-p", "schedule")
    assert "batch size of a compiled program cannot be changed" in bad(path, "-b", "2")
    good(path, "-o", tmp_path / "a.txt")
    assert "npu_0" in (tmp_path / "a.txt").read_text(encoding="utf-8")


def test_an_output_that_cannot_be_written_is_noticed_before_anything_is_run(
    monkeypatch: pytest.MonkeyPatch,
):
    from furiosa_ir.tools import transform

    def run(*_arguments: object, **_options: object) -> None:
        raise AssertionError("too late")

    monkeypatch.setattr(transform, "run_pipeline", run)
    for output in (".", "/no/such/folder/x.mlir"):
        assert "cannot be written" in bad("-p", "graph-partition", "-o", output, stdin=GOOD)


def test_as_a_process():
    command = [sys.executable, "-X", "importtime", "-m", "furiosa_ir.tools.opt", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--list-passes" in done.stdout
    for heavy in ("xdsl", "numpy", "onnx", "rich"):
        assert f" {heavy}\n" not in done.stderr
    command = [sys.executable, "-m", "furiosa_ir.tools.opt", "-"]
    done = subprocess.run(command, input=GOOD, capture_output=True, text=True, check=True)
    assert "graph.relu" in done.stdout
