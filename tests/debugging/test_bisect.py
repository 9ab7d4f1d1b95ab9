"""`furiosa bisect`: from a wrong result to pass, rule, layer, and a test of a few operations."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.debugging.bisect import Bisection, bisect
from furiosa_ir.debugging.numerics_test import NumericsTest
from furiosa_ir.debugging.part import operations_of
from furiosa_ir.debugging.reduced_test import reduced_test
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.elementwise import AddOp
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import Pass, parse_passes
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.ir.text import read_module
from furiosa_ir.lowering import Lowering, find_lowering
from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest
from furiosa_ir.tools.furiosa import main
from furiosa_ir.tools.opt import main as furiosa_opt
from tests.debugging.conftest import FOLDER
from tests.debugging.wrong_command import WrongCommand
from tests.debugging.wrong_passes import WRONG, Wrong
from tests.verification.ir_mutations import sites


@dataclass(frozen=True)
class LeastBit(Pass):
    """Changes the entries of the tables of 48 bits by 1."""

    name = "test-least-bit"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for table in [each for each in op.walk() if isinstance(each, ConstantOp)]:
            if element_of(table.result) == i48:
                table.properties["value"] = BlobAttr.of(table.value.array ^ 1)


@dataclass(frozen=True)
class Mutation(Pass):
    """Changes one number of a module."""

    name = "test-mutation"
    seed: int = 0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rng = np.random.default_rng(self.seed)
        places = sites(op)
        if places:
            places[int(rng.integers(len(places)))].change(rng)


def found_by_bisect(source: Path, wrong: Wrong) -> Bisection:
    edit = Edit(EditKind.INSERT_AFTER, wrong.after, wrong.name)
    bisection = bisect(source, passes=PipelineRequest(edits=(edit,)), count=4)
    finding = bisection.finding
    assert finding is not None
    assert finding.what.name == wrong.name
    assert finding.rule == wrong.rule
    return bisection


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: w.module)
def test_each_wrong_rewrite_leaves_a_test_of_a_few_operations(digits: Path, wrong: Wrong) -> None:
    bisection = found_by_bisect(digits, wrong)
    assert bisection.finding is not None
    assert wrong.layer in bisection.finding.layer
    reduced = reduced_test(bisection)
    assert reduced is not None
    reduction, test = reduced
    assert reduction.after < 10
    assert reduction.after == len(operations_of(reduction.module))
    again = test.finding(reduction.module)
    assert again is not None
    assert again.rule == wrong.rule
    assert wrong.layer in again.layer


@pytest.mark.slow
@pytest.mark.corpus
@pytest.mark.parametrize(
    "wrong",
    [WRONG[0], *(pytest.param(w, marks=pytest.mark.weekly) for w in WRONG[1:])],
    ids=lambda w: w.module,
)
def test_on_mobilenet_v2_within_30_seconds(models: Path, wrong: Wrong) -> None:
    started = time.process_time()
    bisection = found_by_bisect(models / "trained" / "mbv2_100_224_qdq_i8.onnx", wrong)
    assert bisection.finding is not None
    assert wrong.mobilenet in bisection.finding.layer
    reduced = reduced_test(bisection)
    assert reduced is not None
    assert reduced[0].after < 10
    assert time.process_time() - started < 30


def test_below_the_schedule_the_program_tells(digits: Path) -> None:
    edit = Edit(EditKind.INSERT_AFTER, "schedule", WrongCommand.name)
    bisection = bisect(digits, passes=PipelineRequest(edits=(edit,)), count=2)
    finding = bisection.finding
    assert finding is not None
    assert finding.what.name == WrongCommand.name
    assert finding.rule == "other_zero_point"
    assert "stem_conv" in finding.layer
    assert [what.name for what in bisection.passes][-2:] == ["schedule", WrongCommand.name]
    reduced = reduced_test(bisection)
    assert reduced is not None
    assert reduced[0].after < 10
    assert reduced[1].finding(reduced[0].module) is not None


def test_what_only_a_value_on_the_way_shows_is_found(digits: Path) -> None:
    """The least bit of an exponential, which softmax rounds away."""
    edit = Edit(EditKind.INSERT_AFTER, "lower-to-ftensor", LeastBit.name)
    bisection = bisect(digits, passes=PipelineRequest(edits=(edit,)), count=2)
    finding = bisection.finding
    assert finding is not None
    assert finding.what.name == LeastBit.name
    assert "probabilities" in finding.layer
    assert abs(int(finding.change.got) - int(finding.change.want)) == 1


def test_a_wrong_lowering_is_named(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_wrong(op: GraphOp, numerics: str) -> Lowering | None:
        lowering = find_lowering(op, numerics)
        if not isinstance(op, AddOp) or lowering is None:
            return lowering

        def one_more(op: GraphOp, emit: Any) -> Any:
            result: Any = lowering.function(op, emit)
            rescale = result.owner
            zero_point = rescale.properties["output_zp"].value.data
            rescale.properties["output_zp"] = as_attribute(zero_point + 1)
            return result

        return replace(lowering, function=one_more)

    monkeypatch.setattr("furiosa_ir.lowering.function.find_lowering", find_wrong)
    bisection = bisect(digits, count=2)
    finding = bisection.finding
    assert finding is not None
    assert finding.what.name == "lower-to-ftensor"
    assert finding.rule == "one_more"
    assert "residual_sum" in finding.layer
    assert finding.application is not None
    assert finding.application.operation == "graph.add"
    reduced = reduced_test(bisection)
    assert reduced is not None
    assert reduced[0].after < 10


@pytest.mark.parametrize("seed", [3, 8, 9])
def test_any_number_that_is_another_is_found(digits: Path, seed: int) -> None:
    edit = Edit(EditKind.INSERT_AFTER, "fuse-kernels", f"{Mutation.name}{{seed={seed}}}")
    finding = bisect(digits, passes=PipelineRequest(edits=(edit,)), count=4).finding
    assert finding is not None
    assert finding.what.name == Mutation.name


def test_the_command_leaves_a_test_that_runs(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plugin = FOLDER / "pad_value.py"
    edit = "--insert-after=lower-to-ftensor=wrong-pad-value"
    result = CliRunner().invoke(
        main, ["bisect", str(digits), "--load", str(plugin), edit, "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["pass"] == "wrong-pad-value"
    assert found["rule"] == "pads_of_convolution"
    assert re.search(r"pad_value\.py:[0-9]+$", found["place"])
    assert found["operations"] < 10
    text = tmp_path / found["test"]
    run = text.read_text(encoding="utf-8").splitlines()[0].removeprefix("// RUN: ")
    words = shlex.split(run.replace("%s", str(text)))
    assert words[0] == "furiosa-opt"
    again = CliRunner().invoke(furiosa_opt, words[1:])
    assert again.exit_code == 1
    assert "'wrong-pad-value' changes a value" in again.stderr
    module = read_module(text)
    assert NumericsTest(parse_passes("ftensor-fold-clamps")).finding(module) is None


def test_where_nothing_is_wrong_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "right.mlir"
    text.write_text(
        'builtin.module attributes {graph.source = "onnx"} {\n'
        "  func.func @main(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> "
        "(tensor<4x!quant.uniform<i8:f32, 0.5>>) {\n"
        "    %r = graph.relu %x : tensor<4x!quant.uniform<i8:f32, 0.5>>\n"
        "    func.return %r : tensor<4x!quant.uniform<i8:f32, 0.5>>\n  }\n}\n"
    )
    result = CliRunner().invoke(main, ["bisect", str(text), "-n", "2"])
    assert result.exit_code == 1
    assert "no pass changes a value on 2 inputs" in result.stderr
    assert list(tmp_path.iterdir()) == [text]
