"""What is dumped around passes: which passes, which functions, which layers, changes alone."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr

from furiosa_ir.dialects.graph.elementwise import ReluOp
from furiosa_ir.errors import CompilationFailure, FuriosaError, VerificationFailure
from furiosa_ir.instrumentation.dumps import Dump, IrDumps
from furiosa_ir.instrumentation.layers import LayerFilter
from furiosa_ir.instrumentation.rewrite_log import RewriteLog
from furiosa_ir.instrumentation.view import View
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass, RewritePass
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.text import parse_module
from furiosa_ir.ir.text_printer import Style

T = "tensor<4xf32>"
TEXT = f"""
func.func @main(%x: {T}) -> {T} {{
  %0 = graph.relu %x : {T} loc("first")
  %1 = graph.relu %0 : {T} loc("second")
  %2 = graph.tanh %1 : {T} loc(fused["third", "second_QuantizeLinear"])
  func.return %2 : {T}
}}
func.func private @other(%x: {T}) -> {T} {{
  %0 = graph.tanh %x : {T} loc("elsewhere")
  func.return %0 : {T}
}}
"""


@rule
def relu_of_relu(op: ReluOp, x: ReluOp, rw: Rewrite):
    """relu(relu(x)) = relu(x)."""
    return x.result


@dataclass(frozen=True)
class Fold(RewritePass):
    """Folds."""

    name = "test-dumps-fold"
    rules = (relu_of_relu,)


@dataclass(frozen=True)
class Keep(Pass):
    """Changes nothing."""

    name = "test-dumps-keep"
    times: int = 1

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@dataclass(frozen=True)
class Refuse(Pass):
    """Changes something, then fails."""

    name = "test-dumps-refuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.attributes["test.half"] = StringAttr("done")
        raise CompilationFailure("not this one")


@dataclass(frozen=True)
class Tear(Pass):
    """Leaves what neither verifies nor prints as it should."""

    name = "test-dumps-tear"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first = next(each for each in op.walk() if isinstance(each, ReluOp))
        first.detach()


def dumps(passes: str, view: View | None = None, text: str = TEXT, **wanted) -> list[Dump]:
    """What is dumped; what fails, fails silently."""
    taken: list[Dump] = []
    watch = IrDumps(view or View(), taken.append, **wanted)
    module = parse_module(text)
    watch.before_pipeline(module)
    with suppress(CompilationFailure, VerificationFailure):
        run_pipeline(
            make_context(),
            module,
            Pipeline.of_text(passes),
            instrumentation=[watch],
            verify_each=True,
        )
    return taken


def headers(found: list[Dump]) -> list[str]:
    return [re.sub(r"// -----// IR Dump (.*) //----- //", r"\1", dump.header) for dump in found]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"before": True}, ["Before test-dumps-keep{times=2}", "Before test-dumps-fold"]),
        ({"after": frozenset({"test-dumps-keep"})}, ["After test-dumps-keep{times=2}"]),
        ({"after": True, "only_changes": True}, ["After test-dumps-fold"]),
        ({"after": frozenset({"test-dumps-keep"}), "only_changes": True}, []),
        (
            {"before": frozenset({"test-dumps-fold"}), "after": True, "only_changes": True},
            ["Before test-dumps-fold", "After test-dumps-fold"],
        ),
        ({"failures": True}, []),
        (
            {"with_input": True, "after": frozenset({"test-dumps-fold"})},
            ["of input", "After test-dumps-fold"],
        ),
    ],
)
def test_which_passes_are_dumped(wanted, expected: list[str]):
    assert headers(dumps("test-dumps-keep{times=2},test-dumps-fold", **wanted)) == expected


def test_the_numbers_are_those_of_the_passes():
    found = dumps("test-dumps-keep,test-dumps-fold,test-dumps-keep", after=True, only_changes=True)
    assert [dump.number for dump in found] == [2]


def test_of_functions_those_are_dumped_that_a_pass_changed():
    found = dumps("test-dumps-keep,test-dumps-fold", View(by_function=True), after=True)
    assert headers(found) == ["After test-dumps-fold (@main)"]
    assert "@other" not in found[0].text
    assert found[0].text.startswith("func.func @main")
    before = dumps("test-dumps-fold", View(by_function=True), before=True)
    assert [dump.function for dump in before] == ["main", "other"]


def test_a_difference_is_what_a_pass_changed():
    (found,) = dumps("test-dumps-keep,test-dumps-fold", after=True, differences=True)
    assert found.is_difference
    changed = [line for line in found.text.splitlines()[2:] if line[0] in "+-"]
    assert len(changed) == 3
    assert [line.partition("=")[0].strip(" -+%") for line in changed] == [
        "second",
        "third",
        "third",
    ]
    assert found.text.startswith("--- before test-dumps-fold\n+++ after test-dumps-fold\n@@ ")


def test_what_a_pass_failed_on_is_dumped_as_it_is():
    (found,) = dumps("test-dumps-keep,test-dumps-refuse", failures=True)
    assert headers([found]) == ["After Failure of pass 'test-dumps-refuse'"]
    assert 'test.half = "done"' in found.text


def test_what_is_torn_is_dumped_all_the_same():
    (found,) = dumps("test-dumps-tear", failures=True)
    assert "graph.tanh" in found.text


def test_what_a_phase_s_verifier_refuses_is_dumped():
    def refuse(_module: ModuleOp) -> None:
        raise VerificationFailure("not at this level")

    taken: list[Dump] = []
    pipeline = Pipeline("p", (Phase("level", "", ("test-dumps-keep",), refuse),))
    with pytest.raises(VerificationFailure):
        run_pipeline(
            make_context(),
            parse_module(TEXT),
            pipeline,
            instrumentation=[IrDumps(View(), taken.append, failures=True)],
        )
    assert headers(taken) == ["After Failure of phase 'level'"]


class TestOneLayer:
    def of(self, *patterns: str, **wanted) -> list[Dump]:
        view = View(layers=LayerFilter(patterns), by_function=wanted.pop("by_function", False))
        return dumps("test-dumps-keep,test-dumps-fold", view, **wanted)

    def test_its_operations_with_what_they_read_and_who_reads_them(self):
        found = self.of("second", before=True)
        assert found[0].text.splitlines() == [
            "// in @main",
            f"// %first : {T}, of graph.relu of layer first",
            f"%second = graph.relu %first : {T}",
            f"// %second : {T}, to graph.tanh of layer third+second_QuantizeLinear",
        ]

    def test_patterns_and_fused_layers(self):
        (dump, _) = self.of("*_QuantizeLinear", before=True)
        assert "graph.tanh" in dump.text
        assert "the function's results" in dump.text
        assert "graph.relu %" not in dump.text

    @pytest.mark.parametrize(
        ("pattern", "layer", "fits"),
        [
            ("net/conv;net/bias", "net/conv;net/bias", True),
            ("net/bias", "net/conv;net/bias", True),
            ("net_conv", "net/conv;net/bias", True),
            ("net/*", "net/conv;net/bias", True),
            ("conv", "net/conv;net/bias", False),
            ("a[0]", "a[0]", True),
            ("a[0]", "a0", True),
            ("Conv_1", "Conv_1_QuantizeLinear", False),
        ],
    )
    def test_names_as_files_and_as_text_have_them(self, pattern: str, layer: str, fits: bool):
        assert LayerFilter((pattern,)).matches([layer, "other"]) == fits

    def test_changes_of_other_layers_do_not_count(self):
        assert self.of("elsewhere", after=True, only_changes=True) == []
        (gone,) = self.of("second", after=True, only_changes=True)
        assert gone.text == "// no operation of layer second"
        assert [d.function for d in self.of("elsewhere", before=True, by_function=True)] == [
            "other",
            "other",
        ]

    def test_a_layer_that_there_is_not(self):
        with pytest.raises(FuriosaError, match=r"no operation is of a layer 'secnd'.*'second'"):
            self.of("secnd", before=True)


def test_names_of_files_stay_in_their_line():
    """They come from models: an escape sequence or a line of their own is not theirs to write."""
    hostile = "a\\0A%evil = graph.relu\\1B[2J"
    text = TEXT.replace('"second"', f'"{hostile}"').replace("@other", '@"o\\0A\\1B[2J"')
    lines: list[str] = []
    log = RewriteLog(lines.append)
    module = parse_module(text)
    view = View(layers=LayerFilter(("first", "third")))
    taken: list[Dump] = []
    watch = IrDumps(view, taken.append, before=True, after=True)
    whole = IrDumps(View(by_function=True), taken.append, before=True)
    pipeline = Pipeline.of_text("test-dumps-keep,test-dumps-fold")
    run_pipeline(make_context(), module, pipeline, instrumentation=[watch, whole, log])
    shown = [*(f"{dump.header}\n{dump.text}" for dump in taken), *lines]
    assert any("evil" in each for each in shown)
    assert len(lines) == 1
    for each in shown:
        assert "\x1b" not in each
        assert not re.search(r"^%evil", each, re.MULTILINE)


def test_elided_dumps_show_that_a_constant_changed():
    @dataclass(frozen=True)
    class Other(Pass):
        """Changes a constant's elements."""

        name = "test-dumps-other"

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            for each in op.walk():
                if "value" in each.properties:
                    old = each.properties["value"]
                    assert isinstance(old, BlobAttr)
                    each.properties["value"] = BlobAttr.of(old.array + 1)

    values = ", ".join(map(str, range(17)))
    text = f"""
func.func @main() -> tensor<17xi32> {{
  %0 = graph.constant #graph.blob<i32 [17] ({values})> : tensor<17xi32>
  func.return %0 : tensor<17xi32>
}}
"""
    view = View(Style(locations=False, elide=True))
    (dump,) = dumps("test-dumps-keep,test-dumps-other", view, text, after=True, only_changes=True)
    assert "graph.constant #graph.blob<elided>" in dump.text
    (dump,) = dumps("test-dumps-other", view, text, after=True, differences=True)
    assert "only elements of constants" in dump.text
