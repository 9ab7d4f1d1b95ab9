"""Files that cannot be read or written, whatever argument names them: one sentence, exit code 1."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt
from tests.conftest import DIGITS
from tests.draws import mostly_slow
from tests.quantization.networks import convolutions

INPUTS = (
    "furiosa compile THIS -o out.enf",
    "furiosa compile n.tflite -o out.enf --verify --verify-inputs THIS",
    "furiosa compile n.tflite -o out.enf --load THIS",
    "furiosa run THIS --inputs x.npy",
    "furiosa run n.tflite --inputs THIS",
    "furiosa run n.tflite --inputs x.npy --load THIS",
    "furiosa inspect THIS",
    "furiosa inspect THIS --json",
    "furiosa quantize THIS --calibration x.npy -o out.onnx",
    "furiosa quantize float.onnx --calibration THIS -o out.onnx",
    "furiosa-opt THIS",
    "furiosa-opt n.tflite --load THIS",
    "furiosa-opt n.mlir --constants THIS",
    "furiosa-opt beside.mlir",  # beside.safetensors is one
    "furiosa compile beside.mlir -o out.enf",
    "furiosa run beside.mlir --inputs x.npy",
)
OUTPUTS = (
    "furiosa compile n.tflite -o THIS",
    "furiosa compile n.tflite --target-ir graph -o THIS",
    "furiosa run n.tflite --inputs x.npy --outputs THIS",
    "furiosa quantize float.onnx --calibration data -o THIS",
    "furiosa quantize float.onnx --calibration data -o out.onnx --report THIS",
    "furiosa-opt n.tflite -o THIS",
)
START = """
import sys, importlib
sys.argv[0] = "furiosa"
name, *sys.argv[1:] = sys.argv[1:]
importlib.import_module(f"furiosa_ir.tools.{name}").main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arguments")
    shutil.copy(DIGITS / "digits_int8.tflite", folder / "n.tflite")
    np.save(folder / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    (folder / "data").mkdir()
    np.save(folder / "data" / "x.npy", np.ones((2, 3, 12, 12), np.float32))
    onnx.save(convolutions(), folder / "float.onnx")
    for name in ("n", "beside"):
        words = [str(folder / "n.tflite"), "-o", str(folder / f"{name}.mlir")]
        assert CliRunner().invoke(opt, words).exit_code == 0
    return folder


def refused(line: str, this: str, folder: Path, prefix: list[str]) -> str:
    """The sentence of a command in a process of its own, which neither hangs nor writes."""
    name, *words = line.replace("THIS", this).split()
    before = {p: p.lstat().st_mtime_ns for p in folder.iterdir()}
    done = subprocess.run(
        [
            *prefix,
            sys.executable,
            "-P",
            "-c",
            START,
            {"furiosa-opt": "opt"}.get(name, name),
            *words,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 1, f"{line}: {done.stderr}"
    assert done.stdout == ""
    assert "internal error" not in done.stderr
    (sentence,) = [s for s in done.stderr.splitlines() if s.startswith("ERROR: ")]
    assert done.stderr.endswith(f"{sentence}\n")
    assert {p: p.lstat().st_mtime_ns for p in folder.iterdir()} == before
    return sentence


@pytest.mark.parametrize("line", INPUTS)
def test_a_pipe_without_a_writer_keeps_nobody_waiting(folder: Path, line: str) -> None:
    constants = folder / "beside.safetensors"
    content = constants.read_bytes()
    os.mkfifo(folder / "pipe")
    if "THIS" not in line:
        constants.unlink()
        os.mkfifo(constants)
    try:
        sentence = refused(line, "pipe", folder, [])
        assert "pipe" in sentence or "beside.safetensors" in sentence
    finally:
        (folder / "pipe").unlink()
        constants.unlink()
        constants.write_bytes(content)


UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Root without the right to read what nobody may."""
needs_setpriv = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="setpriv is needed as root"
)


@needs_setpriv
@pytest.mark.parametrize("line", [s for s in INPUTS if "THIS" in s])
def test_what_may_not_be_read(folder: Path, line: str) -> None:
    kind = random.choice(("file", "folder", "in a folder"))
    locked, this = folder / "locked", "locked"
    if kind == "file":
        shutil.copy(folder / "n.tflite", locked)
        locked.chmod(0)
    else:
        locked.mkdir()
        locked.chmod(0)
        this = "locked/n.tflite" if kind == "in a folder" else this
    try:
        sentence = refused(line, this, folder, UNPRIVILEGED if os.geteuid() == 0 else [])
        assert "locked" in sentence
    finally:
        locked.chmod(0o700)
        shutil.rmtree(locked) if locked.is_dir() else locked.unlink()


@needs_setpriv
@pytest.mark.parametrize("line", OUTPUTS)
def test_what_may_not_be_written(folder: Path, line: str) -> None:
    kind = random.choice(("file", "folder"))
    locked = folder / "locked"
    if kind == "file":
        locked.touch(0)
    else:
        locked.mkdir(0)
    this = "locked" if kind == "file" else "locked/x"
    try:
        sentence = refused(line, this, folder, UNPRIVILEGED if os.geteuid() == 0 else [])
        assert sentence.startswith(f"ERROR: {this}: cannot be written: permission denied")
    finally:
        locked.chmod(0o700)
        locked.rmdir() if locked.is_dir() else locked.unlink()


@pytest.mark.parametrize("line", OUTPUTS)
@pytest.mark.parametrize(
    ("this", "reason"),
    [
        ("new/", "there is no directory new/"),
        ("new/.", "there is no directory new/."),
        ("data/", "it is a directory"),
        ("data", "it is a directory"),
        (".", "it is a directory"),
        ("..", "it is a directory"),
        ("new/x", "there is no directory new"),
        ("n.tflite/x", "there is no directory n.tflite"),
        ("x" * 256, "file name too long"),
        ("한" * 86, "file name too long"),
    ],
)
def test_names_of_directories(
    folder: Path, line: str, this: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    name, *words = line.split()
    words = [this if word == "THIS" else word for word in words]
    before = sorted(folder.iterdir())
    result = CliRunner().invoke(opt if name == "furiosa-opt" else main, words)
    assert result.exit_code == 1, result.stderr
    (sentence,) = result.stderr.splitlines()
    assert f"cannot be written: {reason}" in sentence
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("letter", mostly_slow(["a", "é", "한", "🙂"], "a", "🙂"))
@pytest.mark.parametrize("line", OUTPUTS)
def test_the_longest_names(
    folder: Path, line: str, letter: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder)
    room = 255 - (len(".safetensors") if "graph" in line or "opt" in line else 0)
    this = tmp_path / (letter * (room // len(letter.encode())))
    name, *words = line.replace("-o out.onnx", f"-o {tmp_path}/q").split()
    words = [str(this) if word == "THIS" else word for word in words]
    result = CliRunner().invoke(opt if name == "furiosa-opt" else main, words)
    assert result.exit_code == 0, result.output
    assert this.is_file()


def test_json_and_disassembly(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.enf"
    assert CliRunner().invoke(main, ["compile", str(folder / "n.tflite"), "-o", str(path)])
    plain, text, both = (
        CliRunner().invoke(main, ["inspect", str(path), *options]).stdout
        for options in (["--json"], ["--disassemble"], ["--json", "--disassemble"])
    )
    found = json.loads(both)
    assert found.pop("disassembly") == text.splitlines()
    assert found == json.loads(plain)


@pytest.mark.parametrize("group", [main, opt])
def test_standard_output_by_a_dash(folder: Path, group: object, tmp_path: Path) -> None:
    path, here = tmp_path / "x", tmp_path / "-"
    words = [str(folder / "n.tflite")]
    if group is main:
        commands = (["compile", *words], ["compile", *words, "--target-ir", "graph"])
    else:
        commands = (["--no-print-debuginfo", *words], ["--to", "ftensor", *words])
    for command in commands:
        written = CliRunner().invoke(group, [*command, "-o", "-"])
        assert written.exit_code == 0, written.stderr
        options = ["--no-print-debuginfo"] if group is opt else []
        CliRunner().invoke(group, [*command, *options, "-o", str(path)])
        assert written.stdout_bytes == path.read_bytes()
    assert not here.exists()
