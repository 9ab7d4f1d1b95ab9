"""Pipelines from text, with phases; edits of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.errors import FuriosaError, VerificationFailure
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.history import HISTORY, NOTHING_RAN, history_of
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Phase, Pipeline, run_pipeline
from furiosa_ir.pipeline_request import Edit, EditKind, edit_of_option


@dataclass(frozen=True)
class Step(Pass):
    """Does nothing."""

    name = "test-step"
    number: int = 0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@dataclass(frozen=True)
class Other(Step):
    """Does nothing, either."""

    name = "test-other"


@dataclass(frozen=True)
class Third(Step):
    """Nor does this."""

    name = "test-third"


def refuses(module: ModuleOp) -> None:
    raise VerificationFailure("not at this level")


ONE = Phase("one", "first", ("test-step", "test-other"))
TWO = Phase("two", "second", (Third(1), "test-step{number=2}"), refuses)
BOTH = Pipeline("both", (ONE, TWO))
SIMPLE = Pipeline("simple", (ONE, Phase("two", "", (Third(1),))))


def names(pipeline: Pipeline) -> list[tuple[str, str]]:
    return [(p.name, ",".join(str(w) for w in p.resolve())) for p in pipeline.phases]


@pytest.mark.parametrize(
    ("text", "phases"),
    [
        ("one", [("one", "test-step,test-other")]),
        ("one,two", names(BOTH)),
        ("builtin.module(one, two)", names(BOTH)),
        (BOTH.text, names(BOTH)),
        ("test-third,one(test-other)", [("", "test-third"), ("one", "test-other")]),
        (
            "test-third,test-step,two(),test-step",
            [("", "test-third,test-step"), ("two", ""), ("", "test-step")],
        ),
        ("", []),
    ],
)
def test_phases_in_a_text(text: str, phases: list[tuple[str, str]]):
    made = Pipeline.of_text(text, BOTH.phases)
    assert names(made) == phases
    assert names(Pipeline.of_text(made.text, BOTH.phases)) == phases
    assert [p.verifier for p in made.phases if p.name == "two"] in ([], [refuses])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("two,one", "'one' cannot come behind 'two' .their order is one, two"),
        ("one,one", "'one' cannot come behind 'one'"),
        ("one(two)", "the phase 'two' cannot stand there"),
        ("one(two(test-step))", "the phase 'two' cannot stand there"),
        ("func.func(one)", "the phase 'one' cannot stand there"),
        ("one{a=1}", "the phase 'one' cannot stand there .*take no options"),
        ("tow", "there is no phase or pass 'tow' .did you mean 'two'"),
        ("test-stp,one", "there is no pass 'test-stp' .did you mean 'test-step'"),
        ("one(builtin.module(test-step))", "there is no module in what takes one"),
    ],
)
def test_phases_that_cannot_stand_there(text: str, message: str):
    with pytest.raises(FuriosaError, match=message):
        Pipeline.of_text(text, BOTH.phases)


def test_a_pipeline_is_shown_as_its_text():
    assert str(SIMPLE) == SIMPLE.text
    assert repr(SIMPLE) == f"<Pipeline {SIMPLE.name}: {SIMPLE.text}>"


def test_each_edit_makes_another_pipeline():
    assert names(SIMPLE.insert_before("test-other", "test-third{number=5},test-step"))[0] == (
        "one",
        "test-step,test-third{number=5},test-step,test-other",
    )
    assert names(SIMPLE.insert_after("test-third", Step(7)))[1] == (
        "two",
        "test-third{number=1},test-step{number=7}",
    )
    assert names(SIMPLE.replace("test-step", [Step(8), "test-third"]))[0] == (
        "one",
        "test-step{number=8},test-third,test-other",
    )
    assert names(SIMPLE.skip("test-step").skip("test-other"))[0] == ("one", "")
    assert names(BOTH.skip("test-step#2"))[1] == ("two", "test-third{number=1}")
    assert names(BOTH.skip("test-third")) != names(BOTH)
    assert BOTH.skip("test-third").phases[1].verifier is refuses


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("test-step", r"stands in the pipeline 2 times .say 'test-step#1' or 'test-step#2'"),
        ("test-step#3", "there is no pass 'test-step#3': 'test-step' stands in the pipeline 2"),
        ("test-step#0", "there is no pass 'test-step#0'"),
        ("test-step#x", "there is no pass 'test-step#x'"),
        ("test-third#2", "'test-third' stands in the pipeline once .say 'test-third#1'"),
        ("test-othr", "there is no pass 'test-othr' in the pipeline .did you mean 'test-other'"),
        ("two", "there is no pass 'two' .*that is a phase; its passes are test-third, test-step"),
        ("zzz", "there are: test-step, test-other, test-third"),
    ],
)
def test_a_pass_that_an_edit_does_not_find(at: str, message: str):
    for edit in (
        lambda: BOTH.skip(at),
        lambda: BOTH.insert_before(at, "test-step"),
        lambda: BOTH.insert_after(at, "test-step"),
        lambda: BOTH.replace(at, "test-step"),
    ):
        with pytest.raises(FuriosaError, match=message):
            edit()


EDITS = st.builds(
    Edit,
    st.sampled_from(EditKind),
    st.sampled_from(["test-step", "test-other", "test-third", "test-step#2"]),
    st.sampled_from(["test-other", "test-third{number=3},test-step", "func.func()"]),
)


@given(st.lists(EDITS, max_size=6))
def test_any_edits_read_back_from_text(edits: list[Edit]):
    """What they leave is, as text, the same pipeline, which leaves the same history."""
    try:
        made = BOTH.edited(edits)
    except FuriosaError as error:
        assert "in the pipeline" in str(error)  # noqa: PT017  # refused with a reason
        return
    again = Pipeline.of_text(made.text, BOTH.phases)
    kept = [phase for phase in made.phases if phase.text]
    assert names(Pipeline("", tuple(kept))) == names(again)
    assert [p.verifier for p in kept] == [p.verifier for p in again.phases]


def test_edits_of_a_command_line():
    edits = [
        edit_of_option(EditKind.INSERT_AFTER, "test-other=test-third{number=4}"),
        edit_of_option(EditKind.SKIP, " test-step "),
    ]
    assert names(SIMPLE.edited(edits))[0] == ("one", "test-other,test-third{number=4}")
    with pytest.raises(FuriosaError, match=r"^--skip: there is no pass 'zzz'"):
        SIMPLE.edited([edit_of_option(EditKind.SKIP, "zzz")])
    with pytest.raises(FuriosaError, match=r"^--replace: there is no pass 'zzz'"):
        SIMPLE.edited([edit_of_option(EditKind.REPLACE, "test-other=zzz")])


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (EditKind.SKIP, "a=b", "^--skip: it takes the name of one pass"),
        (EditKind.SKIP, "a,b", "^--skip: it takes the name of one pass .--skip PASS, as often"),
        (EditKind.SKIP, "", "^--skip: it takes the name of one pass"),
        (EditKind.REPLACE, "a", "^--replace: 'a' does not say which pass and which passes"),
        (EditKind.INSERT_AFTER, "=b", "^--insert-after: '=b' does not say"),
        (EditKind.INSERT_BEFORE, "a=", "^--insert-before: 'a=' does not say"),
    ],
)
def test_edits_of_another_form(kind: EditKind, value: str, message: str):
    with pytest.raises(FuriosaError, match=message):
        edit_of_option(kind, value)


def after(pipeline: Pipeline) -> list[str]:
    module = ModuleOp([], {HISTORY: NOTHING_RAN})
    run_pipeline(make_context(), module, pipeline)
    history = history_of(module)
    return [*history.passes, *(f"-{name}" for name in sorted(history.left_out))]


def test_the_history_has_what_was_taken_out():
    assert after(SIMPLE) == ["test-step", "test-other", "test-third{number=1}"]
    assert after(SIMPLE.skip("test-step")) == ["test-other", "test-third{number=1}", "-test-step"]
    # In another phase it runs, and in its own with other options.
    moved = SIMPLE.skip("test-step").insert_before("test-other", "test-step{number=3}")
    assert "-test-step" not in after(moved)
    assert "-test-step" not in after(SIMPLE.replace("test-step", Step(4)))
    text = Pipeline.of_text("one(test-other)", SIMPLE.phases)
    assert after(text) == ["test-other", "-test-step"]
    # Passes outside of phases are nobody's.
    assert after(Pipeline.of_text("test-step,test-other").skip("test-step")) == ["test-other"]
