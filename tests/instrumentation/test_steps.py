"""What passes do without rules is heard of: whatever stands in the IR that did not before."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Operation

from furiosa_ir.backends.warboy.dialect.commands import EndOp
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp as NumbersOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.driver import compile_source
from furiosa_ir.instrumentation.rewrite_log import text
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass, parse_passes
from furiosa_ir.ir.pipeline import Instrumentation, Phase, Pipeline, run_pipeline
from furiosa_ir.ir.rewrite_watch import Application, step, watched_rewrites
from furiosa_ir.ir.text import parse_module
from tests.conftest import DIGITS, ROOT

_FRAME = (FuncOp, CallOp, ReturnOp, EndOp, ConstantOp, NumbersOp)
"""What holds a network's operations, and data."""


FILES = [
    path
    for folder in ("passes", "backends/warboy")
    for path in sorted((ROOT / "tests" / "filecheck" / folder).rglob("*.mlir"))
    if "--split-input-file" not in path.read_text()
]
STEPS = {
    *("place", "forward_variable", "narrow_variable", "retype_call"),
    *("reduce_in_steps", "broadcast_operands", "merge_pad", "transpose_weight", "outline"),
    *("pad_by_concat", "copy_operand", "copy_in_dram", "fill_part", "copy_result"),
    "issue",
}


@dataclass
class Heard(Instrumentation):
    """Everything that passes say they have made, and what else there is."""

    unheard: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    _before: set[Operation] = field(default_factory=set)
    _made: set[Operation] = field(default_factory=set)

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        self._before, self._made = set(module.walk()), set()

    @override
    def after_rule(self, rule: str, application: Application | None) -> None:
        if application is not None:
            self.steps.append(rule)
            self.lines.append(text(application))
            self._made.update(application.made)

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        for op in module.walk():
            is_heard = {op, op.parent_op()} & self._made  # or in a kernel that is
            if op not in self._before and not is_heard and not isinstance(op, _FRAME):
                self.unheard.append(f"{what.name}: {op.name}")


@pytest.fixture(scope="module")
def heard() -> Heard:
    """What is heard of the networks that document the passes."""
    heard = Heard()
    for path in FILES:
        pipeline = re.search(r"RUN: furiosa-opt %s -p (\"[^\"]+\"|\S+)", path.read_text())
        assert pipeline is not None
        phase = Phase("x", "x", tuple(parse_passes(pipeline[1].strip('"'))))
        module = parse_module(path.read_text())
        run_pipeline(make_context(), module, Pipeline("x", (phase,)), instrumentation=[heard])
    compile_source(DIGITS / "digits_qdq_int8.onnx", instrumentation=[heard])
    return heard


def test_whatever_is_new_is_heard_of(heard: Heard):
    assert not heard.unheard


def test_every_step_is_heard_of(heard: Heard):
    assert set(heard.steps) >= STEPS


def test_where_a_layer_is_placed_and_what_is_issued_for_it(heard: Heard):
    placed = [line for line in heard.lines if line.startswith("graph-partition: place: ")]
    assert any(re.search(r" in @main\n  -> .* in @npu_\d+$", line) for line in placed)
    assert any(re.search(r" in @main\n  -> .* in @host_\d+$", line) for line in placed)
    issued = [line for line in heard.lines if line.startswith("schedule: issue: warboy.dot")]
    assert any("warboy.load : !warboy.token, " in i and "warboy.execute_dot" in i for i in issued)


def test_a_step_that_does_nothing_has_not_happened():
    heard = Heard()
    (op,) = ModuleOp([ModuleOp([])]).ops
    with watched_rewrites("p", [heard]), step("nothing", op):
        pass
    assert not heard.steps
