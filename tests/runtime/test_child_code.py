"""The isolated process runs our code alone, whatever lies in its folder and its environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import furiosa_ir
from furiosa_ir.compiler import compile_model
from furiosa_ir.python_process import python_command, trusted_path
from tests.runtime.test_host import remainder_network

ROOT = Path(furiosa_ir.__file__).parents[1]
PLANTED = (
    *("json", "socket", "numpy", "ml_dtypes", "onnxruntime", "ai_edge_litert", "struct", "random"),
    *("sitecustomize", "usercustomize", "encodings", "os", "furiosa_ir", "furiosa", "redis"),
    *("importlib", "multiprocessing", "readline", "tflite", "flatbuffers", "zipimport"),
)
RUN = """
import sys
{early}
from pathlib import Path
import numpy as np
from furiosa_ir.runtime import session
a = np.array([7, -7, 9, 5], np.int32)
b = np.array([4, 4, 5, 3], np.int32)
with session.create(Path(sys.argv[1])) as running:
    assert (running.run([a, b])[0].numpy() == a % b).all()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program, and modules beside it that say so when they run."""
    folder = tmp_path_factory.mktemp("downloads")
    (folder / "x.enf").write_bytes(compile_model(remainder_network()))
    for name in PLANTED:
        mark = f"open({str(folder / 'RAN')!r}, 'a').write({name!r})\n"
        (folder / f"{name}.py").write_text(mark)
    return folder


def run(folder: Path, *flags: str, early: str = "", **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, *flags, "-c", RUN.format(early=early), str(folder / "x.enf")],
        cwd=folder,
        env=os.environ | {"FURIOSA_HOST_ISOLATION": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not (folder / "RAN").exists(), (folder / "RAN").read_text()
    assert (done.returncode, done.stderr) == (0, "")


def test_files_beside_the_program_are_not_code(folder: Path) -> None:
    run(folder, "-P")


@pytest.mark.parametrize("here", ["", ".", "{folder}", "{folder}/../downloads0", "link"])
def test_nor_where_the_path_has_the_current_directory(folder: Path, here: str) -> None:
    """A path that was changed after the parent's own imports: `python`, a notebook, IPython."""
    late = "import json, socket, struct, numpy, ml_dtypes, multiprocessing.connection, subprocess\n"
    late += "import onnxruntime, furiosa_ir.runtime.isolation, ai_edge_litert.interpreter, tflite\n"
    if not (folder / "link").exists():
        (folder / "link").symlink_to(folder)
    entry = here.format(folder=folder)
    run(folder, "-P", early=f"{late}import sys; sys.path.insert(0, {entry!r})")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONPATH": "{folder}"},
        {"PYTHONPATH": f"{os.pathsep}/nowhere{os.pathsep}"},
        {"PYTHONSTARTUP": "{folder}/json.py", "PYTHONINSPECT": "1"},
        {"PYTHONHOME": "{folder}"},
        {"PYTHONUSERBASE": "{folder}", "PYTHONWARNINGS": "error::json.Evil"},
        {"PYTHONPLATLIBDIR": "../..{folder}", "PYTHONBREAKPOINT": "json.evil"},
    ],
)
def test_nor_through_variables_that_the_parent_ignores(
    folder: Path, variables: dict[str, str]
) -> None:
    run(folder, "-I", **{k: v.format(folder=folder) for k, v in variables.items()})


@pytest.mark.parametrize("form", ["plain", "zipped"])
def test_the_child_finds_the_package_where_the_parent_has_it(tmp_path: Path, form: str) -> None:
    """Even in the current directory, beside what is not to run."""
    here = tmp_path / "here"
    here.mkdir()
    if form == "plain":
        (here / "furiosa_ir").symlink_to(ROOT / "furiosa_ir")
        place = here
    else:
        place = here / "lib.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for name in ("__init__.py", "errors.py", "python_process.py"):
                archive.write(ROOT / "furiosa_ir" / name, f"furiosa_ir/{name}")
    (here / "json.py").write_text("raise SystemExit('planted')")
    code = (
        "import sys, json, subprocess\n"  # the real one
        f"sys.path.insert(0, {str(place)!r})\n"
        "import furiosa_ir\n"
        "assert furiosa_ir.__file__.startswith(sys.path[0])\n"
        "import furiosa_ir.python_process as m\n"
        "c = m.python_command('import furiosa_ir.errors as e, json; print(e.__file__)')\n"
        "print(subprocess.check_output(c, text=True), end='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=here, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(place / "furiosa_ir" / "errors.py")


def test_the_child_has_the_libraries_of_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install --target`, `PYTHONPATH`, `sys.path.insert`."""
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "some_library.py").write_text("VALUE = 'é'")
    monkeypatch.syspath_prepend(tmp_path / "libraries")
    command = python_command("import some_library; print(ascii(some_library.VALUE))")
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "'\\xe9'\n"


def test_without_a_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setattr(sys, "path", ["", str(gone), *sys.path, "relative"])
    gone.rmdir()
    path = trusted_path()
    assert "" not in path
    assert "relative" not in path
    assert subprocess.check_output(python_command("print(1)")) == b"1\n"
