"""Passes by name, their options, pipelines and what watches them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.utils.exceptions import PassFailedException

from furiosa_ir.errors import CompilationFailure, FuriosaError, VerificationFailure
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import (
    PASSES,
    Pass,
    all_passes,
    find_pass,
    make_pass,
    parse_passes,
    pass_options,
    pipeline_text,
)
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline


@dataclass(frozen=True)
class Mark(Pass):
    """Writes a number."""

    name = "test-mark"
    number: int
    share: float = 0.5
    names: tuple[str, ...] = ()
    strict: bool = False

    def apply(self, ctx, op):
        op.attributes["test.mark"] = IntegerAttr(self.number, i64)


@dataclass(frozen=True)
class Break(Pass):
    """Leaves a call of nothing."""

    name = "test-break"
    how: str = "verify"

    def apply(self, ctx, op):
        if self.how == "fail":
            raise PassFailedException("on purpose")
        op.body.block.add_op(FuncOp("f", ((), ()), visibility="nobody-knows"))
        op.body.block.last_op.properties.pop("sym_name")


def test_options_are_typed():
    (made,) = parse_passes("test-mark{number=3 share=1 names=a,b strict=true}")
    assert made == Mark(3, 1.0, ("a", "b"), True)
    assert pipeline_text([made]) == 'test-mark{number=3 share=1.0 names="a","b" strict=true}'
    assert parse_passes(pipeline_text([made])) == (made,)
    assert [(o.name, o.default) for o in pass_options(Mark)] == [
        ("number", None),
        ("share", "0.5"),
        ("names", ""),
        ("strict", "false"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test-mrk{number=1}", "there is no pass 'test-mrk' .did you mean 'test-mark'"),
        ("test-mark{nmber=1}", "has no option 'nmber' .did you mean 'number'"),
        ("test-mark{number=x}", "'number' of the pass 'test-mark' takes int, not x"),
        ("test-mark{number}", "takes int, not nothing"),
        ("test-mark", "test-mark requires argument"),
        ("test-mark{", "does not parse"),
        ("a b", "does not parse"),
        ("test-mark{number=1}}", "does not parse"),
        ("$", "does not parse"),
        ("func.func(test-mark{number=1})", "'test-mark' takes the module, not one function"),
        ("builtin.module(func.func(func.func(graph-fold-constants)))", "no functions in a funct"),
        ("func.func(builtin.module(graph-fold-constants))", "there is no module in what"),
        ("builtin.module(builtin.module(graph-fold-constants))", "there is no module in what"),
        ("fnc.func(graph-fold-constants)", "nested in 'fnc.func.*did you mean 'func.func'"),
        ("graph-fold-constants(graph-partition)", "the pass 'graph-fold-constants' holds no pass"),
        ("test-mark{number=1}(graph-fold-constants)", "does not parse: no name that passes can"),
        ("builtin.module(test-mark{number=1}", r"'builtin\.module\(' is not closed"),
        ("builtin.module(graph-fold-constants,)", r"a pass is missing before '\)'"),
        ("builtin.module(graph-fold-constants)b", "a comma is missing in front of 'b'"),
        ("builtin.module(graph-fold-constants)(b)", "does not parse"),
        ("graph-fold-constants,", "a pass is missing at the end"),
        ("test-mark{number=1})", "does not parse"),
        ("test-mark{number=1},,test-mark{number=2}", "does not parse"),
    ],
)
def test_errors_are_sentences(text: str, message: str):
    with pytest.raises(FuriosaError, match=message) as caught:
        parse_passes(text)
    assert "\n" not in str(caught.value)


BLANK = st.text(" \t\n\r", max_size=3)


@given(st.data())
def test_blanks_stand_between_any_two_words(data: st.DataObject):
    line = 'test-mark { number = 3 } , test-mark { number = 4 names = "a, {b" , "c(d)" }'
    words = line.split(" ")
    # Blanks of strings, and the one between two options, stay.
    text = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        inside = word.count('"') % 2 or following in ("names", '{b"')
        text += word + (" " if inside else data.draw(BLANK))
    text = data.draw(BLANK) + text
    if data.draw(st.booleans()):
        text = f"{data.draw(BLANK)}builtin.module{data.draw(BLANK)}({text}){data.draw(BLANK)}"
    first, second = parse_passes(text)
    assert first == Mark(3)
    assert second == Mark(4, names=("a, {b", "c(d)"))


def test_passes_of_the_project_are_found_documented_and_unique():
    passes = all_passes()
    assert "graph-fold-quantization" in passes
    for name, cls in passes.items():
        assert cls.name == name
        assert cls.description(), name
        for rule in cls.rule_list():
            assert rule.description, rule.name
    assert find_pass("test-mark") is Mark


def test_names_are_unique():
    with pytest.raises(FuriosaError, match="two passes are named 'test-mark'"):

        class Other(Pass):
            """Same name."""

            name = "test-mark"

    assert PASSES["test-mark"] is Mark


def test_pipelines_run_in_phases():
    pipeline = Pipeline(
        "p",
        (
            Phase("one", "first", ("test-mark{number=1}",)),
            Phase("two", "second", (Mark(2), Mark(3))),
        ),
    )
    module = ModuleOp([])
    run_pipeline(make_context(), module, pipeline, verify_each=True)
    assert module.attributes["test.mark"] == IntegerAttr(3, i64)
    two = "test-mark{number=2},test-mark{number=3}"
    assert pipeline.text == f"builtin.module(\n  one(test-mark{{number=1}}),\n  two({two})\n)"
    assert [p.name for p in pipeline.between("two").phases] == ["two"]
    assert [p.name for p in pipeline.between(None, "one").phases] == ["one"]


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("on", None, "there is no phase 'on' .did you mean 'one'"),
        (None, "zzz", "there are: one, two"),
        ("two", "one", "the phase 'one' comes before 'two'"),
    ],
)
def test_unknown_phases(first, last, message: str):
    pipeline = Pipeline("p", (Phase("one", "", ()), Phase("two", "", ())))
    with pytest.raises(FuriosaError, match=message):
        pipeline.between(first, last)


def test_what_a_pass_breaks_names_the_pass():
    with pytest.raises(VerificationFailure, match="after the pass 'test-break': "):
        run_pipeline(make_context(), ModuleOp([]), Pipeline.of_text("test-break"), verify_each=True)
    # It is no pass of the compiler's, so it is named whether each is verified or not.
    with pytest.raises(VerificationFailure, match="after the pass 'test-break': "):
        run_pipeline(
            make_context(), ModuleOp([]), Pipeline("p", (Phase("last", "", ("test-break",)),))
        )
    with pytest.raises(CompilationFailure, match="the pass 'test-break' failed: on purpose"):
        run_pipeline(make_context(), ModuleOp([]), Pipeline.of_text("test-break{how=fail}"))


def test_phase_verifiers():
    def refuses(module):
        raise VerificationFailure("not at this level")

    pipeline = Pipeline("p", (Phase("one", "", (), refuses),))
    with pytest.raises(VerificationFailure, match="after the phase 'one': not at this level"):
        run_pipeline(make_context(), ModuleOp([]), pipeline)


def test_specs_round_trip():
    assert make_pass(Mark(7, strict=True).spec()) == Mark(7, strict=True)


# xDSL's texts have no way to write other control characters.
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"))


@given(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.lists(WORDS), st.booleans()
)
def test_every_option_reads_back_from_text(
    number: int, share: float, names: list[str], strict: bool
):
    made = Mark(number, share, tuple(names), strict)
    assert parse_passes(pipeline_text([made])) == (made,)


@dataclass(frozen=True)
class Listing(Pass):
    """Has a default that is not empty."""

    name = "test-listing"
    names: tuple[str, ...] = ("a",)

    def apply(self, ctx, op):
        pass


def test_no_values_read_back_from_text():
    assert pipeline_text([Listing(())]) == "test-listing{names}"
    assert parse_passes("test-listing{names}") == (Listing(()),)


FOLD = "graph-fold-constants"


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        (f"func.func({FOLD})", FOLD),
        (
            f"builtin.module({FOLD},func.func({FOLD},graph-fuse-tables),{FOLD})",
            f"{FOLD},{FOLD},graph-fuse-tables,{FOLD}",
        ),
        (f"any ( {FOLD} ) ,\nbuiltin.module ( func.func ( {FOLD} ) )", f"{FOLD},{FOLD}"),
        ("func.func()", ""),
        ("builtin.module()", ""),
        ('test-mark{number=1 names="f(x", "{)"}', 'test-mark{number=1 names="f(x","{)"}'),
    ],
)
def test_nested_passes(text: str, flat: str):
    assert parse_passes(text) == parse_passes(flat)


@pytest.mark.parametrize(
    "text",
    [
        "assign-target{npu=warboy npu=warboy-2pe}",
        "graph-partition, assign-target { npu = warboy\n npu = warboy }",
        'assign-target{npu="warboy" npu="x y"},graph-partition',
    ],
)
def test_an_option_given_twice_is_refused(text: str):
    with pytest.raises(FuriosaError, match="'npu' of the pass 'assign-target' is given twice"):
        parse_passes(text)
