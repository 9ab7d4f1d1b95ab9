"""`--check-numerics`: the first pass, rule and application that changes a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from furiosa_ir.debugging.finding import Finding
from furiosa_ir.debugging.numerics import Numerics, NumericsFailure
from furiosa_ir.dialects.ftensor.arithmetic import AddOp, ClampOp, RescaleOp
from furiosa_ir.driver import compile_source
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass, RewritePass, parse_passes
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.tools.opt import main as furiosa_opt
from furiosa_ir.verification.trace import copy_module
from tests.debugging.wrong_command import WrongCommand
from tests.debugging.wrong_passes import WRONG, Wrong


def checked(module: ModuleOp, *passes: Pass | str, count: int = 3) -> tuple[Numerics, Finding]:
    """Runs passes, one of which must be found."""
    numerics = Numerics(count)
    pipeline = Pipeline("test", (Phase("", "", passes),))
    copy = copy_module(module, {})
    with numerics.recording(), pytest.raises(NumericsFailure) as raised:
        run_pipeline(make_context(), copy, pipeline, instrumentation=[numerics])
    assert numerics.finding is not None
    assert raised.value.message == numerics.finding.sentence
    return numerics, numerics.finding


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: w.module)
def test_each_wrong_rewrite_is_found(wrong: Wrong, levels: dict[str, ModuleOp]) -> None:
    level = "graph" if wrong.after.startswith("graph") else "ftensor"
    passes = [wrong.name] if wrong.after != "fuse-kernels" else ["fuse-kernels", wrong.name]
    _, finding = checked(levels[level], *passes)
    assert finding.what.name == wrong.name
    assert finding.rule == wrong.rule
    assert wrong.layer in finding.layer
    assert finding.application is not None
    assert finding.application.number == 1
    assert finding.change.index is not None
    assert finding.change.got != finding.change.want


def test_the_compiler_changes_no_value(digits: Path) -> None:
    numerics = Numerics(2)
    with numerics.recording():
        compile_source(digits, instrumentation=[numerics])
    assert numerics.finding is None
    assert {"graph-fold-quantization", "lower-to-ftensor", "schedule"} <= set(numerics.compared)


@rule
def third_is_wrong(op: RescaleOp, rw: Rewrite) -> SSAValue | None:
    """rescale(x) = rescale(x), but for the layer "body"."""
    if "seen" in op.attributes:
        return None
    wrong = {"output_zp": op.output_zp.value.data + 1} if "body" in str(op.location) else {}
    operands = [op.x, op.multiplier, op.shift]
    properties: dict[str, Any] = {**op.properties, **wrong}
    made = rw.emit_op(RescaleOp, operands, [element_of(op.result)], **properties)
    made.attributes["seen"] = as_attribute(True)
    return made.result


@dataclass(frozen=True)
class OneOfMany(RewritePass):
    """Rewrites all rescales; one of them becomes another."""

    name = "test-one-of-many"
    rules = (third_is_wrong,)


def test_of_many_applications_the_wrong_one_is_named(levels: dict[str, ModuleOp]) -> None:
    _, finding = checked(levels["ftensor"], OneOfMany())
    assert finding.rule == "third_is_wrong"
    assert finding.application is not None
    assert finding.application.number in range(2, finding.total)
    assert "body_conv" in finding.layer
    assert "ftensor.rescale" in finding.application.operation
    assert any("output_zp" in text for text in finding.application.made)
    assert any("test_numerics.py:" in line for line in finding.lines())
    assert finding.as_json()["application"] == finding.application.number


@dataclass(frozen=True)
class ByHand(Pass):
    """Changes an operation in place."""

    name = "test-by-hand"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        last = [each for each in op.walk() if isinstance(each, AddOp)][-1]
        last.operands[1] = last.operands[0]


def test_a_pass_without_rules_is_named_with_the_operation(levels: dict[str, ModuleOp]) -> None:
    _, finding = checked(levels["ftensor"], ByHand())
    assert finding.application is None
    assert finding.what.name == "test-by-hand"
    assert "residual_sum" in finding.layer
    assert "ftensor.add" in finding.change.before
    assert any("by hand" in line for line in finding.lines())


def test_below_the_schedule_the_simulator_tells(levels: dict[str, ModuleOp]) -> None:
    passes = parse_passes(
        "assign-target{npu=warboy-2pe},fuse-kernels,assign-views,plan-tiles,allocate,schedule"
    )
    module = copy_module(levels["ftensor"], {})
    numerics, finding = checked(module, *passes, WrongCommand())
    assert numerics.compared[-1] == "schedule"
    assert finding.what.name == "test-wrong-command"
    assert finding.rule == "other_zero_point"
    assert finding.application is not None
    assert finding.application.number == 1
    assert "stem_conv" in finding.layer


def test_a_clamp_of_nothing_is_none(levels: dict[str, ModuleOp]) -> None:
    """A rewrite that changes operations but no value is not found."""

    @rule
    def clamped(op: RescaleOp, rw: Rewrite) -> SSAValue | None:
        """x = clamp(x)."""
        if any(isinstance(use.operation, ClampOp) for use in op.result.uses):
            return None
        operands = [op.x, op.multiplier, op.shift]
        properties: dict[str, Any] = dict(op.properties)
        again = rw.emit(RescaleOp, operands, [element_of(op.result)], **properties)
        low, high = op.minimum.value.data, op.maximum.value.data
        return rw.emit(ClampOp, [again], [element_of(op.result)], minimum=low, maximum=high)

    @dataclass(frozen=True)
    class Harmless(RewritePass):
        """Clamps what is clamped."""

        name = "test-harmless"
        rules = (clamped,)

    numerics = Numerics(2)
    copy = copy_module(levels["ftensor"], {})
    with numerics.recording():
        run_pipeline(
            make_context(),
            copy,
            Pipeline("test", (Phase("", "", (Harmless(), "ftensor-fold-clamps")),)),
            instrumentation=[numerics],
        )
    assert numerics.compared == ["test-harmless", "ftensor-fold-clamps"]


def test_the_command_line_says_it_in_one_sentence(tmp_path: Path) -> None:
    text = tmp_path / "net.mlir"
    text.write_text(
        'builtin.module attributes {graph.source = "onnx"} {\n'
        "  func.func @main(%x: tensor<4xi32>, %y: tensor<1xi8>) -> (tensor<4xi32>) {\n"
        "    %r = ftensor.sub %x, %y : tensor<4xi32>\n"
        "    func.return %r : tensor<4xi32>\n  }\n}\n"
    )
    arguments = [str(text), "-p", "wrong-swapped-operands", "--check-numerics"]
    result = CliRunner().invoke(furiosa_opt, arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "ftensor.sub %x, %y" in result.stderr
    assert "ftensor.sub %y, %x" in result.stderr
    assert "ERROR: " in result.stderr
    assert "'wrong-swapped-operands' changes a value, by the rule 'small" in result.stderr
    right = CliRunner().invoke(
        furiosa_opt, [str(text), "-p", "ftensor-fold-clamps", "--check-numerics=2"]
    )
    assert right.exit_code == 0
    assert "no pass changed an operation" in right.stderr
    text.write_text(text.read_text().replace("@main", "@part"))
    none = CliRunner().invoke(furiosa_opt, [*arguments[:2], "ftensor-fold-clamps", arguments[3]])
    assert none.exit_code == 1
    assert "no function @main" in none.stderr
    assert "no pass changed" not in none.stderr
