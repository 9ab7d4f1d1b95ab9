"""Which application of a rule changes a value: a pass again, on copies, stopped after k of them.

Passes are functions of the module, so a pass that runs again on a copy applies the same rules to
the same operations in the same order. A search over how many of them may happen finds the first one
that changes a value, as with LLVM's debug counters.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from furiosa_ir.debugging.change import Change
from furiosa_ir.debugging.state import State, numbered, same_operations
from furiosa_ir.debugging.text import operation_lines
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.rewrite_watch import Application, RewriteListener, watched_rewrites
from furiosa_ir.ir.value_tracking import ValueTracker, tracking
from furiosa_ir.verification.trace import copy_module

Judge = Callable[[State], Change | None]
"""What is different in the state that a replay has made."""


class Unrepeatable(Exception):  # no error: what a search ends with
    """A pass does something else each time it runs, or cannot leave out what it did once."""


class _Stopped(Exception):  # no error: how a pass is left whose module is wanted
    def __init__(self, root: Operation) -> None:
        super().__init__()
        self.root = root


@dataclass
class RewriteLimit(RewriteListener):
    """How many rules a pass may apply.

    Attributes:
        most: no rule is applied after so many; None: without end. Dead operations go all the same.
        stop_at: the attempt in whose place the pass is left.
        attempts: rules that were tried, whether they applied or not.
        applied: attempt and application, of the rules that were.
        others: what the pass made without asking: lowerings, kernels.
    """

    most: int | None = None
    stop_at: int | None = None
    attempts: int = 0
    applied: list[tuple[int, Application]] = field(default_factory=list[tuple[int, Application]])
    others: list[Application] = field(default_factory=list[Application])
    _asked: bool = False

    @override
    def may_apply(self, rule: str, root: Operation) -> bool:
        self._asked = self.most is None or len(self.applied) < self.most
        return self._asked

    @override
    def before_rule(self, rule: str, root: Operation) -> None:
        if self._asked:
            self.attempts += 1
            if self.attempts == self.stop_at:
                raise _Stopped(root)

    @override
    def after_rule(self, rule: str, application: Application | None) -> None:
        if application is not None and self._asked:
            self.applied.append((self.attempts, application))
        elif application is not None:
            self.others.append(application)
        self._asked = False


@dataclass(frozen=True)
class Replay:
    """A pass on a module as it was before.

    Attributes:
        what: the pass.
        before: the module.
        after: what the pass made of it when it first ran; None if nobody kept it.
    """

    what: Pass
    before: ModuleOp
    after: ModuleOp | None = None

    def run(self, limit: RewriteLimit) -> State:
        """What the pass makes of a copy within a limit; the numbers are those of `before`.

        Raises:
            Unrepeatable: the pass fails, which it did not when it first ran.
        """
        copy = copy_module(self.before, {})
        tracker = ValueTracker(names=numbered(copy))
        try:
            self._apply(copy, tracker, limit)
        except Exception as error:  # a plug-in's may be any
            raise Unrepeatable from error
        return _state(copy, tracker)

    def before_attempt(self, attempt: int) -> tuple[Operation, State]:
        """The root of an attempt, and the module as it is then.

        Raises:
            Unrepeatable: the pass does not come to that attempt again.
        """
        copy = copy_module(self.before, {})
        tracker = ValueTracker(names=numbered(copy))
        try:
            self._apply(copy, tracker, RewriteLimit(stop_at=attempt))
        except _Stopped as stopped:
            return stopped.root, _state(copy, tracker)
        except Exception as error:
            raise Unrepeatable from error
        raise Unrepeatable

    def _apply(self, module: ModuleOp, tracker: ValueTracker, limit: RewriteLimit) -> None:
        with (
            tracking(tracker),
            watched_rewrites(self.what.name, [limit]),
            np.errstate(invalid="ignore"),
        ):
            self.what.apply(make_context(), module)


def _state(module: ModuleOp, tracker: ValueTracker) -> State:
    live = {v for op in module.walk() for v in op.results}
    return State(module, {v: n for v, n in tracker.names.items() if v in live})


@dataclass(frozen=True)
class RuleApplication:
    """The application of a rule that changes a value.

    Attributes:
        rule: its name; of a lowering, its function's.
        number: of the pass's applications, from 1; None of what cannot be left out.
        layer: of the root.
        root: the root, in the module in front of the application; None of what cannot be left
            out.
        at: that module, with the numbers of the one in front of the pass.
        operation: the root's text; its name alone where there is no root.
        made: the texts of what stands in its place.
    """

    rule: str
    number: int | None
    layer: str
    root: Operation | None
    at: State | None
    operation: str
    made: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What changes a value within a pass.

    Attributes:
        application: of which rule; None where the pass does it without one.
        total: how many rules the pass applies.
        change: what is different after it.
        is_repeatable: whether the pass does the same each time it runs; nothing is known of its
            applications if not.
    """

    application: RuleApplication | None
    total: int
    change: Change
    is_repeatable: bool = True


def first_wrong_application(replay: Replay, judge: Judge, change: Change) -> Found:
    """The first application of a rule after which a value is another.

    A binary search over how many applications happen: without the one that is found, no value
    differs; with it, one does.

    Args:
        replay: the pass that changes a value.
        judge: compares a state with the one before the pass.
        change: what is different after the whole pass.
    """
    whole = RewriteLimit()
    try:
        return _searched(replay, judge, change, whole)
    except Unrepeatable:
        return Found(None, len(whole.applied), change, is_repeatable=False)


def _searched(replay: Replay, judge: Judge, change: Change, whole: RewriteLimit) -> Found:
    after = replay.run(whole)
    if replay.after is not None and not same_operations(after.module, replay.after):
        raise Unrepeatable
    total = len(whole.applied)
    if total == 0 or _change_within(replay, judge, 0) is not None:
        change = judge(after) or change  # of the values in front of the pass
        return Found(_unlimited(whole, after, change), total, change)
    right, wrong = 0, total
    while wrong - right > 1:
        middle = (right + wrong) // 2
        if _change_within(replay, judge, middle) is None:
            right = middle
        else:
            wrong = middle
    limit = RewriteLimit(most=wrong)
    state = replay.run(limit)
    if len(limit.applied) != wrong:
        raise Unrepeatable
    attempt, last = limit.applied[-1]
    root, at = replay.before_attempt(attempt)
    made = tuple(operation_lines([op for op in last.made if op.parent is not None]))
    (text,) = operation_lines([root])
    layer = "+".join(last.layers)
    found = RuleApplication(last.rule, wrong, layer, root, at, text, made)
    return Found(found, total, judge(state) or change)


def _change_within(replay: Replay, judge: Judge, most: int) -> Change | None:
    try:
        return judge(replay.run(RewriteLimit(most=most)))
    except Unrepeatable:  # half of a pass may be what the rest of it cannot do with
        return None


def _unlimited(whole: RewriteLimit, after: State, change: Change) -> RuleApplication | None:
    """The lowering, or the like, that made the value which is another."""
    if change.number is None:
        return None
    ops = {value.owner for value, numbers in after.names.items() if change.number in numbers}
    for each in whole.others:
        if any(op in ops for op in each.made):
            live = [op for op in each.made if op.parent is not None]
            made = tuple(operation_lines(live)) if live and _is_in_module(live[0]) else ()
            layer = "+".join(each.layers)
            return RuleApplication(each.rule, None, layer, None, None, each.root, made)
    return None


def _is_in_module(op: Operation) -> bool:
    parent: Operation | None = op
    while parent is not None and not isinstance(parent, ModuleOp):
        parent = parent.parent_op()
    return parent is not None


def place_of_rule(what: Pass, rule: str) -> str | None:
    """Where a pass's rule is written: "file:line"; None where nobody knows."""
    for each in what.rule_list():
        if each.name == rule:
            try:
                path = Path(inspect.getsourcefile(each.function) or "")
                line = inspect.getsourcelines(each.function)[1]
            except (OSError, TypeError):
                return None
            near = os.path.relpath(path)
            return f"{path if near.startswith('..') else near}:{line}"
    return None
