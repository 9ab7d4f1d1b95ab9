"""No command replaces what it reads, or one of its outputs by another; links are seen through."""

from __future__ import annotations

import os
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.text import read_module
from furiosa_ir.quantization import quantize
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt
from tests.conftest import DIGITS
from tests.quantization.networks import convolutions

TFLITE = DIGITS / "digits_int8.tflite"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of everything that a command may read."""
    monkeypatch.chdir(tmp_path)
    Path("n.tflite").write_bytes(TFLITE.read_bytes())
    onnx.save(convolutions(), "n.onnx")
    onnx.save(convolutions(), "outside.onnx", save_as_external_data=True, location="weights.bin")
    Path("data").mkdir()
    np.save("data/x.npy", np.ones((2, 3, 12, 12), np.float32))
    np.save("x.npy", np.zeros((1, 8, 8, 1), np.int8))
    Path("plugin.py").write_text("")
    result = CliRunner().invoke(opt, ["n.tflite", "-o", "n.mlir"])
    assert result.exit_code == 0, result.stderr
    assert Path("n.safetensors").is_file()
    Path("soft").symlink_to("n.tflite")
    os.link("n.tflite", "hard")
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


COMPILE, OPT = (main, "compile"), (opt,)
QUANTIZE = (main, "quantize", "--calibration", "data")
RUN = (main, "run", "n.tflite", "--inputs", "x.npy", "--outputs")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (COMPILE, "n.tflite -o n.tflite"),
        (COMPILE, "n.tflite -o ./data/../n.tflite"),
        (COMPILE, "n.tflite -o soft"),
        (COMPILE, "n.tflite -o hard"),
        (COMPILE, "soft -o n.tflite"),
        (COMPILE, "n.mlir -o n.mlir --target-ir ftensor"),
        (COMPILE, "n.mlir -o n.safetensors"),
        (COMPILE, "n.tflite -o plugin.py --load plugin.py"),
        (QUANTIZE, "n.onnx -o plugin.py --load plugin.py"),
        (RUN, "plugin.py --load plugin"),
        (COMPILE, "outside.onnx -o weights.bin"),
        (QUANTIZE, "n.onnx -o n.onnx"),
        (QUANTIZE, "n.onnx -o data/x.npy"),
        (QUANTIZE, "n.onnx -o q.onnx --report n.onnx"),
        (QUANTIZE, "n.onnx -o q.onnx --report q.onnx"),
        (QUANTIZE, "n.onnx -o q.onnx --report data/../q.onnx"),
        (QUANTIZE, "outside.onnx -o weights.bin"),
        (RUN, "n.tflite"),
        (RUN, "x.npy"),
        (OPT, "n.tflite -o n.tflite"),
        (OPT, "n.mlir -o n.safetensors"),
        (OPT, "n.tflite --load plugin.py -o plugin.py"),
        (OPT, "n.mlir --constants x.npy -o x.npy"),
        (OPT, "- --constants n.safetensors -o n.mlir"),
    ],
)
def test_nothing_is_lost(
    folder: Path, command: tuple[click.Command, *tuple[str, ...]], arguments: str
):
    before = contents(folder)
    group, *words = command
    stdin = (folder / "n.mlir").read_text()
    result = CliRunner().invoke(group, [*words, *arguments.split()], input=stdin)
    assert result.exit_code == 1, result.output
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith("ERROR: ")
    assert "replace an input" in sentence or "it is the name of two outputs" in sentence
    assert contents(folder) == before


def test_the_library_does_not_replace_either(folder: Path):
    for output in ("n.onnx", "data/x.npy"):
        with pytest.raises(FuriosaError, match="the output would replace an input"):
            quantize("n.onnx", "data", output)


def test_furiosa_opt_rewrites_ir_in_place(folder: Path):
    """As mlir-opt does: the text and its constants belong together before and after."""
    for options in (["-p", "graph-fold-quantization,graph-partition"], ["--to", "ftensor"]):
        result = CliRunner().invoke(opt, ["n.mlir", *options, "-o", "n.mlir"])
        assert result.exit_code == 0, result.stderr
        read_module("n.mlir").verify()
    assert "ftensor.conv" in Path("n.mlir").read_text()
    assert not list(folder.glob(".*"))


def test_a_failure_in_place_leaves_text_and_constants(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from furiosa_ir.ir import text

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    before = contents(folder)
    monkeypatch.setattr(text, "write_constants", full)
    command = ["n.mlir", "--to", "ftensor", "-o", "n.mlir"]
    result = CliRunner().invoke(opt, command)
    assert "n.safetensors: cannot be written: No space left on device" in result.stderr
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(Path, "replace", full)
    assert CliRunner().invoke(opt, command).exit_code == 1
    assert contents(folder) == before


def test_devices_and_pipes_are_refused_in_one_sentence(folder: Path):
    os.mkfifo("pipe")
    for group, *words in (
        (main, "compile", "n.tflite", "-o", "pipe"),
        (main, "compile", "n.tflite", "--target-ir", "graph", "-o", "pipe"),
        (*QUANTIZE, "n.onnx", "-o", "pipe"),
        (*QUANTIZE, "n.onnx", "-o", "q.onnx", "--report", "pipe"),
        (*RUN, "pipe"),
        (opt, "n.mlir", "-o", "pipe"),
    ):
        result = CliRunner().invoke(group, words)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert "pipe: cannot be written: it is a device, a pipe or a socket" in result.stderr
        assert Path("pipe").is_fifo()
    os.mkfifo("p.safetensors")
    result = CliRunner().invoke(opt, ["n.mlir", "-o", "p.mlir"])
    assert "p.safetensors: cannot be written: it is a device" in result.stderr
    assert not Path("p.mlir").exists()
