"""Which passes a compile runs: its backend's from where the module is, or those of a text; edits.

What a user asks for is a pipeline, or nothing, and edits of what would run otherwise. Edits name
passes that run: what a module has been through already, and what comes behind the level asked for,
cannot be edited, and is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends import Backend, backend_for, backends
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.ir.history import history_of
from furiosa_ir.ir.passes import find_pass
from furiosa_ir.ir.pipeline import Phase, Pipeline
from furiosa_ir.ir.pipeline_text import parse_elements
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.passes.assign_target import AssignTarget
from furiosa_ir.passes.partition.graph_partition import outside_of_segments
from furiosa_ir.pipeline_request import Edit, PipelineRequest
from furiosa_ir.plugins import is_ours
from furiosa_ir.stages import level_of, remaining_phases


def phases_to_run(module: ModuleOp, level: str, backend: Backend) -> tuple[Phase, ...]:
    """What is left of the pipeline for a module that may have been through some of it.

    Args:
        module: at any level.
        level: one of the backend's levels of IR, at which it is to end.
        backend: whose pipeline.

    Raises:
        CompilationFailure: it is beyond the level asked for.
    """
    levels, done = backend.levels, level_of(module)
    if done is not None and done not in levels:
        raise CompilationFailure(
            f"the source is at level '{done}', which compiles for {backend.title} do not come to",
            hint="begin with IR of the levels before, or with the network",
        )
    if done is not None and levels.index(done) > levels.index(level):
        raise CompilationFailure(f"the source is at level '{done}', beyond '{level}'")
    left = remaining_phases(module, backend)
    return tuple(p for p in left if levels.index(p.name) <= levels.index(level))


def is_given(passes: str | Pipeline | PipelineRequest | None) -> bool:
    """Whether passes run in place of the compiler's own, edited or not."""
    return (passes.text if isinstance(passes, PipelineRequest) else passes) is not None


def phases_asked_for(
    passes: str | Pipeline | PipelineRequest | None,
    module: ModuleOp,
    level: str | None,
    backend: Backend,
) -> tuple[Phase, ...]:
    """What is to run on a module.

    Args:
        passes: a pipeline, or the text of one, which may name the backend's phases; None: the
            backend's, as far as the module has not been through it. A request may edit either.
        module: at any level.
        level: one of the backend's levels of IR, at which the compile is to end; what a pipeline
            has behind that phase does not run. None: at the last one.
        backend: of the target that is asked for, or the module's; a text may assign another.

    Raises:
        FuriosaError: as `Pipeline.of_text`, `phases_to_run` and `edited_phases`; the backend that a
            text assigns has no such level.
    """
    request = passes if isinstance(passes, PipelineRequest) else None
    if request is not None:
        passes = request.text
    if passes is None:
        phases = phases_to_run(module, level or backend.levels[-1], backend)
    elif isinstance(passes, str):
        try:
            backend = _assigned(passes, backend)
            phases = _phases_of_text(passes, backend)
        except FuriosaError as error:
            where = None if request is None else request.where or None
            raise error.at(file=where) from error.__cause__
        phases = _without_what_is_done(phases, module, backend)
    else:
        phases = require_pipeline(passes).phases
    if level is not None and is_given(passes):
        phases = _phases_up_to(level, phases, backend)
    return phases if request is None else edited_phases(phases, request.edits, backend, module)


def _phases_up_to(level: str, phases: Sequence[Phase], backend: Backend) -> tuple[Phase, ...]:
    """Of phases that somebody gives, those in front of what is beyond a level."""
    if level not in backend.levels:
        raise CompilationFailure(
            f"compiles for {backend.title} do not come to the level '{level}'",
            hint=f"choose one of {', '.join(backend.levels)}",
        )
    beyond = backend.levels[backend.levels.index(level) + 1 :]
    end = next((i for i, phase in enumerate(phases) if phase.name in beyond), len(phases))
    return tuple(phases[:end])


def require_level(module: ModuleOp, level: str, backend: Backend, file: str) -> None:
    """Refuses a module that the pipeline somebody gave has not brought to the level asked for.

    Where nothing runs on the device, nothing comes to a level behind the first.

    Args:
        module: what the pipeline made.
        level: one of the backend's levels.
        backend: whose levels.
        file: the source, for the message.

    Raises:
        CompilationFailure: it is at another one.
    """
    reached = level_of(module) or backend.levels[0]  # a network is written in the first dialect
    functions = [f for f in module.ops if isinstance(f, FuncOp)]
    mains = (f for f in functions if f.sym_name.data == "main")
    computes = any(map(is_npu, functions)) or any(map(outside_of_segments, mains))
    if reached != level and computes:
        raise CompilationFailure(
            f"the pipeline ends at the level '{reached}', not at '{level}'",
            file=file,
            hint=f"--target-ir {reached} writes what it makes",
        )


def _phases_of_text(text: str, backend: Backend) -> tuple[Phase, ...]:
    try:
        return Pipeline.of_text(text, backend.pipeline().phases).phases
    except FuriosaError as error:
        raise (_foreign_phase(text, backend) or error) from error.__cause__


def _without_what_is_done(
    phases: Sequence[Phase], module: ModuleOp, backend: Backend
) -> tuple[Phase, ...]:
    """The phases; what a text leaves out of one is left out only if it would have run otherwise."""
    if not any(phase.left_out for phase in phases):
        return tuple(phases)
    left = {what.name for phase in remaining_phases(module, backend) for what in phase.resolve()}
    return tuple(
        replace(phase, left_out=tuple(name for name in phase.left_out if name in left))
        for phase in phases
    )


def _foreign_phase(text: str, backend: Backend) -> FuriosaError | None:
    """What to say where a text names a phase of another backend."""
    for element in parse_elements(text):
        for other in backends():
            if element.name in other.levels and element.name not in backend.levels:
                return FuriosaError(
                    f"'{element.name}' is a phase for {other.title}, not for {backend.title}",
                    hint=f"there are: {', '.join(backend.levels)}",
                )
    return None


def require_pipeline(passes: object) -> Pipeline:
    """What a caller of the library gives as a pipeline.

    Raises:
        CompilationFailure: it is something else.
    """
    if isinstance(passes, Pipeline):
        return passes
    raise CompilationFailure(
        f"passes cannot be of type {type(passes).__name__}",
        hint='give a pipeline, default_pipeline().skip("graph-fuse-tables"), or the text of one',
    )


def is_all_in_text(pipeline: Pipeline) -> bool:
    """Whether a pipeline's text says all of it: no verifier is a caller's own."""
    return all(phase.verifier is None or is_ours(phase.verifier) for phase in pipeline.phases)


def _assigned(text: str, backend: Backend) -> Backend:
    """The backend of the target that a pipeline text begins with; else the given one."""
    if AssignTarget.name not in text:
        return backend
    first = next(iter(parse_elements(text)), None)
    while first is not None and first.nested:
        first = first.nested[0]
    if first is None or first.name != AssignTarget.name:
        return backend
    (what,) = Pipeline.of_text(first.text).phases[0].resolve()
    assert isinstance(what, AssignTarget)
    return backend_for(what.npu)


def edited_phases(
    phases: Sequence[Phase],
    edits: Sequence[Edit],
    backend: Backend,
    module: ModuleOp,
) -> tuple[Phase, ...]:
    """What is to run, after edits.

    Args:
        phases: what would run without.
        edits: in order.
        backend: whose pipeline it is a part of.
        module: what it is to run on.

    Raises:
        FuriosaError: as `Pipeline.edited`; of a pass that does not run, why.
    """
    made = Pipeline(backend.name, tuple(phases))
    for edit in edits:
        try:
            made = made.edited((edit,))
        except FuriosaError as error:
            raise _why(error, edit, made, backend, module) from error.__cause__
    return made.phases


def _why(
    error: FuriosaError, edit: Edit, made: Pipeline, backend: Backend, module: ModuleOp
) -> FuriosaError:
    """The error of an edit, with the reason why the pass that it names does not run."""
    name = edit.at.partition("#")[0].strip()
    if any(what.name == name for phase in made.phases for what in phase.resolve()):
        return error
    own = next(
        (p for p in backend.pipeline().phases if name in [w.name for w in p.resolve()]), None
    )
    if own is None:
        if not _is_pass(name):
            return error
        message = f"the pass '{name}' is not in the pipeline that it edits"
        hint = "-p and --insert-after add passes; furiosa-opt --dump-pipeline prints the pipeline"
        return FuriosaError(message, file=error.file, hint=hint)
    running = [phase.name for phase in made.phases if phase.name]
    history = history_of(module)
    message = f"the pass '{name}' does not run"
    hint = None
    if name in history.left_out:
        reason = "the text was made without it"
        hint = "begin with the network, or with IR from before it"
    elif name in history.names:
        reason = "the text has been through it"
        hint = "begin with the network, or with IR from before it"
    elif any(name in phase.left_out for phase in made.phases):
        reason = "an edit before this one took it out"
    elif own.name in running or not running:
        reason = "it is not in the pipeline that the edit changes"
        passes = [what.name for phase in made.phases for what in phase.resolve()]
        hint = f"its passes are {', '.join(passes)}" if passes else None
    else:
        shown = (
            f"the phase '{running[0]}'"
            if len(running) == 1
            else f"'{running[0]}' to '{running[-1]}'"
        )
        reason = f"it is of the phase '{own.name}', and what runs is {shown}"
    return FuriosaError(f"{message}: {reason}", file=error.file, hint=hint)


def _is_pass(name: str) -> bool:
    try:
        find_pass(name)
    except FuriosaError:
        return False
    return True
