"""What `func.func(...)` may hold does to a function what it does to the whole module."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.importers import load
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass, RewritePass
from furiosa_ir.ir.pipeline import run_pass
from furiosa_ir.ir.rewriting import RewriteDriver
from furiosa_ir.ir.text import print_module
from tests.conftest import DIGITS

PASSES = [what for phase in PIPELINE.phases for what in phase.resolve()]
FUNCTION_PASSES = [what for what in PASSES if what.is_function_pass]


@pytest.mark.parametrize("what", FUNCTION_PASSES, ids=lambda what: what.name)
@pytest.mark.parametrize("source", sorted(DIGITS.glob("digits*int8.*")), ids=lambda p: p.name)
def test_functions_one_by_one(what: Pass, source: Path):
    assert isinstance(what, RewritePass)
    whole = load(source)
    for before in PASSES[: PASSES.index(what)]:
        run_pass(make_context(), whole, before, verify=False)
    apart = whole.clone()
    what.apply(make_context(), whole)
    for function in reversed(list(apart.ops)):
        if isinstance(function, FuncOp):
            RewriteDriver(what.rules_for(apart), what).run(function)
    assert print_module(apart) == print_module(whole)


def test_passes_of_the_module_are_none_of_a_function():
    others = {what.name for what in PASSES} - {what.name for what in FUNCTION_PASSES}
    assert others == {
        "graph-partition",
        "lower-to-ftensor",
        "fuse-kernels",
        "assign-views",
        "copy-parts",
        "split-batch",
        "split-columns",
        "pair-kernels",
        "plan-tiles",
        "allocate",
        "schedule",
    }
