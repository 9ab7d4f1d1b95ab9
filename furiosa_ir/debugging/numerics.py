"""`--check-numerics`: a module runs before and after each pass, on the same inputs.

    numerics = Numerics(8)
    with numerics.recording():
        compile_source(..., instrumentation=[numerics])

On the interpreter as far as it gives operations meaning; behind passes of plug-ins among a
backend's own, and at the end, the program that the module becomes runs on the simulator, too. Parts
of the module, on inputs of their own, are run behind a pass of a plug-in that changes no value. The
first pass that changes one ends the compile; it is run again on what was before, with ever fewer
applications of its rules, to find the one that does it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Never

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.debugging.applications import Found, Judge, Replay, first_wrong_application
from furiosa_ir.debugging.change import Change, find_change
from furiosa_ir.debugging.device import device_change, is_on_device
from furiosa_ir.debugging.execution import Memory, Record, record
from furiosa_ir.debugging.finding import Finding
from furiosa_ir.debugging.inputs import DEFAULT_COUNT, NumberedInput, debugging_inputs, inputs_of
from furiosa_ir.debugging.state import State, frozen, numbered, same_operations, take_attributes
from furiosa_ir.errors import ExecutionFailure, FuriosaError
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.ir.value_tracking import ValueTracker, tracking
from furiosa_ir.plugins import is_ours
from furiosa_ir.verification.commands import has_commands


class NumericsFailure(FuriosaError):
    """A pass changes a value."""


@dataclass
class Numerics(Instrumentation):
    """Runs the module on inputs before and after every pass.

    Attributes:
        count: how many inputs.
        inputs: they; if there are none, they are drawn for what the module takes.
        locates: whether to look for the application of a rule within the pass that is found.
        parts: looks for a part of a module of which a plug-in's pass changes a value, on inputs of
            its own, where the whole shows none (`windows.change_of_part`); None: nobody does.
        finding: what was found, once it has failed.
        before: the module in front of the pass that was found.
        kernels: what commands were made of, if there are commands.
        compared: passes whose values were compared.
    """

    count: int = DEFAULT_COUNT
    inputs: Sequence[NumberedInput] = ()
    locates: bool = True
    parts: Callable[[Pass, ModuleOp], Finding | None] | None = None
    finding: Finding | None = None
    before: State | None = None
    kernels: ModuleOp | None = None
    compared: list[str] = field(default_factory=list[str])
    _drawn: Sequence[NumberedInput] = ()
    _tracker: ValueTracker = field(default_factory=ValueTracker)
    _memory: Memory = field(default_factory=Memory)
    _known: list[Record] = field(default_factory=list[Record])

    @contextmanager
    def recording(self) -> Generator[Numerics]:
        """What is run within it is compared."""
        with tracking(self._tracker):
            yield self

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        """Another module: nothing is known of it."""
        self.before, self.kernels, self._known = None, None, []
        self._drawn = ()
        self._memory = Memory()

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        if not self._drawn:
            self._drawn = self.inputs or debugging_inputs(inputs_of(module), self.count)
        self._tracker.names.clear()
        self._tracker.names.update(numbered(module))
        known = None if self.before is None else self.before.module
        if known is None or not same_operations(known, module):
            self.before, self._known = frozen(module, self._tracker), []
        else:  # what the pass in front has left, which has run already
            self.before = State(known, numbered(known))

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        before = self.before
        assert before is not None
        if same_operations(before.module, module):
            take_attributes(before.module, module)
            return
        after = frozen(module, self._tracker)
        if not has_commands(module):
            self._compare(what, before, after)
            self._compare_parts(what, before)
        if is_on_device(module) and (has_commands(module) or not is_ours(type(what))):
            self._compare_program(what, before, after)
        self.before = after
        self.compared.append(what.name)

    def report(self) -> list[str]:
        """What there is to say in the end, line by line."""
        if self.finding is not None:
            return self.finding.lines()
        if not self.compared:
            return ["numerics: no pass changed an operation"]
        inputs = f"{len(self._drawn)} input{'s' if len(self._drawn) > 1 else ''}"
        return [f"numerics: {inputs}, the same values before and after {', '.join(self.compared)}"]

    def _compare(self, what: Pass, before: State, after: State) -> None:
        if not self._known:
            self._known = [record(before.module, on.feeds, self._memory) for on in self._drawn]
        seen: list[Record] = []
        for on, known in zip(self._drawn, self._known, strict=True):
            change, found = self._run(before, known, after, on)
            if change is not None:
                self._fail(what, before, after, change, self._judge(before, known, on))
            seen += found
        self._known = seen

    def _compare_parts(self, what: Pass, before: State) -> None:
        if self.parts is None or is_ours(type(what)) or is_on_device(before.module):
            return
        found = self.parts(what, before.module)
        if found is not None:
            self._raise(found)

    def _compare_program(self, what: Pass, before: State, after: State) -> None:
        if not has_commands(before.module):
            self.kernels = before.module
        kernels = self.kernels
        change = device_change(after.module, self._drawn, kernels, self._memory)
        if change is None:
            return
        on = [change.on]
        if (
            not is_ours(type(what))
            and device_change(before.module, on, kernels, self._memory) is not None
        ):
            return  # it was wrong before: a pass of the backend makes it so, which comes
        self._fail(
            what,
            before,
            after,
            change,
            lambda state: device_change(state.module, on, kernels, self._memory),
        )

    def _fail(self, what: Pass, before: State, after: State, change: Change, judge: Judge) -> None:
        found = Found(None, 0, change)
        if self.locates:
            replay = Replay(what, before.module, after.module)
            found = first_wrong_application(replay, judge, change)
        self._raise(Finding.of(what, found, len(self._drawn)))

    def _raise(self, finding: Finding) -> Never:
        self.finding = finding
        raise NumericsFailure(finding.sentence, layer=finding.layer or None)

    def _run(
        self, before: State, known: Record, after: State, on: NumberedInput
    ) -> tuple[Change | None, list[Record]]:
        try:
            seen = record(after.module, on.feeds, self._memory)
        except ExecutionFailure as error:
            what = f"it cannot be run any more: {error.message}"
            return Change(error.layer or "", what, on), []
        return find_change(before, known, after, seen, on), [seen]

    def _judge(self, before: State, known: Record, on: NumberedInput) -> Judge:
        """Compares states with the one before the pass, on the input that shows the change."""
        return lambda state: self._run(before, known, state, on)[0]
