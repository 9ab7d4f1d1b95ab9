"""Faults that no input of the network shows, that come and go, or that leave no two elements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr, i8
from xdsl.dialects.func import FuncOp

import furiosa_ir as fi
from furiosa_ir.backends.warboy.dialect.attributes import ADDRESSES, AddressesAttr, PlanAttr
from furiosa_ir.backends.warboy.dialect.plan import KernelPlan
from furiosa_ir.debugging.bisect import Bisection, bisect
from furiosa_ir.debugging.numerics import Numerics, NumericsFailure
from furiosa_ir.debugging.reduced_test import reduced_test
from furiosa_ir.debugging.windows import change_of_part, wrong_window
from furiosa_ir.ir.passes import parse_passes
from furiosa_ir.ir.segments import NAME
from furiosa_ir.ir.text import write_module
from furiosa_ir.pipeline_request import Edit, EditKind, PipelineRequest
from furiosa_ir.tools.furiosa import main


@fi.rule
def ties_up(op: fi.ftensor.RescaleOp, rw: fi.Rewrite) -> Any:
    """Sums that lie halfway between two integers go up."""
    if op.rounding.data != "near_even":
        return None
    properties: dict[str, Any] = {**op.properties, "rounding": "up"}
    return rw.emit(fi.ftensor.RescaleOp, list(op.operands), [i8], **properties)


@fi.rule
def least_entry(op: fi.ftensor.LookupOp, table: fi.ftensor.ConstantOp, rw: fi.Rewrite) -> Any:
    """The entry of -128 is another: of an index that ends at 127, the least probable."""
    if "seen" in op.attributes:
        return None
    array = table.value.array.copy()
    array[0] ^= 1
    constant = rw.emit(
        fi.ftensor.ConstantOp, [], [fi.element_of(table.result)], value=fi.BlobAttr.of(array)
    )
    made: Any = rw.emit(fi.ftensor.LookupOp, [op.x, constant], [fi.element_of(op.result)])
    made.owner.attributes["seen"] = UnitAttr()
    return made


@dataclass(frozen=True)
class Ties(fi.RewritePass):
    """Rounds otherwise."""

    name = "test-ties"
    rules = (ties_up,)


@dataclass(frozen=True)
class LeastEntry(fi.RewritePass):
    """Looks otherwise up."""

    name = "test-least-entry"
    rules = (least_entry,)


_RUNS = count()


@fi.rule
def every_other_time(op: fi.ftensor.RescaleOp, rw: fi.Rewrite) -> Any:
    """Rounds down, or not: another operation each time the pass runs."""
    if op.rounding.data != "near_even" or next(_RUNS) % 2:
        return None
    properties: dict[str, Any] = {**op.properties, "rounding": "floor"}
    return rw.emit(fi.ftensor.RescaleOp, list(op.operands), [i8], **properties)


@dataclass(frozen=True)
class EveryOtherTime(fi.RewritePass):
    """Does not do the same each time."""

    name = "test-every-other-time"
    rules = (every_other_time,)


@dataclass(frozen=True)
class OtherBias(fi.Pass):
    """Changes a constant by hand."""

    name = "test-other-bias"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        conv = next(each for each in op.walk() if isinstance(each, fi.ftensor.ConvOp))
        bias: Any = conv.operands[2].owner
        bias.properties["value"] = fi.BlobAttr.of(bias.value.array + 1000)


@dataclass(frozen=True)
class OverlappingAddresses(fi.Pass):
    """Puts what lives together at one address."""

    name = "test-overlapping-addresses"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            attribute = function.attributes.get(ADDRESSES)
            if isinstance(function, FuncOp) and isinstance(attribute, AddressesAttr):
                addresses: Any = attribute.data
                live_ranges = (0,) * len(addresses.live_ranges)
                changed = replace(addresses, live_ranges=live_ranges)
                function.attributes[ADDRESSES] = AddressesAttr(changed)


@dataclass(frozen=True)
class MissingStore(fi.Pass):
    """A result stays in SRAM."""

    name = "test-missing-store"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in op.walk():
            plan = kernel.properties.get("plan")
            if isinstance(plan, PlanAttr) and isinstance(plan.data, KernelPlan):
                kernel.properties["plan"] = PlanAttr(replace(plan.data, store=False))


@dataclass(frozen=True)
class Idle(fi.Pass):
    """Changes nothing."""

    name = "test-idle"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


def found(source: Path, what: type[fi.Pass], after: str) -> Bisection:
    edit = Edit(EditKind.INSERT_AFTER, after, what.name)
    bisection = bisect(source, passes=PipelineRequest(edits=(edit,)), count=2)
    assert bisection.finding is not None
    assert bisection.finding.what.name == what.name
    return bisection


@pytest.mark.parametrize(
    ("what", "rule", "layer"),
    [(Ties, "ties_up", "stem_conv"), (LeastEntry, "least_entry", "probabilities")],
)
def test_what_no_input_of_the_network_shows_one_of_a_part_does(
    digits: Path, what: type[fi.Pass], rule: str, layer: str
) -> None:
    bisection = found(digits, what, "lower-to-ftensor")
    finding = bisection.finding
    assert finding is not None
    assert finding.of_part
    assert finding.rule == rule
    assert layer in finding.layer
    reduced = reduced_test(bisection)
    assert reduced is not None
    assert reduced[0].after < 10
    again = reduced[1].finding(reduced[0].module)
    assert again is not None
    assert again.rule == rule


def test_check_numerics_runs_parts_behind_passes_of_plug_ins(levels: dict[str, ModuleOp]) -> None:
    module = levels["ftensor"].clone()
    numerics = Numerics(2, parts=change_of_part)
    what = LeastEntry()
    with numerics.recording():
        numerics.before_pipeline(module)
        numerics.before_pass(what, module)
        what.apply(Context(), module)
        with pytest.raises(NumericsFailure, match="least_entry"):
            numerics.after_pass(what, module, 0.0)
    assert numerics.finding is not None
    assert numerics.finding.of_part


def test_the_lowering_is_right_on_all_parts(levels: dict[str, ModuleOp]) -> None:
    (what,) = parse_passes("lower-to-ftensor")
    assert wrong_window(what, levels["graph"]) is None


def test_a_pass_that_does_something_else_each_time_is_named_and_said_to(digits: Path) -> None:
    bisection = found(digits, EveryOtherTime, "lower-to-ftensor")
    finding = bisection.finding
    assert finding is not None
    assert finding.rule == "every_other_time"
    assert not finding.is_repeatable
    assert any("something else each time" in line for line in finding.lines())
    assert reduced_test(bisection) is None


def test_a_constant_that_is_another_is_shown(digits: Path) -> None:
    finding = found(digits, OtherBias, "lower-to-ftensor").finding
    assert finding is not None
    change = finding.change
    assert change.before == change.after
    assert change.operand.startswith("operand 2, element [0]: ")
    assert any(line.startswith("constant ") for line in finding.lines())


def test_what_cannot_run_any_more_is_reduced_as_well(digits: Path) -> None:
    bisection = found(digits, OverlappingAddresses, "allocate")
    finding = bisection.finding
    assert finding is not None
    assert finding.change.index is None
    reduced = reduced_test(bisection)
    assert reduced is not None
    assert reduced[0].after < 10
    again = reduced[1].finding(reduced[0].module)
    assert again is not None
    assert again.change.sort == finding.change.sort


def test_the_result_of_a_segment_leads_to_what_makes_it(
    levels: dict[str, ModuleOp], tmp_path: Path
) -> None:
    module = levels["ftensor"].clone()
    for function in module.ops:
        if isinstance(function, FuncOp) and "npu" in function.sym_name.data:
            function.res_attrs = ArrayAttr([DictionaryAttr({NAME: StringAttr("a/1")})])
    source = tmp_path / "renamed.mlir"
    write_module(module, source)
    bisection = found(source, MissingStore, "plan-tiles")
    finding = bisection.finding
    assert finding is not None
    assert finding.layer == "a/1"
    assert finding.as_json()["becomes"] == []
    reduced = reduced_test(bisection)
    assert reduced is not None
    assert reduced[0].tried < 40  # of the part; of the whole there are some hundred
    assert reduced[0].after < 10


def test_a_pass_that_changes_nothing_is_named(digits: Path) -> None:
    edit = f"--insert-after=lower-to-ftensor={Idle.name}"
    result = CliRunner().invoke(main, ["bisect", str(digits), edit, "-n", "1"])
    assert result.exit_code == 1
    assert f"'{Idle.name}' changed nothing" in result.stderr
