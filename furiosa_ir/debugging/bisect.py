"""From a wrong result to the first pass, rule application and operation that makes it wrong.

The compile runs once and leaves the module behind each pass; the values of the source and of the
last of these, which the value tracker knows to be the same, are compared on one input after another
until one differs. A binary search over the modules finds the pass, another over how many rules the
pass applies finds the application. Where kernels are right and the program is not, the simulator
takes the interpreter's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.comparison import Disagreement
from furiosa_ir.debugging.applications import Judge, Replay, first_wrong_application
from furiosa_ir.debugging.change import Change, find_change
from furiosa_ir.debugging.device import device_change, is_on_device
from furiosa_ir.debugging.execution import Memory, Record, record
from furiosa_ir.debugging.finding import Finding
from furiosa_ir.debugging.inputs import (
    DEFAULT_COUNT,
    NumberedInput,
    debugging_inputs,
    given_debugging_inputs,
    inputs_of,
)
from furiosa_ir.debugging.numerics_test import NumericsTest
from furiosa_ir.debugging.state import (
    State,
    frozen,
    numbered,
    numbered_values,
    same_operations,
    take_attributes,
)
from furiosa_ir.debugging.windows import WindowFinding, wrong_window
from furiosa_ir.driver import CompileResult, compile_source
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation, Pipeline
from furiosa_ir.ir.value_tracking import ValueTracker, tracking
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.plugin_source import Plugin
from furiosa_ir.plugins import is_ours
from furiosa_ir.verification.commands import has_commands
from furiosa_ir.verification.inputs import NetworkInput, drawn_inputs
from furiosa_ir.verification.trace import CompileTrace
from furiosa_ir.verification.verify import verify_compile


@dataclass(frozen=True)
class Moment:
    """The module behind a pass.

    Attributes:
        what: the pass; None: nothing has run.
        state: the module; its numbers are of the source's values.
    """

    what: Pass | None
    state: State


@dataclass
class History(Instrumentation):
    """Keeps the module behind each pass that changed it.

    Values are numbered when they first are there: those of the source, then what passes make.

    Attributes:
        moments: what was kept.
        tracker: has the values' numbers.
        idle: passes of plug-ins that changed nothing.
    """

    moments: list[Moment] = field(default_factory=list[Moment])
    tracker: ValueTracker = field(default_factory=ValueTracker)
    idle: list[str] = field(default_factory=list[str])
    _count: int = 0

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        self._number(module)
        self.moments.append(Moment(None, frozen(module, self.tracker)))

    def _number(self, module: ModuleOp) -> None:
        names = self.tracker.names
        for value in numbered_values(module):
            if value not in names:
                names[value] = (self._count,)
                self._count += 1

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        if self.moments[-1].what is not None:
            self._number(module)
            self._name_last(module)

    def _name_last(self, module: ModuleOp) -> None:
        """Gives the numbers to the copy of the module, too."""
        last = self.moments[-1]
        if not same_operations(last.state.module, module):
            return
        copies = numbered_values(last.state.module)
        names = {
            copy: self.tracker.names[value]
            for copy, value in zip(copies, numbered_values(module), strict=True)
        }
        self.moments[-1] = Moment(last.what, replace(last.state, names=names))

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        if not same_operations(self.moments[-1].state.module, module):
            self.moments.append(Moment(what, frozen(module, self.tracker)))
            return
        take_attributes(self.moments[-1].state.module, module)
        if not is_ours(type(what)):
            self.idle.append(what.name)


@dataclass(frozen=True)
class Bisection:
    """What a search has found.

    Attributes:
        finding: the pass that changes a value; None if none does.
        before: the module in front of it; None if there is no such pass.
        passes: those that take `before` to where the value is wrong: the pass, or, where the
            simulator tells, all from the kernels on.
        inputs: how many were run.
        compared: the passes that changed the module.
        failure: how the compile ended, if not with a program.
        source: how what was read differs from what the framework computes, if no pass is wrong.
        idle: passes of plug-ins that changed nothing.
        test: shows what was found, if it is a test already: then `before` is a part of the module.
    """

    finding: Finding | None
    before: ModuleOp | None
    passes: tuple[Pass, ...]
    inputs: int
    compared: tuple[str, ...]
    failure: FuriosaError | None = None
    source: Disagreement | None = None
    idle: tuple[str, ...] = ()
    test: NumericsTest | None = None


def bisect(
    source: Path,
    *,
    passes: str | Pipeline | PipelineRequest | None = None,
    target: str | None = None,
    batch_size: int | None = None,
    part: Part = WHOLE,
    plugins: Sequence[Plugin] = (),
    count: int = DEFAULT_COUNT,
    inputs: Path | None = None,
) -> Bisection:
    """Finds what makes a compile's result wrong.

    Args:
        source: the network, or IR text.
        passes: as of `driver.compile_source`.
        target: as of `driver.compile_source`.
        batch_size: as of `driver.compile_source`.
        part: as of `driver.compile_source`.
        plugins: as of `driver.compile_source`.
        count: how many inputs to draw.
        inputs: a file of inputs in place of drawn ones (`verification.inputs.given_inputs`).

    Raises:
        FuriosaError: the source cannot be read, or not compiled although no pass changes a value.
    """
    history, trace = History(), CompileTrace()
    result: CompileResult | None = None
    failure: FuriosaError | None = None
    with trace.recording(), tracking(history.tracker):
        try:
            result = compile_source(
                source,
                passes=passes,
                target=target,
                batch_size=batch_size,
                part=part,
                plugins=plugins,
                instrumentation=[history, trace],
            )
        except FuriosaError as error:
            if not history.moments:
                raise
            failure = error
    moments = history.moments
    entries = inputs_of(moments[0].state.module)
    drawn = (
        debugging_inputs(entries, count)
        if inputs is None
        else given_debugging_inputs(inputs, entries)
    )
    found = _Search(moments, drawn).run()
    if found is None and failure is not None:
        raise failure
    differs = None
    if found is None:
        assert result is not None
        trace.finish(result.module)
        try:
            verify_compile(trace, source, result.program, inputs=inputs, part=part)
        except Disagreement as error:
            differs = error
            if inputs is None:  # it has drawn others
                drawn = _as_verified(entries)
                found = _Search(moments, drawn).run()
    compared = tuple(m.what.name for m in moments if m.what is not None)
    if found is not None:
        finding, before, behind = found
        return Bisection(finding, before, behind, len(drawn), compared, failure)
    part_found = None if differs is not None else _search_windows(moments)
    if part_found is not None:
        finding, test = part_found.finding, part_found.test
        count = len(drawn)
        return Bisection(finding, part_found.window, test.passes, count, compared, test=test)
    return Bisection(None, None, (), len(drawn), compared, None, differs, tuple(history.idle))


def _search_windows(moments: Sequence[Moment]) -> WindowFinding | None:
    """A part of a module that shows a pass of a plug-in to be wrong, on inputs of its own."""
    for before, behind in pairwise(moments):
        what, module = behind.what, before.state.module
        if what is not None and not is_ours(type(what)) and not is_on_device(module):
            found = wrong_window(what, module)
            if found is not None:
                return found
    return None


def _as_verified(entries: Sequence[NetworkInput]) -> list[NumberedInput]:
    """The inputs that `--verify` draws."""
    drawn = drawn_inputs(entries)
    return [NumberedInput(n, "of --verify", feeds) for n, feeds in enumerate(drawn, 1)]


_Result = tuple[Finding, ModuleOp, tuple[Pass, ...]]


@dataclass
class _Search:
    """One search through the moments of a compile."""

    moments: Sequence[Moment]
    inputs: Sequence[NumberedInput]
    memory: Memory = field(default_factory=Memory)

    def run(self) -> _Result | None:
        """The first pass that changes a value of the source, else one on the way."""
        runnable = [m for m in self.moments if not has_commands(m.state.module)]
        for on in self.inputs:
            known = record(runnable[0].state.module, on.feeds, self.memory)
            if self._change(runnable[0].state, known, runnable[-1].state, on) is not None:
                return self._interpreted(runnable, known, on)
            if is_on_device(self.moments[-1].state.module):
                found = self._simulated(on)
                if found is not None:
                    return found
        for on in self.inputs:
            for index in range(1, len(runnable)):
                first, then = runnable[index - 1 : index + 1]
                known = record(first.state.module, on.feeds, self.memory)
                change = self._change(first.state, known, then.state, on)
                if change is not None:
                    return self._within(first, then, change, on)
        return None

    def _change(
        self, before: State, known: Record, after: State, on: NumberedInput
    ) -> Change | None:
        try:
            seen = record(after.module, on.feeds, self.memory)
        except ExecutionFailure as error:
            what = f"it cannot be run any more: {error.message}"
            return Change(error.layer or "", what, on)
        return find_change(before, known, after, seen, on)

    def _interpreted(self, runnable: Sequence[Moment], known: Record, on: NumberedInput) -> _Result:
        source = runnable[0].state
        right, wrong = 0, len(runnable) - 1
        while wrong - right > 1:
            middle = (right + wrong) // 2
            if self._change(source, known, runnable[middle].state, on) is None:
                right = middle
            else:
                wrong = middle
        change = self._change(source, known, runnable[wrong].state, on)
        assert change is not None
        return self._within(runnable[right], runnable[wrong], change, on)

    def _within(self, first: Moment, then: Moment, change: Change, on: NumberedInput) -> _Result:
        """What in the pass between two moments changes a value."""
        what, module = then.what, first.state.module
        assert what is not None
        before = State(module, numbered(module))
        known = record(module, on.feeds, self.memory)

        def judge(state: State) -> Change | None:
            return self._change(before, known, state, on)

        # As far as it goes, beside the module in front of the pass, not the source.
        change = self._change(first.state, known, then.state, on) or change
        replay = Replay(what, module, then.state.module)
        return self._found(replay, judge, change), module, (what,)

    def _found(self, replay: Replay, judge: Judge, change: Change) -> Finding:
        found = first_wrong_application(replay, judge, change)
        return Finding.of(replay.what, found, len(self.inputs))

    def _simulated(self, on: NumberedInput) -> _Result | None:
        """The pass behind which the program is another than the kernels, on one input."""
        first = next(i for i, m in enumerate(self.moments) if is_on_device(m.state.module))
        kernels = [m.state.module for m in self.moments[first:] if not has_commands(m.state.module)]
        last = self.moments[-1]

        def program(module: ModuleOp) -> Change | None:
            return device_change(module, [on], kernels[-1] if kernels else None, self.memory)

        change = program(last.state.module)
        if change is None:
            return None
        assert last.what is not None
        behind = tuple(m.what for m in self.moments[first:] if m.what is not None)
        before = self.moments[first - 1].state.module if first else self.moments[0].state.module
        for index in range(first + 1, len(self.moments)):
            what, module = self.moments[index].what, self.moments[index - 1].state.module
            assert what is not None
            if is_ours(type(what)) or program(module) is not None:
                continue
            wrong = program(self.moments[index].state.module)
            if wrong is None:
                continue
            replay = Replay(what, module, self.moments[index].state.module)
            finding = self._found(replay, lambda s: program(s.module), wrong)
            return finding, before, behind[: index - first + 1]
        finding = Finding(last.what, change, None, 0, len(self.inputs))
        return finding, before, behind
