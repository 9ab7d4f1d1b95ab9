"""Hostile nodes of every operator, in a process of their own: native code may not crash either."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz.campaign import ROOT

_PROGRAM = """
import faulthandler, random, sys, warnings
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers.onnx import import_onnx
from tests.fuzz.onnx_nodes import draw_model, schemas

warnings.simplefilter("ignore")
faulthandler.enable()
accepted = refused = 0
for index, schema in enumerate(schemas()):
    for seed in range({first}, {last}):
        print(schema.domain, schema.name, schema.since_version, seed, file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(30, exit=True)
        try:
            drawn = random.Random(f"{{index}} {{seed}}")
            import_onnx(draw_model(schema, drawn, folded={folded}))
            accepted += 1
        except FuriosaError as error:
            assert str(error).isprintable(), str(error)
            refused += 1
print(accepted, refused)
"""


@pytest.mark.parametrize(
    ("first", "folded"),
    [
        (0, False),
        *(pytest.param(seed, False, marks=pytest.mark.slow) for seed in (2, 4)),
        (0, True),
    ],
)
def test_no_operator_crashes_the_importer(first: int, folded: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(first=first, last=first + 2, folded=folded)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    accepted, refused = map(int, done.stdout.split())
    assert min(accepted, refused) > 100
