"""A backend with a dialect, a pass and a level of its own: the toy, and a mark in front."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as furiosa_opt
from tests.backends.conftest import ROOT, TOY

NETWORK = str(ROOT / "examples" / "digits" / "digits_int8.tflite")

EDITS = {
    "__init__.py": {
        '"toy", "TOY"': '"program", "TOY"',
        '("graph", "ftensor")': '("graph", "ftensor", "toy")',
        'default_target="toy",': """default_target="toy",
            dialects={"toy": f"{__name__}.dialect:Toy"},
            pass_packages=(f"{__name__}.passes",),
            stages=("toy-mark",),
            missing=lazily(f"{__name__}.passes.mark:missing"),""",
    },
    "pipeline.py": {
        "FTENSOR, verify_integers)": 'FTENSOR, verify_integers), Phase("toy", "", ("toy-mark",))'
    },
    "assembly.py": {
        "ConstantOp | ReturnOp": "ConstantOp | ReturnOp | MarkOp",
        "from toy_backend.machine": "from toy_backend.dialect import MarkOp\n"
        "from toy_backend.machine",
    },
}
DIALECT = """
from xdsl.ir import Dialect
from xdsl.irdl import IRDLOperation, irdl_op_definition, traits_def
from xdsl.traits import Pure


@irdl_op_definition
class MarkOp(IRDLOperation):
    name = "toy.mark"
    traits = traits_def(Pure())
    assembly_format = "attr-dict"


Toy = Dialect("toy", [MarkOp], [])
"""
PASS = """
from dataclasses import dataclass

from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.segments import is_npu
from toy_backend.dialect import MarkOp


@dataclass(frozen=True)
class Mark(Pass):
    "Marks device segments."

    name = "toy-mark"

    def apply(self, ctx, op):
        for function in op.ops:
            if is_npu(function):
                block = function.body.block
                block.insert_op_before(MarkOp(), block.first_op)


def missing(function):
    is_marked = any(isinstance(op, MarkOp) for op in function.body.block.ops)
    return None if is_marked else ("toy-mark", "no mark is there", None)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    folder = tmp_path / "toy_backend"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, edits in EDITS.items():
        text = (folder / name).read_text()
        for old, new in edits.items():
            assert old in text
            text = text.replace(old, new)
        (folder / name).write_text(text)
    (folder / "passes").mkdir()
    (folder / "passes" / "__init__.py").touch()
    (folder / "passes" / "mark.py").write_text(PASS)
    (folder / "dialect.py").write_text(DIALECT)
    return str(folder)


@pytest.mark.usefixtures("own_register")
def test_it_is_compiled_verified_printed_and_resumed(tmp_path: Path, plugin: str) -> None:
    def run(command: click.Command, *arguments: str) -> str:
        given = [*arguments, "--load", plugin]
        done = CliRunner().invoke(command, given, env={"FC_CACHE_ENABLED": "0"})
        assert done.exit_code == 0, done.output
        return done.output

    text, program = str(tmp_path / "x.mlir"), str(tmp_path / "x.toy")
    said = run(main, "compile", NETWORK, "--target-npu", "toy", "--verify", "-o", program)
    assert "from ftensor to toy" in said
    assert "from toy to program" in said
    assert "14 of 14 values" in said
    run(main, "compile", NETWORK, "--target-npu", "toy", "--target-ir", "toy", "-o", text)
    assert Path(text).read_text().count("toy.mark") == 4
    assert "[1/1]" in run(main, "compile", text, "-o", str(tmp_path / "y.toy"))
    run(main, "compile", NETWORK, "--target-npu", "toy", "--target-ir", "ftensor", "-o", text)
    assert run(furiosa_opt, text, "-p", "toy-mark").count("toy.mark") >= 4
    assert "Marks device segments." in run(furiosa_opt, "--list-passes")
