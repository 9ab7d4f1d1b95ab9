"""IR text is verified wherever it is read; every error is listed, with its line and a caret."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import MOST_DIAGNOSTICS, VerificationFailure
from furiosa_ir.ir.text import parse_module, print_module
from furiosa_ir.runtime import session
from furiosa_ir.tools.furiosa import main as furiosa
from furiosa_ir.tools.opt import main as furiosa_opt

T = "tensor<1x8x6x6xf32>"
POOL = (
    'layout = "NCHW", kernel_shape = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, '
    "dilations = array<i64: 1, 1>, ceil_mode = 0 : i64"
)


def text(strides: str = "2, 2", relu: str = T, bad_lines: int = 0) -> str:
    """A network in text; strides of 1 do not make the result that the text declares."""
    small = "tensor<1x8x3x3xf32>"
    more = "".join(
        f'  %b{i} = "graph.relu"(%x) : ({T}) -> tensor<{i + 2}xf32>\n' for i in range(bad_lines)
    )
    return f"""builtin.module attributes {{graph.source = "onnx"}} {{
func.func @main(%x: {T} {{graph.name = "x"}}) -> ({small} {{graph.name = "y"}}) {{
  %0 = "graph.relu"(%x) : ({T}) -> {relu} loc("first")
{more}  %1 = "graph.max_pool"(%0) <{{{POOL}, strides = array<i64: {strides}>}}> : ({T}) -> {small}
  func.return %1 : {small}
}}
}}
"""


BAD = text("1, 1")
BOTH = BAD.replace(
    "  %1 =",
    '  %z = "graph.relu"(%x) : (tensor<1x8x6x6xf32>) -> tensor<7xf32> loc("second")\n  %1 =',
)


def run(tool: object, *arguments: object) -> Result:
    return CliRunner(env={"FC_CACHE_ENABLED": "0"}).invoke(tool, [str(a) for a in arguments])  # pyright: ignore[reportArgumentType]


def behind(result: Result) -> list[str]:
    """What a refused command printed, from its sentence on."""
    assert result.exit_code == 1, result.output
    lines = result.stderr.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("ERROR: "))
    return lines[at:]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "n.mlir"
    path.write_text(BAD)
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 8, 6, 6), np.float32))
    return path


def test_good_text_compiles():
    assert compile_model(text().encode())


def test_every_command_refuses_what_does_not_verify(file: Path, tmp_path: Path):
    output = tmp_path / "out"
    shown = behind(run(furiosa_opt, file))
    sentence, line, caret = shown
    assert sentence.startswith(f"ERROR: {file}:4:3: graph.max_pool: result has shape")
    assert line.startswith('  %1 = "graph.max_pool"(%0)')
    assert caret == "  ^"
    assert behind(run(furiosa, "compile", file, "-o", output)) == shown
    assert not output.exists()
    for level in ("graph", "ftensor", "warboy"):
        assert behind(run(furiosa, "compile", file, "-o", output, "--target-ir", level)) == shown
    assert not output.exists()
    assert behind(run(furiosa, "run", file, "--inputs", tmp_path / "x.npz")) == shown


def test_sessions_and_the_library_refuse_it_too(file: Path):
    for source in (file, file.read_bytes()):
        with pytest.raises(VerificationFailure, match=r":4:3: graph\.max_pool: result has"):
            compile_model(source)
    with pytest.raises(VerificationFailure, match=r":4:3: graph\.max_pool: result has") as caught:
        session.create(file)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.line, diagnostic.column) == (4, 3)
    assert diagnostic.source == BAD.splitlines()[3]


def test_all_errors_are_listed(tmp_path: Path):
    path = tmp_path / "n.mlir"
    path.write_text(BOTH)
    for command in ((furiosa_opt, path), (furiosa, "compile", path)):
        sentence, *rest = behind(run(*command))
        assert sentence.startswith(f"ERROR: {path}:4:3: layer 'second': graph.relu: ")
        assert sentence.endswith("; and 1 more error")
        assert rest[2].startswith(f"{path}:5:3: error: graph.max_pool: result has shape")
        assert rest[1::3] == ["  ^", "  ^"]


def test_the_list_is_bounded(tmp_path: Path):
    path = tmp_path / "n.mlir"
    path.write_text(text(bad_lines=MOST_DIAGNOSTICS + 7))
    sentence, *rest = behind(run(furiosa, "compile", path))
    assert sentence.endswith(f"; and {MOST_DIAGNOSTICS + 6} more errors")
    assert sum(line == "  ^" for line in rest) == MOST_DIAGNOSTICS
    assert rest[-1] == "and 7 more"


def test_the_caret_of_a_long_line(tmp_path: Path):
    # All on one line, the operation far from both ends.
    path = tmp_path / "n.mlir"
    path.write_text(BAD.replace("\n", " "))
    _, line, caret = behind(run(furiosa, "compile", path))
    assert line.startswith("...")
    assert line.endswith("...")
    assert line[caret.index("^") :].startswith('%1 = "graph.max_pool"')


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ('"graph.relu"(%x)', '"graph.reluu"(%x)'),
        ("(%0)", "(%nobody)"),
        ("ceil_mode = 0 : i64", "ceil_mode = : i64"),
    ],
)
def test_what_does_not_parse_has_a_caret_too(wrong: str, shown: str, tmp_path: Path):
    path = tmp_path / "n.mlir"
    path.write_text(text().replace(wrong, shown))
    sentence, line, caret = behind(run(furiosa, "compile", path))
    assert sentence.startswith(f"ERROR: {path}:")
    number, column = map(int, sentence.removeprefix(f"ERROR: {path}:").split(":")[:2])
    assert column >= 1
    token = path.read_text().splitlines()[number - 1][column - 1 :][:8]
    assert line[caret.index("^") :].startswith(token)


def test_parse_module_verifies():
    with pytest.raises(VerificationFailure):
        parse_module(BAD)
    assert print_module(parse_module(BAD, verify=False))


def test_verify_diagnostics_wants_every_error_of_a_text(tmp_path: Path):
    lines = BOTH.splitlines()
    lines.insert(3, "  // expected-error@+1 {{result has shape [7]}}")
    path = tmp_path / "n.mlir"
    path.write_text("\n".join(lines))
    result = run(furiosa_opt, path, "--verify-diagnostics")
    assert "unexpected error: graph.max_pool" in result.stderr
    lines.insert(5, "  // expected-error@+1 {{graph.max_pool: result has}}")
    path.write_text("\n".join(lines))
    assert run(furiosa_opt, path, "--verify-diagnostics").exit_code == 0
