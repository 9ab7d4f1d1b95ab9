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

import difflib
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import DiagnosticException

from furiosa_ir.errors import CompilationFailure, FuriosaError, VerificationFailure
from furiosa_ir.ir.history import record_pass
from furiosa_ir.ir.passes import Pass, parse_passes, pipeline_text
from furiosa_ir.ir.rewrite_watch import RewriteListener, watched_rewrites
from furiosa_ir.ir.rewriting import made_by
from furiosa_ir.ir.verifier import OperationFailure, verify_module
from furiosa_ir.plugins import is_ours, raise_plugin_failure
from furiosa_ir.spans import span


@dataclass(frozen=True)
class Phase:
    """A named stretch of a pipeline.

    Attributes:
        name: also the level of IR that holds at its end ("graph", "ftensor", ...).
        description: half a sentence: what holds at its end.
        passes: pass specifications as in a pipeline text, or passes.
        verifier: what must hold at its end beyond each operation's own rules; raises
            VerificationFailure (`ir.verifier.raise_faults`). Only pipelines that somebody gives as
            text have phases without.
    """

    name: str
    description: str
    passes: tuple[str | Pass, ...]
    verifier: Callable[[ModuleOp], None] | None = None

    def resolve(self) -> tuple[Pass, ...]:
        """The passes, imported.

        Raises:
            FuriosaError: as `ir.passes.parse_passes`.
        """
        made: list[Pass] = []
        for entry in self.passes:
            made.extend(parse_passes(entry) if isinstance(entry, str) else (entry,))
        return tuple(made)


@dataclass(frozen=True)
class Pipeline:
    """Phases in order.

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
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
            raise FuriosaError(f"there is no phase '{name}'", hint=hint)
        return names.index(name)

    @property
    def text(self) -> str:
        """All its passes as `furiosa-opt -p` takes them."""
        return pipeline_text(p for phase in self.phases for p in phase.resolve())

    @staticmethod
    def of_text(text: str, name: str = "") -> Pipeline:
        """A pipeline of one phase, from a pipeline text.

        Raises:
            FuriosaError: as `ir.passes.parse_passes`.
        """
        passes: tuple[str | Pass, ...] = parse_passes(text)
        return Pipeline("command line", (Phase(name, "as given", passes),))


class Instrumentation(RewriteListener):
    """What watches a pipeline run; subclasses override what they need."""

    def before_stage(self, name: str) -> None:
        """The compiler begins with a stage: "import", a phase, or the program by its format."""

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
            with failures_told(f"the phase '{phase.name}'", module, instrumentation):
                if not verify_each or not phase.passes:
                    _verify_after(f"the phase '{phase.name}'", verify_module, module, _TELLS_PASS)
                if phase.verifier is not None:
                    _verify_after(f"the phase '{phase.name}'", phase.verifier, module)
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
