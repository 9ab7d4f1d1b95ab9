"""Every rule of every pass, on random modules of what it matches, against the interpreter.

`tests/passes/generated` draws them. A rule is tried alone, in pairs and in its pass: it keeps every
value bit for bit (rules on single elements on all 8-bit values), comes to an end, adds no
operations but as `GROWTH` says, and a pass that runs again changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr

from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import RewriteDriver
from furiosa_ir.ir.shaped_operation import ShapedOp
from furiosa_ir.ir.text import print_module
from tests.passes.generated.judge import NotRunnable, judge, limit
from tests.passes.generated.kinds import concrete
from tests.passes.generated.modules import drawn_module
from tests.passes.generated.pattern import HINTS, Wanted
from tests.passes.generated.rules import (
    GROWTH,
    SOURCES,
    RuleUse,
    all_rules,
    draws_of,
    require_fired,
    rewrite_passes,
    uses_of,
)

RULES = all_rules()
PASSES = rewrite_passes()
ENOUGH, MOST = 3, 60
"""A rule that has fired so often has been tried; one that does not in so many draws is not."""

NOT_IDEMPOTENT: dict[str, str] = {}
"""Pass -> why it changes something again behind itself."""


@pytest.mark.parametrize("use", RULES, ids=lambda use: use.rule.name)
def test_a_rule_keeps_every_value_ends_and_does_not_grow(use: RuleUse) -> None:
    require_fired(use, ENOUGH, MOST)


@pytest.mark.slow
@pytest.mark.weekly
@pytest.mark.parametrize("use", RULES, ids=lambda use: use.rule.name)
def test_a_rule_on_many_modules(use: RuleUse) -> None:
    require_fired(use, 300, 300)


def _drawn_of(what: RewritePass, source: str, count: int) -> Iterator[tuple[RuleUse, ModuleOp]]:
    """Modules that the rules of a pass may apply to."""
    for use in uses_of(what):
        if source in use.sources:
            for drawn in draws_of(use, source, count):
                yield use, drawn.module


def _check_pass(what: RewritePass, source: str, count: int) -> None:
    for use in uses_of(what):
        for drawn in draws_of(use, source, count) if source in use.sources else ():

            def apply(module: ModuleOp) -> int:
                before = print_module(module)
                what.apply(make_context(), module)
                return print_module(module) != before

            try:
                judge(drawn, apply, f"{what.name} on what {use.rule.name} matches")
            except NotRunnable:
                continue
            once = print_module(drawn.module)
            what.apply(make_context(), drawn.module)
            again = print_module(drawn.module)
            assert what.name in NOT_IDEMPOTENT or again == once, (
                f"{what.name} again, drawn with '{drawn.seed}', makes of\n{once}\nthis:\n{again}"
            )


PASS_CASES = [
    pytest.param(what, source, id=f"{what.name}-{source}")
    for what in PASSES
    for source in SOURCES
    if any(source in use.sources for use in uses_of(what))
]


@pytest.mark.parametrize(("what", "source"), PASS_CASES)
def test_a_pass_keeps_every_value_and_changes_nothing_again(what: RewritePass, source: str) -> None:
    _check_pass(what, source, 2)


@pytest.mark.slow
@pytest.mark.weekly
@pytest.mark.parametrize(("what", "source"), PASS_CASES)
def test_a_pass_on_many_modules(what: RewritePass, source: str) -> None:
    _check_pass(what, source, 60)


def _check_pairs(what: RewritePass, source: str, count: int) -> None:
    """Rules of a pass two by two: neither undoes for ever what the other does, nor grows by it."""
    drawn: dict[str, list[ModuleOp]] = {}
    for use, module in _drawn_of(what, source, count):
        drawn.setdefault(use.rule.name, []).append(module)
    uses = {use.rule.name: use.rule for use in uses_of(what) if source in use.sources}
    for first, second in itertools.combinations(uses, 2):
        for module in (m.clone() for m in (*drawn[first], *drawn[second])):
            before = sum(1 for _ in module.walk())
            driver = RewriteDriver([uses[first], uses[second]], what, limit=limit(module))
            driver.run(module)
            most = sum(
                GROWTH[name].operations * times if name in GROWTH else 0
                for name, times in driver.applied.items()
            )
            assert sum(1 for _ in module.walk()) <= before + most, (
                f"{what.name}: {first} and {second} let a program grow:\n{print_module(module)}"
            )


@pytest.mark.parametrize(("what", "source"), PASS_CASES)
def test_two_rules_of_a_pass_come_to_an_end(what: RewritePass, source: str) -> None:
    _check_pairs(what, source, 1)


@pytest.mark.slow
@pytest.mark.weekly
@pytest.mark.parametrize(("what", "source"), PASS_CASES)
def test_two_rules_of_a_pass_on_many_modules(what: RewritePass, source: str) -> None:
    _check_pairs(what, source, 10)


@pytest.mark.parametrize("source", SOURCES)
def test_every_operation_can_be_drawn(source: str) -> None:
    """So a rule on any of them can be; a new operation says in one line what is special to it."""
    unknown: list[str] = []
    for cls in concrete((ShapedOp,)):
        try:
            drawn_module(Wanted((cls,)), source, cls.name)
        except (LookupError, ValueError, AssertionError) as error:
            unknown.append(f"{cls.name}: {error}")
    assert not unknown, "\n".join(unknown)


def test_passes_list_every_rule_that_they_apply() -> None:
    for what in PASSES:
        listed = {rule.name for rule in what.rule_list()}
        for source in SOURCES:
            module = ModuleOp([], {"graph.source": StringAttr(source)})
            assert {rule.name for rule in what.rules_for(module)} <= listed, what.name


def test_hints_and_bounds_are_of_rules_that_there_are() -> None:
    names = {use.rule.name for use in RULES}
    assert HINTS.keys() <= names
    assert GROWTH.keys() <= names
    assert NOT_IDEMPOTENT.keys() <= {what.name for what in PASSES}
