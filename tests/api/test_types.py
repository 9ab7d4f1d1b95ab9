"""What type checkers of others see: `pyright` (strict) on a script that uses every public name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import furiosa_ir as fi
from furiosa_ir.dialects.ftensor import FTensor
from furiosa_ir.dialects.graph import Graph

RULE = '''
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue


@fi.rule
def lookup_of_few(
    op: fi.ftensor.LookupOp, x: fi.ftensor.ClampOp, rw: fi.Rewrite
) -> SSAValue | None:
    """Uses what a rule uses."""
    table = fi.constant_of(op.table)
    if table is None or table.nbytes < rw.options.least or not fi.has_one_reader(x.result):
        return None
    held = rw.emit(fi.ftensor.ConstantOp, [], [i32], value=np.array(0, np.int32))
    return rw.emit(fi.ftensor.AddOp, [x.x, held], [fi.element_of(op.result)])


@dataclass(frozen=True)
class Few(fi.RewritePass):
    """A pass with an option."""

    name = "few"
    rules = (lookup_of_few,)
    least: int = 1


network = fi.load("net.tflite")
program = fi.compile(network, passes=fi.default_pipeline().insert_after("schedule", Few(least=2)))
outputs = fi.simulate(program, np.zeros((1, 2), np.float32))
print(outputs["y"].shape, fi.report(program).layers[0]["cycles"], fi.report(program).summary)
print(fi.explore(network)["fuse-kernels"].difference, fi.run(network, outputs["y"])["y"].dtype)
'''


@pytest.mark.slow
def test_a_strangers_script_is_typed(tmp_path: Path) -> None:
    """Outside of the project: what the package does not export, pyright says there alone."""
    operations = [
        f"fi.{dialect.name}.{op.__name__}.name"
        for dialect in (Graph, FTensor)
        for op in dialect.operations
    ]
    used = [*(f"fi.{name}" for name in fi.__all__), *operations, "fi.quant.UniformType.name"]
    lines = ["import furiosa_ir as fi", *(f"print({name})" for name in used)]
    (tmp_path / "all_names.py").write_text("\n".join(lines) + "\n")
    (tmp_path / "rule.py").write_text(f"import furiosa_ir as fi\n{RULE}")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    done = subprocess.run(
        [Path(sys.executable).with_name("pyright"), "--pythonpath", sys.executable, "--outputjson"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 2
    assert [d["message"] for d in found["generalDiagnostics"]] == []
