"""The console scripts run no module of the current directory, but what PYTHONPATH names."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.compiler import compile_model
from furiosa_ir.tools import furiosa, launch
from tests.conftest import DIGITS

SCRIPT = [
    "-c",
    "import sys; sys.path.remove(''); from furiosa_ir.tools.launch import furiosa as f; f()",
]
MODULE = ["-m", "furiosa_ir.tools.furiosa"]
PLANTED = ("click", "json", "numpy", "rich", "logging", "flatbuffers", "ml_dtypes", "zlib", "onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "n.enf").write_bytes(compile_model(DIGITS / "digits_int8.tflite"))
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(
            f"open('RAN', 'a').write({name!r})\nraise SystemExit(9)"
        )
    return tmp_path


def inspected(folder: Path, form: list[str], variable: str | None) -> int:
    given = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if variable is not None:
        given["PYTHONPATH"] = variable
    done = subprocess.run(
        [sys.executable, *form, "inspect", "n.enf"],
        cwd=folder,
        env=given,
        capture_output=True,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("form", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize("variable", [None, "", "/nowhere:", ":/nowhere", "/nowhere::/neither"])
def test_what_lies_beside_a_program_is_no_code(
    folder: Path, form: list[str], variable: str | None
) -> None:
    assert inspected(folder, form, variable) == 0
    assert not (folder / "RAN").exists()


@pytest.mark.parametrize("here", [".", "{folder}"])
def test_what_pythonpath_names_is(folder: Path, here: str) -> None:
    assert inspected(folder, SCRIPT, here.format(folder=folder)) == 9


def test_nothing_slow_comes_before_the_handlers() -> None:
    """Until they are there, Ctrl-C is answered with a traceback."""
    root = str(Path(__file__).parents[2])
    code = (
        f"import os, sys; sys.path.append({root!r}); before = set(sys.modules); "
        "import furiosa_ir.tools.signals as s; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    ours = {"furiosa_ir", "furiosa_ir.tools", "furiosa_ir.tools.signals"}
    assert set(done.stdout.split()) <= ours | {"__future__"}


@pytest.mark.parametrize("is_running", [False, True])
def test_the_collector_rests_where_the_process_ends_with_the_command(
    is_running: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(launch, "_is_running", is_running)
    source, output = DIGITS / "digits_int8.tflite", tmp_path / "a.graph"
    try:
        arguments = ["compile", str(source), "--target-ir=graph", "-o", str(output)]
        assert CliRunner().invoke(furiosa.main, arguments).exit_code == 0
        assert gc.isenabled() != is_running
        gc.enable()
        arguments.append("--check-numerics=1")  # copies modules, which are cycles
        assert CliRunner().invoke(furiosa.main, arguments).exit_code == 0
        assert gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_what_crashes_in_machine_code_is_named(tmp_path: Path) -> None:
    plugin = tmp_path / "crashing.py"
    plugin.write_text(
        "from dataclasses import dataclass\n"
        "from furiosa_ir.ir.passes import Pass\n"
        "@dataclass(frozen=True)\n"
        "class Crash(Pass):\n"
        '    """Crashes."""\n'
        '    name = "test-crash"\n'
        "    def apply(self, ctx, op):\n"
        "        import os\n"
        "        os.abort()\n"
    )
    script = "from furiosa_ir.tools.launch import furiosa_opt as f; f()"
    command = [sys.executable, "-c", script, str(DIGITS / "digits_int8.tflite")]
    command += ["--load", str(plugin), "-p", "test-crash"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode < 0
    assert done.stderr.startswith("Fatal Python error: Aborted")
    assert f'File "{plugin}", line 9 in apply' in done.stderr
