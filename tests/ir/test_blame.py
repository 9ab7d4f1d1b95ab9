"""IR that does not verify names the pass and the rule that made it, and its layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.elementwise import ReluOp, SigmoidOp, TanhOp
from furiosa_ir.dialects.graph.functions import AbsOp, NegOp
from furiosa_ir.dialects.graph.movement import TransposeOp
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass, RewritePass
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.text import parse_module
from furiosa_ir.ir.verifier import OperationFailure

T = "tensor<4xf32>"


@rule(ReluOp)
def builds_what_does_not_verify(op: ReluOp, rw: Rewrite) -> SSAValue:
    """A transpose of a wrong permutation, beside its shape rule."""
    bad = TransposeOp.build(
        operands=[op.x],
        properties={"perm": as_attribute([3])},
        result_types=[TensorType(f32, [4])],
    )
    return rw.insert(bad).result


@rule(AbsOp)
def asks_for_what_has_no_shape(op: AbsOp, rw: Rewrite) -> SSAValue:
    """The shape rule refuses it while the rule runs."""
    return rw.emit(TransposeOp, [op.x], [f32], perm=[3])


@rule(TanhOp)
def innocent(op: TanhOp, rw: Rewrite) -> SSAValue:
    """Something that verifies."""
    return rw.emit(NegOp, [op.x], [f32])


@dataclass(frozen=True)
class Blamed(RewritePass):
    """Test."""

    name = "test-blamed"
    rules = (innocent, builds_what_does_not_verify, asks_for_what_has_no_shape)


@dataclass(frozen=True)
class ByHand(Pass):
    """Test."""

    name = "test-by-hand"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for each in op.walk():
            if isinstance(each, SigmoidOp):
                each.result._type = TensorType(f32, [9])  # pyright: ignore[reportPrivateUsage]


def module(*operators: str) -> ModuleOp:
    lines = "".join(
        f'%{i} = "graph.{name}"(%x) : ({T}) -> {T} loc("layer {i}")\n'
        for i, name in enumerate(operators)
    )
    results = ", ".join(f"%{i}" for i in range(len(operators)))
    types = ", ".join([T] * len(operators))
    return parse_module(
        f"func.func @main(%x: {T}) -> ({types}) {{\n{lines}func.return {results} : {types}\n}}"
    )


@pytest.fixture
def _of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passes above are no plug-in's, each of which is verified whatever was asked for."""
    for each in (Blamed, ByHand):
        monkeypatch.setattr(each, "__module__", "furiosa_ir.passes.test_blame")


def failure(passes: Sequence[str], *operators: str, verify_each: bool) -> VerificationFailure:
    pipeline = Pipeline("p", (Phase("phase", "", tuple(passes)),))
    with pytest.raises(VerificationFailure) as caught:
        run_pipeline(make_context(), module(*operators), pipeline, verify_each=verify_each)
    return caught.value


@pytest.mark.usefixtures("_of_the_compiler")
@pytest.mark.parametrize("verify_each", [False, True])
def test_a_rule_that_builds_what_does_not_verify(verify_each: bool):
    error = failure(["test-blamed"], "tanh", "relu", verify_each=verify_each)
    after = "the pass 'test-blamed'" if verify_each else "the phase 'phase'"
    assert error.message.startswith(f"after {after}: graph.transpose: ")
    made = "which the rule 'builds_what_does_not_verify' of the pass 'test-blamed' made"
    assert error.message.endswith(made)
    assert error.layer == "layer 1"


def test_a_rule_whose_operation_has_no_shape():
    error = failure(["test-blamed"], "tanh", "abs", verify_each=False)
    rule = "the rule 'asks_for_what_has_no_shape' of the pass 'test-blamed': graph.transpose: "
    assert error.message.startswith(rule)
    assert error.layer == "layer 1"


def test_a_pass_without_rules_is_named_with_verify_each():
    passes = ["test-blamed", "test-by-hand", "graph-fold-constants"]
    error = failure(passes, "tanh", "sigmoid", verify_each=True)
    assert error.message.startswith("after the pass 'test-by-hand': graph.sigmoid: result has")
    assert error.layer == "layer 1"


def test_what_a_plug_in_s_pass_leaves_is_always_verified():
    error = failure(["test-by-hand"], "tanh", "sigmoid", verify_each=False)
    assert error.message.startswith("after the pass 'test-by-hand': graph.sigmoid: result has")


@pytest.mark.usefixtures("_of_the_compiler")
def test_without_verify_each_the_message_says_how_to_learn_the_pass():
    error = failure(["test-by-hand"], "tanh", "sigmoid", verify_each=False)
    assert error.message.startswith("after the phase 'phase': graph.sigmoid: result has shape")
    assert "--verify-each" in str(error)


def test_all_that_does_not_verify_is_listed():
    error = failure(["test-by-hand"], "sigmoid", "sigmoid", "sigmoid", verify_each=True)
    assert isinstance(error, OperationFailure)
    layers = [cast("str", d.layer) for d in error.diagnostics]
    assert layers[:3] == ["layer 0", "layer 1", "layer 2"]
    assert "; and 3 more errors" in error.message  # func.return takes them, too
