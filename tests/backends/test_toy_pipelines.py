"""Pipelines of a plug-in's backend: its phases, edits of them, and what fails in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from furiosa_ir.reproducer.container import read_reproducer
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as opt_main
from tests.conftest import DIGITS

ONNX = DIGITS / "digits_qdq_int8.onnx"
TOY = Path(__file__).parents[2] / "examples" / "toy_backend"

pytestmark = pytest.mark.usefixtures("own_register")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def call(command: Any, *arguments: object) -> str:
    result = run(command, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def bad(command: Any, *arguments: object) -> str:
    result = run(command, *arguments)
    assert result.exit_code == 1, result.output
    return result.stderr


def test_phases_of_another_backend():
    toy, options = TOY, ("--load", TOY, "--target-npu", "toy")
    assert "'warboy' is a phase for Warboy, not for the toy (there are: graph, ftensor)" in bad(
        opt_main, ONNX, *options, "-p", "graph,warboy"
    )
    text = call(opt_main, "--dump-pipeline", *options, "--skip", "graph-fold-constants")
    assert "  graph(assign-target{npu=" in text
    assert call(opt_main, ONNX, "--load", toy, "-p", text) == call(
        opt_main, ONNX, *options, "--skip", "graph-fold-constants"
    )
    # The target that a pipeline begins with says whose phases it means.
    mine = call(opt_main, ONNX, "--load", toy, "-p", "assign-target{npu=toy},graph,ftensor")
    assert mine == call(opt_main, ONNX, *options, "--to", "ftensor")
    edited_text = ("-p", "assign-target{npu=toy},graph,ftensor", "--skip", "graph-fold-constants")
    assert call(opt_main, ONNX, "--load", toy, *edited_text) == call(
        opt_main, ONNX, *options, "--skip", "graph-fold-constants"
    )
    beyond = ("-p", "assign-target{npu=toy},graph", "--target-ir", "warboy", "-o", "x.mlir")
    assert "compiles for the toy do not come to the level 'warboy' (choose one of graph" in bad(
        main, "compile", ONNX, "--load", toy, *beyond
    )
    assert "is of the phase 'ftensor', and what runs is the phase 'graph'" in bad(
        opt_main,
        ONNX,
        "--load",
        toy,
        "-p",
        "assign-target{npu=toy},graph",
        "--skip",
        "lower-to-ftensor",
    )


def test_what_fails_in_it(tmp_path: Path):
    load, options = ("--load", TOY), ("--target-npu", "toy", "--skip", "lower-to-ftensor")
    network = DIGITS / "digits_int8.tflite"
    bad(main, "compile", network, *load, *options, "--crash-reproducer", "c.zip")
    (tmp_path / "into").mkdir()
    made = read_reproducer(Path("c.zip"), tmp_path / "into")
    assert made.begins == "before the phase 'ftensor'"
    assert made.pipeline == "ftensor()"
    assert made.is_tried
    (plugin,) = (p for p in made.plugins if p.name.startswith("toy_backend/"))
    assert plugin.main == "toy_backend/__init__.py"
    assert "toy_backend/pipeline.py" in plugin.files
    result = bad(opt_main, "--run-reproducer", "c.zip", *load)
    assert "It fails in the same way:" in result
    assert "toy_backend" not in result  # nothing of it has changed
