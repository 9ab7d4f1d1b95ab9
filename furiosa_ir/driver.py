"""The compiler: a model in, IR or a program out. It knows no cache and no machine."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp, StringAttr

from furiosa_ir.arguments import optional_text, positive_integer
from furiosa_ir.backends import backend_for, program_bytes
from furiosa_ir.backends.target import backend_of, module_target
from furiosa_ir.errors import CompilationFailure, FuriosaError, ImportFailure, MissingKernel
from furiosa_ir.importers import load
from furiosa_ir.importers.way_out import with_way_out
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.history import history_of
from furiosa_ir.ir.pipeline import Instrumentation, Pipeline, failures_told, run_pipeline
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.segments import causes_of
from furiosa_ir.limits import settled
from furiosa_ir.model_source import Source, model_source
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.passes.assign_target import with_target
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.pipeline_selection import is_given, phases_asked_for
from furiosa_ir.plugin_source import Plugin, plugin_list
from furiosa_ir.plugins import load_plugins, plugin_failure
from furiosa_ir.program import Program, Provenance, Resumption
from furiosa_ir.recommendation import recommend_quantizing
from furiosa_ir.spans import span
from furiosa_ir.stages import require
from furiosa_ir.version import __version__


@dataclass(frozen=True)
class CompileResult:
    """What a compile made.

    Attributes:
        module: the IR at the level asked for; of a program: the last level before it.
        program: the program; None if a level of IR was asked for. Its constants still lie in the
            mapped source: a container's `write` does not hold all of them in memory.
    """

    module: ModuleOp
    program: Program | None

    @cached_property
    def enf(self) -> bytes | None:
        """The content of the program's file; None if a level of IR was asked for."""
        return None if self.program is None else program_bytes(self.program)


def compile_source(
    source: Source,
    *,
    target: str | None = None,
    batch_size: int | None = None,
    part: Part = WHOLE,
    target_ir: str | None = None,
    passes: str | Pipeline | PipelineRequest | None = None,
    plugins: Sequence[Plugin] = (),
    instrumentation: Sequence[Instrumentation] = (),
    verify_each: bool = False,
) -> CompileResult:
    """Compiles a model to any level.

    Args:
        source: as in `compiler.compile_model`.
        target: as in `compiler.compile_model`.
        batch_size: as in `compiler.compile_model`.
        part: which part of a network, of which extents.
        target_ir: one of the backend's levels, or what its programs are called ("enf"); default:
            the program.
        passes: a pipeline, or the text of one, in place of the compiler's own passes, from the
            source to the last level of IR, or those of its phases that come up to `target_ir`
            (docs/pipelines.md). Without, what the source has been through already is known from its
            history and from what it holds. A request may have edits of either.
        plugins: code that declares operators or passes, which is loaded first
            (`furiosa_ir.plugins`).
        instrumentation: watches the passes.
        verify_each: verify after each pass, not only at each phase's end.

    Raises:
        FuriosaError: the model cannot be read or compiled.
    """
    if batch_size is not None:
        batch_size = positive_integer(batch_size, "batch size", CompilationFailure)
    optional_text(target, "target", CompilationFailure)
    load_plugins(plugin_list(plugins))
    if target is not None:
        backend_for(target).require_stop(target_ir)
    data = model_source(source)
    name = None if isinstance(data, bytes) else str(data)
    positions = Positions()
    try:
        with failures_named(name), garbage_collection_paused(), settled():
            _begin("import", instrumentation)
            module = load(data, batch_size, part, resumed=True, positions=positions)
            # IR text carries the hash of the network it came from; hashing twice takes its time.
            digest = _declared_hash(module) or source_hash(data)
            options = {} if batch_size is None else {"batch_size": str(batch_size)}
            return compile_module(
                module,
                target=target,
                target_ir=target_ir,
                passes=passes,
                instrumentation=instrumentation,
                verify_each=verify_each,
                options=options | part.as_options(),
                digest=digest,
                name=name,
            )
    except FuriosaError as error:
        if isinstance(error, MissingKernel):
            error = with_way_out(error, data, part)
        raise positions.placed(error).at(file=name) from error.__cause__


@contextmanager
def failures_named(name: str | None = None) -> Generator[None]:
    """What is raised within it is a FuriosaError where a plug-in or a network's depth is at fault.

    Args:
        name: the source's.
    """
    try:
        yield
    except Exception as error:
        failure = plugin_failure(error)
        if failure is not None and failure is not error:
            raise failure from error
        if isinstance(error, RecursionError):
            raise CompilationFailure("the network is nested too deeply", file=name) from None
        raise


def compile_module(
    module: ModuleOp,
    *,
    target: str | None = None,
    target_ir: str | None = None,
    passes: str | Pipeline | PipelineRequest | None = None,
    instrumentation: Sequence[Instrumentation] = (),
    verify_each: bool = False,
    options: Mapping[str, str] | None = None,
    digest: str | None = None,
    name: str | None = None,
) -> CompileResult:
    """Compiles a module from where it is to any level, in place.

    Args:
        module: at any level but the last: what it has been through is known from its history.
        target, target_ir, passes, instrumentation, verify_each: as of `compile_source`.
        options: what a program's header is to say of how the source was read.
        digest: SHA-256 of the source; default: what the module says, else that of its text.
        name: the source's, for messages.

    Raises:
        FuriosaError: it cannot be compiled.
    """
    for watch in instrumentation:
        watch.before_pipeline(module)
    backend = backend_of(module) if target is None else backend_for(target)
    backend.require_stop(target_ir)
    is_program = target_ir in (None, backend.container.name)
    level = backend.levels[-1] if is_program else target_ir
    assert level is not None
    if digest is None and is_program:
        digest = _declared_hash(module) or _text_hash(module)
    with span("choice of passes"):
        phases = phases_asked_for(passes, module, None if is_program else level, backend)
        phases = with_target(phases, module, target, is_needed=is_program)
    context = make_context()
    # Passes of the user's own are one stage, whatever phases they are in.
    is_one = is_given(passes)
    stages = [(level, phases)] if is_one else [(p.name or level, (p,)) for p in phases]
    for stage, running in stages:
        _begin(stage, instrumentation)
        run_pipeline(
            context,
            module,
            Pipeline(stage, running),
            instrumentation=instrumentation,
            verify_each=verify_each,
        )
    program = None
    if is_program:
        _begin(backend.container.name, instrumentation)
        with failures_told("the assembly", module, instrumentation), span("assembly"):
            program = _assemble(module, dict(options or {}), digest or "")
        recommend_quantizing(program, causes_of(module), name)
    return CompileResult(module, program)


def _declared_hash(module: ModuleOp) -> str | None:
    declared = module.attributes.get("graph.source_hash")
    return declared.data if isinstance(declared, StringAttr) else None


def _text_hash(module: ModuleOp) -> str:
    from furiosa_ir.ir.text import print_module  # noqa: PLC0415  # of networks there is no text

    return hashlib.sha256(print_module(module).encode()).hexdigest()


def _begin(stage: str, instrumentation: Sequence[Instrumentation]) -> None:
    for watch in instrumentation:
        watch.before_stage(stage)


def _assemble(module: ModuleOp, options: dict[str, str], digest: str) -> Program:
    require(module)
    framework = module.attributes.get("graph.source")
    history = history_of(module)
    target = module_target(module)
    assert target is not None
    provenance = Provenance(
        compiler=f"furiosa-ir {__version__}",
        options={"target": target, **options},
        pipeline=",".join(history.passes),
        resumed=tuple(Resumption(r.passes, r.text) for r in history.resumed),
        source_hash=digest,
        source_framework=framework.data if isinstance(framework, StringAttr) else "onnx",
    )
    return backend_for(target).assemble(module, provenance)


def source_hash(source: Path | bytes) -> str:
    """SHA-256 of a model file, as hexadecimal digits."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        with span("hash of the source"), source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImportFailure(error.strerror or str(error), file=str(source)) from error


@contextmanager
def garbage_collection_paused() -> Generator[None]:
    """No cycle collection while the IR grows: it only ever finds live operations, at 20 % cost."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
