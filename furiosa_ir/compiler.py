"""The compiler's entry points: a model file in, IR or an ENF program out."""

from __future__ import annotations

import gc
import hashlib
import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Unpack

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from furiosa_ir import __version__, hints
from furiosa_ir.arguments import optional_text, positive_integer
from furiosa_ir.backends import backend_for
from furiosa_ir.backends.target import module_target
from furiosa_ir.backends.warboy.enf.records import NpuSegment
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.backends.warboy.pipeline import PIPELINE
from furiosa_ir.backends.warboy.stages import remaining_phases, require
from furiosa_ir.cache.compilation import compile_program
from furiosa_ir.cache.settings import CacheSettings
from furiosa_ir.errors import (
    CompilationFailure,
    FuriosaError,
    ImportFailure,
    MissingKernel,
)
from furiosa_ir.importers import load
from furiosa_ir.importers.way_out import with_way_out
from furiosa_ir.ir.context import make_context
from furiosa_ir.ir.history import history_of
from furiosa_ir.ir.pipeline import Instrumentation, Phase, Pipeline, Timing, run_pipeline
from furiosa_ir.ir.positions import Positions
from furiosa_ir.ir.segments import PLACEMENT, body_of
from furiosa_ir.model_source import Source, model_source
from furiosa_ir.network_part import WHOLE, Part, PartArguments, part_of
from furiosa_ir.passes.assign_target import with_target
from furiosa_ir.plugins import Plugin, load_plugins, plugin_failure, plugin_list
from furiosa_ir.program import HostSegment, Program, Provenance, Resumption

_LOG = logging.getLogger(__name__)

LEVELS = ("graph", "ftensor", "warboy", "enf")
"""The levels of IR in the order of compilation; "enf" is the program."""


@dataclass(frozen=True)
class CompileResult:
    """What a compile made.

    Attributes:
        module: the IR at the level asked for (for "enf": the last level before it).
        program: the program; None if a level of IR was asked for. Its constants still lie in the
            mapped source: `save_program` writes them without holding all of them in memory.
        seconds: (phase, seconds) in order.
    """

    module: ModuleOp
    program: Program | None
    seconds: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    @cached_property
    def enf(self) -> bytes | None:
        """The content of the program's ENF file; None if a level of IR was asked for."""
        return None if self.program is None else write_program(self.program)


def compile_model(
    source: Source,
    target: str | None = None,
    batch_size: int | None = None,
    cache: CacheSettings | None = None,
    plugins: Sequence[Plugin] = (),
    **part: Unpack[PartArguments],
) -> bytes:
    """Compiles a model to an ENF program, or finds it in the cache.

    Args:
        source: an ONNX or TFLite network or one of our IRs: a path, the file's content, a file
            that is open in binary mode, or an `onnx.ModelProto`.
        target: "warboy" (one PE) or "warboy-2pe" (two PEs fused). None: what IR text says, and
            "warboy-2pe" where nothing does.
        batch_size: how many samples the inputs hold, for a network whose batch is open or 1;
            None keeps it as the file has it, an open one as 1. The results are those of so many
            single runs, one behind the other.
        cache: where compiled programs are kept (`cache.settings.NO_CACHE`: nowhere); by default as
            the environment says.
        plugins: code that declares operators, which is loaded first: Python files, folders of
            packages, or modules by their names (`furiosa_ir.plugins`).
        **part: `input_shapes` and `dims` fix extents that a network leaves open, `inputs` and
            `outputs` compile what is between them (`network_part.PartArguments`).

    Returns:
        The ENF file's content.

    Raises:
        FuriosaError: the model cannot be read or compiled.
    """
    if batch_size is not None:
        batch_size = positive_integer(batch_size, "batch size", CompilationFailure)
    optional_text(target, "target", CompilationFailure)
    result = compile_program(
        model_source(source),
        target=target,
        batch_size=batch_size,
        settings=cache,
        plugins=plugin_list(plugins),
        part=part_of(**part),
    )
    program = result.program
    assert not isinstance(program, Path)
    return bytes(program)


def compile_source(
    source: Source,
    *,
    target: str | None = None,
    batch_size: int | None = None,
    part: Part = WHOLE,
    target_ir: str = "enf",
    passes: str | None = None,
    plugins: Sequence[Plugin] = (),
    instrumentation: Sequence[Instrumentation] = (),
    on_phase: Callable[[str], None] | None = None,
    verify_each: bool = False,
) -> CompileResult:
    """Compiles a model to any level.

    Args:
        source: as in `compile_model`.
        target: as in `compile_model`.
        batch_size: as in `compile_model`.
        part: which part of a network, of which extents.
        target_ir: one of `LEVELS`.
        passes: a pipeline text in place of the compiler's own passes, from the source to the last
            level of IR (`furiosa-opt --list-passes` shows both); only to "enf". Without, what the
            source has been through already is known from its history and from what it holds.
        plugins: code that declares operators or passes, which is loaded first
            (`furiosa_ir.plugins`).
        instrumentation: watches the passes.
        on_phase: called with a phase's name ("import", "graph", ...) when it begins.
        verify_each: verify after each pass, not only at each phase's end.

    Raises:
        FuriosaError: the model cannot be read or compiled.
    """
    if target_ir not in LEVELS:
        raise CompilationFailure(
            f"there is no level of IR called '{target_ir}'", hint=f"choose of {', '.join(LEVELS)}"
        )
    if batch_size is not None:
        batch_size = positive_integer(batch_size, "batch size", CompilationFailure)
    optional_text(target, "target", CompilationFailure)
    if target is not None:
        backend_for(target)
    load_plugins(plugin_list(plugins))
    announce = on_phase or _ignore
    seconds: list[tuple[str, float]] = []
    data = model_source(source)
    name = None if isinstance(data, bytes) else str(data)
    positions = Positions()
    try:
        with garbage_collection_paused():
            announce("import")
            started = time.perf_counter()
            module = load(data, batch_size, part, resumed=True, positions=positions)
            declared = module.attributes.get("graph.source_hash")
            # IR text carries the hash of the network it came from; hashing twice takes its time.
            digest = declared.data if isinstance(declared, StringAttr) else source_hash(data)
            seconds.append(("import", time.perf_counter() - started))
            for watch in instrumentation:
                watch.before_pipeline(module)

            phases = (
                phases_to_run(module, target_ir)
                if passes is None
                else Pipeline.of_text(passes, name=LEVELS[-2]).phases
            )
            is_program = target_ir == "enf"
            level = LEVELS[-2] if is_program else target_ir
            phases = with_target(phases, module, target, level=level, is_needed=is_program)
            context, timing = make_context(), Timing()
            for phase in phases:
                announce(phase.name)
                run_pipeline(
                    context,
                    module,
                    Pipeline(phase.name, (phase,)),
                    instrumentation=(*instrumentation, timing),
                    verify_each=verify_each,
                )
            seconds.extend(timing.phases)
            if target_ir != "enf":
                return CompileResult(module, None, seconds)

            announce("enf")
            started = time.perf_counter()
            options = {} if batch_size is None else {"batch_size": str(batch_size)}
            options |= part.as_options()
            program = _assemble(module, options, digest)
            _warn_of_floats(program, name)
            seconds.append(("enf", time.perf_counter() - started))
    except Exception as error:
        failure = plugin_failure(error)
        if failure is not None and failure is not error:
            raise failure from error
        if isinstance(error, FuriosaError):
            if isinstance(error, MissingKernel):
                error = with_way_out(error, data, part)
            raise positions.placed(error).at(file=name) from error.__cause__
        if isinstance(error, RecursionError):
            raise CompilationFailure("the network is nested too deeply", file=name) from None
        raise
    return CompileResult(module, program, seconds)


def phases_to_run(module: ModuleOp, target_ir: str) -> tuple[Phase, ...]:
    """What is left of the pipeline for a module that may have been through some of it.

    Args:
        module: at any level.
        target_ir: one of `LEVELS`.

    Raises:
        CompilationFailure: it is beyond the level asked for.
    """
    done = level_of(module)
    if done is not None and LEVELS.index(done) > LEVELS.index(target_ir):
        raise CompilationFailure(f"the source is at level '{done}', beyond '{target_ir}'")
    left = remaining_phases(module, PIPELINE)
    return tuple(p for p in left if LEVELS.index(p.name) <= LEVELS.index(target_ir))


def _ignore(_phase: str) -> None:
    """Nobody wants to know."""


def _assemble(module: ModuleOp, options: dict[str, str], digest: str) -> Program:
    require(module, "enf")
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


_PRODUCTS = frozenset({"conv", "conv_transpose", "depthwise_conv", "gemm", "mat_mul"})
"""What a network spends its time on."""


def _warn_of_floats(program: Program, name: str | None) -> None:
    """Warns of a network that runs on the host for want of quantising, and says what does it.

    `furiosa quantize` takes what is recommended to it: a float network, and an ONNX network that is
    quantised in part.
    """
    hosts = [s for s in program.segments if isinstance(s, HostSegment)]
    rows = [row for segment in hosts for row in segment.operators]
    floats = [row for row in rows if row[2] == hints.not_quantized("").number]
    on_npu = any(isinstance(segment, NpuSegment) for segment in program.segments)
    if not floats or (on_npu and not any(row[0] in _PRODUCTS for row in floats)):
        return
    numbers = {hints.boundary("").number, hints.result_not_quantized("").number}
    if not on_npu and not any(row[2] in numbers for row in rows):
        _LOG.warning(
            "%s: the network is not quantised and runs wholly on the host; "
            "`furiosa quantize` makes an int8 network of it",
            name or "model",
        )
        return
    layers = ", ".join(f"'{row[1]}'" for row in floats[:3])
    more = f" and {len(floats) - 3} more" if len(floats) > 3 else ""
    is_onnx = program.source_framework == "onnx"
    _LOG.warning(
        "%s: the network is quantised in part: %s%s %s float data and run%s on the host%s; %s",
        name or "model",
        layers,
        more,
        "works on" if len(floats) == 1 else "work on",
        "s" if len(floats) == 1 else "",
        _reason(floats[0][3]),
        "`furiosa quantize` completes it" if is_onnx else "quantise its float source as a whole",
    )


def _reason(sentence: str) -> str:
    """Why a layer is of floats, if its hint says so: ", for its weight is not quantised"."""
    _, comma, reason = sentence.partition(", for ")
    return f"{comma}{reason.partition(';')[0]}" if comma else ""


def level_of(module: ModuleOp) -> str | None:
    """The last phase that a module has been through; None for a freshly imported network.

    Raises:
        CompilationFailure: a segment's function has no body.
    """
    level = None
    for function in module.ops:
        if not isinstance(function, FuncOp) or PLACEMENT not in function.attributes:
            continue
        level = level or "graph"
        for op in body_of(function).ops:
            dialect = op.name.partition(".")[0]
            if dialect in ("ftensor", "warboy"):
                return dialect
    return level


def source_hash(source: Path | bytes) -> str:
    """SHA-256 of a model file, as hexadecimal digits."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        with source.open("rb") as file:
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
