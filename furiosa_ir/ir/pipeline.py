"""Pipelines as data: named phases of passes, a verifier at the end of each, instrumentation.

    PIPELINE = Pipeline("machine", (
        Phase("graph", "the network, cleaned up and cut into segments", (
            "graph-fold-constants",
            "graph-fold-qdq",      # after constants: its patterns look for constant scales
            ...
        )),
        Phase("ftensor", "integers only", ("lower-to-ftensor", ...)),
    ))

The reason why a pass stands where it does is written where it stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import DiagnosticException

from furiosa_ir.errors import CompilationFailure, FuriosaError, VerificationFailure
from furiosa_ir.ir.history import record_left_out, record_pass
from furiosa_ir.ir.passes import PASSES, Pass, nearest, parse_passes, passes_of, pipeline_text
from furiosa_ir.ir.pipeline_text import MODULE_ANCHORS, Element, parse_elements
from furiosa_ir.ir.rewrite_watch import RewriteListener, watched_rewrites
from furiosa_ir.ir.rewriting import made_by
from furiosa_ir.ir.verifier import OperationFailure, verify_module
from furiosa_ir.pipeline_request import Edit, EditKind
from furiosa_ir.plugins import is_ours, raise_plugin_failure
from furiosa_ir.spans import span

Passes = str | Pass | Iterable[str | Pass]
"""Passes, as whoever edits a pipeline gives them: a text (`a,b{option=1}`), a pass, several."""


@dataclass(frozen=True)
class Phase:
    """A named stretch of a pipeline.

    Attributes:
        name: also the level of IR that holds at its end ("graph", "ftensor", ...); empty for passes
            that somebody gives outside of any phase.
        description: half a sentence: what holds at its end.
        passes: pass specifications as in a pipeline text, or passes.
        verifier: what must hold at its end beyond each operation's own rules; raises
            VerificationFailure (`ir.verifier.raise_faults`). Passes outside of any phase have none.
        left_out: passes of the phase that an edit has taken out. The module's history has them,
            so that a compile that goes on from text does not catch up on them.
    """

    name: str
    description: str
    passes: tuple[str | Pass, ...]
    verifier: Callable[[ModuleOp], None] | None = None
    left_out: tuple[str, ...] = ()

    def resolve(self) -> tuple[Pass, ...]:
        """The passes, imported.

        Raises:
            FuriosaError: as `ir.passes.parse_passes`.
        """
        return _resolved(self.passes)

    def with_passes(self, passes: Passes) -> Phase:
        """The phase with other passes, and its verifier.

        Raises:
            FuriosaError: as `ir.passes.parse_passes`.
        """
        made = _resolved(passes)
        names = {what.name for what in made}
        before = (what.name for what in self.resolve())
        gone = dict.fromkeys((*self.left_out, *(before if self.name else ())))
        return replace(self, passes=made, left_out=tuple(n for n in gone if n not in names))

    @property
    def text(self) -> str:
        """As a pipeline text has it: `graph(a,b)`; without a name its passes alone."""
        passes = pipeline_text(self.resolve())
        return f"{self.name}({passes})" if self.name else passes


def _resolved(passes: Passes) -> tuple[Pass, ...]:
    entries = (passes,) if isinstance(passes, str | Pass) else passes
    made: list[Pass] = []
    for entry in entries:
        made.extend(parse_passes(entry) if isinstance(entry, str) else (entry,))
    return tuple(made)


@dataclass(frozen=True)
class Pipeline:
    """Phases in order.

    Immutable: each edit makes another pipeline. Where an edit names a pass, `NAME#2` is the second
    one of that name.

        mine = default_pipeline().insert_after("graph-partition", "my-pass{limit=3}")

    Attributes:
        name: for listings.
        phases: what it does.
    """

    name: str
    phases: tuple[Phase, ...]

    def between(self, first: str | None = None, last: str | None = None) -> Pipeline:
        """The phases from `first` to `last`, both included; None leaves that end open.

        Raises:
            FuriosaError: there is no such phase, or they are in the wrong order.
        """
        begin = 0 if first is None else self._index(first)
        end = len(self.phases) - 1 if last is None else self._index(last)
        if end < begin:
            raise FuriosaError(f"the phase '{last}' comes before '{first}'")
        return replace(self, phases=self.phases[begin : end + 1])

    def _index(self, name: str) -> int:
        names = [p.name for p in self.phases]
        if name not in names:
            import difflib  # noqa: PLC0415  # for errors alone

            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
            raise FuriosaError(f"there is no phase '{name}'", hint=hint)
        return names.index(name)

    def insert_before(self, at: str, passes: Passes) -> Pipeline:
        """The pipeline with `passes` in front of the pass `at`, in its phase.

        Raises:
            FuriosaError: there is no such pass in it, or more than one; or as
                `ir.passes.parse_passes`.
        """
        return self._edited(at, lambda what: (*_resolved(passes), what))

    def insert_after(self, at: str, passes: Passes) -> Pipeline:
        """The pipeline with `passes` behind the pass `at`, in its phase.

        Raises:
            FuriosaError: as `insert_before`.
        """
        return self._edited(at, lambda what: (what, *_resolved(passes)))

    def replace(self, at: str, passes: Passes) -> Pipeline:
        """The pipeline with `passes` in the place of the pass `at`.

        Raises:
            FuriosaError: as `insert_before`.
        """
        return self._edited(at, lambda _: _resolved(passes))

    def skip(self, at: str) -> Pipeline:
        """The pipeline without the pass `at`.

        Raises:
            FuriosaError: as `insert_before`.
        """
        return self._edited(at, lambda _: ())

    def edited(self, edits: Iterable[Edit]) -> Pipeline:
        """The pipeline after edits, each of what the one before it has left.

        Raises:
            FuriosaError: as `insert_before`; it says which edit.
        """
        made = self
        for edit in edits:
            try:
                match edit.kind:
                    case EditKind.INSERT_BEFORE:
                        made = made.insert_before(edit.at, edit.passes)
                    case EditKind.INSERT_AFTER:
                        made = made.insert_after(edit.at, edit.passes)
                    case EditKind.REPLACE:
                        made = made.replace(edit.at, edit.passes)
                    case EditKind.SKIP:
                        made = made.skip(edit.at)
            except FuriosaError as error:
                raise error.at(file=edit.where or None) from error.__cause__
        return made

    def _edited(self, at: str, change: Callable[[Pass], tuple[Pass, ...]]) -> Pipeline:
        index, position = self._place(at)
        phase = self.phases[index]
        passes = phase.resolve()
        changed = (*passes[:position], *change(passes[position]), *passes[position + 1 :])
        phases = (*self.phases[:index], phase.with_passes(changed), *self.phases[index + 1 :])
        return replace(self, phases=phases)

    def _place(self, at: str) -> tuple[int, int]:
        """Where a pass stands: which phase, which of its passes."""
        name, number, ordinal = at.strip().partition("#")
        passes = [
            (phase.name, what.name, (index, position))
            for index, phase in enumerate(self.phases)
            for position, what in enumerate(phase.resolve())
        ]
        places = [place for _, what, place in passes if what == name]
        if not places:
            held = [what for phase, what, _ in passes if phase == name]
            hint = nearest(name, dict.fromkeys(what for _, what, _ in passes))
            if held:
                hint = f"that is a phase; its passes are {', '.join(held)}"
            raise FuriosaError(f"there is no pass '{name}' in the pipeline", hint=hint)
        if not number and len(places) == 1:
            return places[0]
        if number and ordinal.isdecimal() and 1 <= int(ordinal) <= len(places):
            return places[int(ordinal) - 1]
        often = "once" if len(places) == 1 else f"{len(places)} times"
        each = " or ".join(f"'{name}#{n}'" for n in range(1, min(len(places), 9) + 1))
        message = f"the pass '{name}' stands in the pipeline {often}"
        if number:
            message = f"there is no pass '{at}': '{name}' stands in the pipeline {often}"
        raise FuriosaError(message, hint=f"say {each}")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Pipeline {self.name}: {self.text}>"

    @property
    def text(self) -> str:
        """All of it as `furiosa-opt -p` takes it, a phase a line."""
        lines = ",\n".join(f"  {phase.text}" for phase in self.phases if phase.text)
        return f"{MODULE_ANCHORS[0]}(\n{lines}\n)"

    @staticmethod
    def of_text(text: str, phases: Sequence[Phase] = ()) -> Pipeline:
        """The pipeline of a pipeline text.

        The name of a phase is the whole of it; `graph(a,b)` is the phase `graph` with these passes
        in place of its own, and its verifier at the end. Passes may stand in front of phases,
        between them and behind; they are a phase without a name.

        Args:
            text: as `ir.passes.parse_passes` takes it, with phases.
            phases: those that it may name.

        Raises:
            FuriosaError: as `ir.passes.parse_passes`, or phases stand in the wrong order.
        """
        if not phases:
            return Pipeline("command line", _outside_of_phases(parse_passes(text)))
        by_name = {phase.name: phase for phase in phases}
        names = list(by_name)
        made: list[Phase] = []
        loose: list[Pass] = []
        for element in parse_elements(text):
            phase = by_name.get(element.text)
            if phase is None:
                loose.extend(_passes_beside(element, names))
                continue
            made.extend(_outside_of_phases(loose))
            loose = []
            before = next((p.name for p in reversed(made) if p.name), None)
            if before is not None and names.index(before) >= names.index(phase.name):
                raise FuriosaError(
                    f"the phase '{phase.name}' cannot come behind '{before}'",
                    hint=f"their order is {', '.join(names)}",
                )
            if element.nested is not None:
                phase = phase.with_passes(passes_of(element.nested, names))
            made.append(phase)
        return Pipeline("command line", (*made, *_outside_of_phases(loose)))


def _outside_of_phases(passes: Sequence[Pass]) -> tuple[Phase, ...]:
    return (Phase("", "as given", tuple(passes)),) if passes else ()


def _passes_beside(element: Element, phases: Sequence[str]) -> tuple[Pass, ...]:
    """The passes that stand between phases."""
    try:
        return tuple(passes_of((element,), phases))
    except FuriosaError:
        import difflib  # noqa: PLC0415  # for errors alone

        close = difflib.get_close_matches(element.name, phases, n=1)
        if close and element.name not in phases and element.name not in PASSES:
            raise FuriosaError(
                f"there is no phase or pass '{element.name}'", hint=f"did you mean '{close[0]}'?"
            ) from None
        raise


class Instrumentation(RewriteListener):
    """What watches a pipeline run; subclasses override what they need."""

    def before_stage(self, name: str) -> None:
        """A stage begins: "import", a phase (of `furiosa-opt` "passes"), the program's format."""

    def before_pipeline(self, module: ModuleOp) -> None:
        """The compiler has read the module, and nothing has run."""

    def before_phase(self, phase: Phase, module: ModuleOp) -> None:
        """The phase is about to run."""

    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        """The pass is about to run."""

    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        """The pass has run (and, with `verify_each`, what it left verifies)."""

    def after_phase(self, phase: Phase, module: ModuleOp, seconds: float) -> None:
        """The phase has run and what it left verifies."""

    def failed(self, what: str, module: ModuleOp) -> None:
        """Something failed, "the pass 'x'" or "the phase 'y'", and left the module like this."""


def run_pipeline(
    context: Context,
    module: ModuleOp,
    pipeline: Pipeline,
    *,
    instrumentation: Sequence[Instrumentation] = (),
    verify_each: bool = False,
) -> None:
    """Runs the pipeline's passes on the module, in place.

    Args:
        context: for the passes (`ir.context.make_context`).
        module: what is transformed.
        pipeline: what runs.
        instrumentation: called around each pass and phase.
        verify_each: verify after each pass, not only at each phase's end. What a pass of a plug-in
            leaves is always verified: the compiler's passes take what they are given to be sound.

    Raises:
        FuriosaError: a pass or a verifier failed; the message names the pass.
    """
    for phase in pipeline.phases:
        started = time.perf_counter()
        with span(f"phase {phase.name}" if phase.name else "passes"):
            with span(_WATCHING):
                for watch in instrumentation:
                    watch.before_phase(phase, module)
            for what in phase.resolve():
                verify = verify_each or not is_ours(type(what))
                run_pass(context, module, what, instrumentation, verify)
            named = f"the phase '{phase.name}'" if phase.name else "the passes"
            with failures_told(named, module, instrumentation):
                if not verify_each or not phase.passes:
                    _verify_after(named, verify_module, module, _TELLS_PASS)
                if phase.verifier is not None:
                    _verify_after(named, phase.verifier, module)
            record_left_out(module, phase.left_out)
            seconds = time.perf_counter() - started
            with span(_WATCHING):
                for watch in instrumentation:
                    watch.after_phase(phase, module, seconds)


@contextmanager
def failures_told(
    what: str, module: ModuleOp, instrumentation: Sequence[Instrumentation]
) -> Generator[None]:
    """Who watches hears of what fails within it."""
    try:
        yield
    except Exception:
        with span(_WATCHING):
            for watch in instrumentation:
                watch.failed(what, module)
        raise


@np.errstate(invalid="ignore")  # constants may hold NaNs that signal, at which numpy warns
def run_pass(
    context: Context,
    module: ModuleOp,
    what: Pass,
    instrumentation: Sequence[Instrumentation] = (),
    verify: bool = True,
) -> None:
    """Runs one pass on the module, in place, and notes it in the module's history.

    Raises:
        FuriosaError: it failed, or what it left does not verify; the message names the pass.
    """
    with span(_WATCHING):
        for watch in instrumentation:
            watch.before_pass(what, module)
    started = time.perf_counter()
    name = f"the pass '{what.name}'"
    with span(what.name), failures_told(name, module, instrumentation):
        with watched_rewrites(what.name, instrumentation):
            _apply(context, module, what)
        record_pass(module, str(what.spec()))
        if verify:
            _verify_after(name, verify_module, module)
    seconds = time.perf_counter() - started
    with span(_WATCHING):
        for watch in instrumentation:
            watch.after_pass(what, module, seconds)


def _apply(context: Context, module: ModuleOp, what: Pass) -> None:
    try:
        what.apply(context, module)
    except DiagnosticException as error:
        text = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise CompilationFailure(f"the pass '{what.name}' failed: {text}") from error
    except VerificationFailure as error:
        if f"the pass '{what.name}'" in error.message:
            raise  # it is a rule's, and named
        raise VerificationFailure(
            f"the pass '{what.name}': {error.message}",
            file=error.file,
            layer=error.layer,
            hint=error.hint,
        ) from error
    except Exception as error:
        if not isinstance(error, FuriosaError):
            raise_plugin_failure(error, None, f"the pass '{what.name}'")
        raise


_WATCHING = "instrumentation"
_TELLS_PASS = "--verify-each tells which pass did it"  # noqa: S105  # no password


def _verify_after(
    what: str, verifier: Callable[[ModuleOp], None], module: ModuleOp, hint: str | None = None
) -> None:
    try:
        with span("verification"):
            verifier(module)
    except OperationFailure as error:
        failures = [_with_rule(each) for each in error.failures or (error,)]
        count = len(failures) + error.unlisted
        raise OperationFailure.of_all(
            failures, count, before=f"after {what}: ", hint=hint
        ) from error
    except VerificationFailure as error:
        raise VerificationFailure(
            f"after {what}: {error.message}", layer=error.layer, hint=error.hint or hint
        ) from error


def _with_rule(failure: OperationFailure) -> OperationFailure:
    """The failure with the rewrite rule that made the operation, if one did."""
    op = failure.operation
    rule = None if op is None else made_by(op)
    if rule is None:
        return failure
    named = OperationFailure(f"{failure.message}, which the {rule} made", layer=failure.layer)
    named.operation = op
    return named
