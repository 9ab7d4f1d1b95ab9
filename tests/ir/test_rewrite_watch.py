"""Who watches rewrites: what they hear, and that they may forbid a rule."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from furiosa_ir.compiler import compile_source
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.importers import load
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass, parse_passes
from furiosa_ir.ir.pipeline import Instrumentation, Pipeline, run_pass, run_pipeline
from furiosa_ir.ir.rewrite_watch import Application, rewrite_watch
from furiosa_ir.ir.text import parse_module
from furiosa_ir.ir.verifier import verify_module
from furiosa_ir.lowering.operation import lower_operation
from tests.conftest import DIGITS

T = "tensor<4x!quant.uniform<i8:f32, 0.5>>"
TEXT = f"""
builtin.module attributes {{graph.source = "onnx"}} {{
  func.func @main(%x: {T}) -> {T} {{
    %0 = graph.transpose %x {{perm = array<i64: 0>}} : {T} loc("first")
    %1 = graph.transpose %0 {{perm = array<i64: 0>}} : {T} loc("second")
    func.return %1 : {T}
  }}
}}
"""


@dataclass
class Ear(Instrumentation):
    """Hears everything."""

    forbids: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    fired: list[Application] = field(default_factory=list)
    open: int = 0

    def may_apply(self, rule: str, root: Operation) -> bool:
        return not self.forbids

    def before_rule(self, rule: str, root: Operation) -> None:
        self.open += 1
        self.asked.append((rule, root.name))

    def after_rule(self, rule: str, application: Application | None) -> None:
        self.open -= 1
        assert self.open == 0
        if application is not None:
            assert application.rule == rule
            self.fired.append(application)


def test_what_fired_is_described_as_it_was():
    ear, module = Ear(), parse_module(TEXT)
    pipeline = Pipeline.of_text("graph-compose-movement")
    run_pipeline(make_context(), module, pipeline, instrumentation=[ear])
    (first, *_) = ear.fired
    assert first.pass_name == "graph-compose-movement"
    assert (first.root, first.layers, first.function) == ("graph.transpose", ("first",), "main")
    assert first.made == ()
    assert first.values == (module.body.block.first_op.body.block.args[0],)
    assert len(ear.asked) >= len(ear.fired) == 2


def test_a_rule_that_is_forbidden_does_not_fire():
    ear, module = Ear(forbids=True), parse_module(TEXT)
    pipeline = Pipeline.of_text("graph-compose-movement")
    run_pipeline(make_context(), module, pipeline, instrumentation=[ear])
    assert not ear.asked
    assert not ear.fired
    assert sum(op.name == "graph.transpose" for op in module.walk()) == 2


def test_the_module_is_sound_whenever_a_rule_has_fired():
    """What checks values after each rule, and bisects, relies on it."""

    @dataclass
    class Checks(Instrumentation):
        count: int = 0
        module: Operation | None = None

        def before_rule(self, rule: str, root: Operation) -> None:
            self.module = root
            while self.module.parent_op() is not None:
                self.module = self.module.parent_op()

        def after_rule(self, rule: str, application: Application | None) -> None:
            if application is not None and application.pass_name != "lower-to-ftensor":
                verify_module(self.module)
                self.count += 1

    checks = Checks()
    compile_source(DIGITS / "digits_qdq_int8.onnx", instrumentation=[checks])
    assert checks.count > 10


def test_lowerings_and_kernels_are_heard_of():
    ear = Ear()
    result = compile_source(
        DIGITS / "digits_int8.tflite", target_ir="warboy", instrumentation=[ear]
    )
    by_pass = {a.pass_name: a for a in ear.fired if a.root != "func.call"}
    assert by_pass["lower-to-ftensor"].root == "graph.softmax"
    assert {op.name for op in by_pass["lower-to-ftensor"].made} >= {"ftensor.lookup"}
    assert by_pass["fuse-kernels"].made[0].name.startswith("warboy.")
    assert result.module is not None


def test_what_is_lowered_to_ask_what_it_means_is_not_heard_of():
    """Machines ask so what they can do, and the interpreter what a quantised operator computes."""

    class Asks(Pass):
        """Lowers a copy of each operation, as backends do to see whether they take it."""

        name = "test-watch-asks"

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            for each in op.walk():
                if isinstance(each, ConvOp):
                    assert lower_operation(each, "litert") is not None

    ear, module = Ear(), load(DIGITS / "digits_int8.tflite")
    run_pass(make_context(), module, Asks(), [ear])
    assert not ear.asked
    run_pass(make_context(), module, parse_passes("graph-partition,lower-to-ftensor")[0], [ear])
    assert {a.rule for a in ear.fired} == {"place"}
    run_pass(make_context(), module, parse_passes("lower-to-ftensor")[0], [ear])
    assert "conv" in {a.rule for a in ear.fired}


def test_nobody_is_called_who_did_not_ask():
    seen: list[object] = []

    class Idle(Instrumentation):
        def before_pass(self, what, module) -> None:
            pass

    from furiosa_ir.ir.rewriting import RewriteDriver

    def run(self, scope):
        seen.append(rewrite_watch())
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RewriteDriver, "run", run)
        pipeline = Pipeline.of_text("graph-compose-movement")
        run_pipeline(make_context(), parse_module(TEXT), pipeline, instrumentation=[Idle()])
    assert seen == [None]
