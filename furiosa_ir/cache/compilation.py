"""Compiling through the cache: a stored program if there is one, else a compile that is stored.

Nothing that goes wrong with a store may fail or falsify a compile. A failure is one warning, and
the store is left alone until the next compile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from furiosa_ir.backends import backend_for, program_bytes
from furiosa_ir.batch_figures import AUTO, BatchFigures, BatchSize
from furiosa_ir.cache.entry import (
    MAX_WARNINGS,
    SOURCE,
    Entry,
    HostOperator,
    Metadata,
    Payload,
)
from furiosa_ir.cache.key import Inputs, Key, compile_key
from furiosa_ir.cache.settings import (
    NO_CACHE,
    CacheSettings,
    RedisAddress,
    settings_from_environment,
)
from furiosa_ir.cache.store import Store, StoreFailure
from furiosa_ir.cache.stored_program import fault_of_hit
from furiosa_ir.network_part import WHOLE, Part
from furiosa_ir.pipeline_request import PipelineRequest
from furiosa_ir.spans import span

if TYPE_CHECKING:
    from furiosa_ir.driver import CompileResult
    from furiosa_ir.ir.pipeline import Pipeline
    from furiosa_ir.plugin_source import Plugin
    from furiosa_ir.program import Program

# A hit needs one of the stores, and neither the compiler with all of xDSL, nor numpy.
# ruff: noqa: PLC0415

_LOG = logging.getLogger(__name__)
_PACKAGE = logging.getLogger("furiosa_ir")


@dataclass(frozen=True)
class Compiled:
    """What a compile made.

    Attributes:
        program: the bytes of the program's file, or the file that they were written to.
        source_hash: SHA-256 of the model that it was made from.
        figures: what it said about the program.
        is_final: whether another compile would make the same; else no store keeps it.
    """

    program: Payload
    source_hash: str
    figures: Metadata
    is_final: bool = True


@dataclass(frozen=True)
class Result:
    """A program, from the cache or fresh.

    Attributes:
        program: the bytes of the program's file, or the file that holds them.
        metadata: what the compile said.
        from_cache: whether it was stored.
    """

    program: Payload
    metadata: Metadata
    from_cache: bool


def open_store(settings: CacheSettings, *, is_patient: bool = False) -> Store | None:
    """The store that the settings name; None without a cache.

    Args:
        settings: name it.
        is_patient: whether to wait for it for minutes rather than for a moment.
    """
    match settings.store:
        case None:
            return None
        case RedisAddress() as address:
            from furiosa_ir.cache.redis_store import RedisStore

            return RedisStore(address, is_patient=is_patient)
        case Path() as root:
            from furiosa_ir.cache.directory import DirectoryStore

            return DirectoryStore(root)


def compile_program(
    source: Path | bytes,
    *,
    target: str | None,
    batch_size: BatchSize = None,
    settings: CacheSettings | None = None,
    plugins: Sequence[Plugin] = (),
    part: Part = WHOLE,
    passes: str | Pipeline | None = None,
) -> Result:
    """The program of a model; the compiler is loaded only if the cache does not have it.

    Args:
        source, target, batch_size, plugins, part, passes: as of `driver.compile_source`.
        settings: where to look; default: what the environment says.

    Raises:
        FuriosaError: as `compile_cached`.
    """

    def compiled(size: int | None) -> CompileResult:
        from furiosa_ir.driver import compile_source

        return compile_source(
            source, target=target, batch_size=size, part=part, passes=passes, plugins=plugins
        )

    def compile_() -> Compiled:
        rows: tuple[BatchFigures, ...] = ()
        size, program = batch_size, None
        if isinstance(size, str) and size == AUTO:
            from furiosa_ir.batch_search import compared_batches

            comparison = compared_batches(lambda tried: _program(compiled(tried)))
            rows, size, program = comparison.rows, comparison.best, comparison.take_best()
        if program is None:
            program = _program(compiled(size))
        figures = describe(program)
        if rows:
            figures = replace(figures, batches=rows, batch_size=size)
        return Compiled(program_bytes(program), program.source_hash, figures)

    if passes is None or isinstance(passes, str):
        text = passes
    else:
        from furiosa_ir.pipeline_selection import is_all_in_text, require_pipeline
        from furiosa_ir.plugins import load_plugins

        load_plugins(plugins)  # passes may be texts still
        text = require_pipeline(passes).text
        settings = settings if is_all_in_text(passes) else NO_CACHE
    inputs = Inputs(source, target, batch_size, PipelineRequest(text), tuple(plugins), part)
    return compile_cached(inputs, compile_, settings)


def _program(result: CompileResult) -> Program:
    assert result.program is not None
    return result.program


def describe(program: Program) -> Metadata:
    """What a compile says of its program."""
    from furiosa_ir.costs import host_operators, npu_mac_share

    with span("costs"):
        costs = backend_for(program.target).costs(program)
    return Metadata(
        npu_mac_share=npu_mac_share(program, costs),
        cycles=costs.cycles,
        latency=costs.latency,
        host_operators=tuple(HostOperator(*row) for row in host_operators(program)),
    )


def compile_cached(
    inputs: Inputs,
    compile_: Callable[[], Compiled],
    settings: CacheSettings | None = None,
    file: Path | None = None,
) -> Result:
    """The program of a model, compiled only if the cache does not have it.

    Args:
        inputs: all that the program depends on.
        compile_: compiles them.
        settings: where to look; default: what the environment says.
        file: where a stored program is copied to; default: into memory. A compile may find part
            of a damaged one there.

    Raises:
        FuriosaError: the environment's settings are malformed, or compiling fails.
        OSError: the file cannot be written.
    """
    settings = settings_from_environment() if settings is None else settings
    if settings.store is None:
        return _fresh(compile_())
    key = compile_key(inputs)
    if key is None:
        return _fresh(compile_())
    name = inputs.name
    store = open_store(settings)
    assert store is not None
    with closing(store):
        try:
            entry = _stored_entry(store, key, settings, inputs, file)
        except StoreFailure as failure:
            _warn(settings, failure)
            return _fresh(compile_())
        if entry is not None:
            return _hit(entry, name, file)
        # Who wants no stored program does not wait for one.
        lock = store.compiling(key.digest, settings.lifetime) if settings.lifetime else None
        with lock or nullcontext(enter_result=False) as waited:
            if waited:
                with suppress(StoreFailure):  # what comes after the compile will say why
                    entry = _stored_entry(store, key, settings, inputs, file)
                if entry is not None:
                    return _hit(entry, name, file)
            with _recorded_warnings(name) as warnings:
                compiled = compile_()
            figures = replace(compiled.figures, warnings=tuple(warnings))
            compiled = replace(compiled, figures=figures)
            if compiled.is_final and _is_of(compiled, inputs, key):
                try:
                    store.put(key.digest, figures, compiled.program, settings.lifetime)
                except StoreFailure as failure:
                    _warn(settings, failure)
            return _fresh(compiled)


def _stored_entry(
    store: Store, key: Key, settings: CacheSettings, inputs: Inputs, file: Path | None
) -> Entry | None:
    """The entry of a key, if it holds a program for what the key is of.

    Raises:
        StoreFailure: the store cannot be read, or something damaged not be thrown away.
    """
    if settings.lifetime == 0:
        return None
    entry = store.get(key.digest, settings.lifetime, file)
    if entry is None:
        return None
    fault = fault_of_hit(entry, inputs.target, key.recorded, inputs.plugins)
    if fault is None:
        return entry
    try:
        store.delete(key.digest)
    except StoreFailure as failure:
        raise StoreFailure(
            f"an entry is damaged ({fault}) and cannot be thrown away: {failure}"
        ) from None
    _LOG.warning("a cache entry of %s is thrown away: %s", settings.store, fault)
    return None


def _fresh(compiled: Compiled) -> Result:
    return Result(compiled.program, compiled.figures, from_cache=False)


def _hit(entry: Entry, name: str | None, file: Path | None) -> Result:
    program = entry.program
    if file is not None and not isinstance(program, Path):
        file.write_bytes(program)
        program = file
    for warning in entry.metadata.warnings:
        if warning.startswith(SOURCE):
            warning = f"{name or 'model'}{warning.removeprefix(SOURCE)}"  # noqa: PLW2901
        _LOG.warning("%s", _printable(warning))
    return Result(program, entry.metadata, from_cache=True)


def _printable(text: str) -> str:
    """A text without control characters: others may write to the store."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _is_of(compiled: Compiled, inputs: Inputs, key: Key) -> bool:
    """Whether files are what they were: one may have changed between the key and the compile."""
    if key.source is not None:
        return compiled.source_hash == key.source
    return compile_key(inputs) == key


def _warn(settings: CacheSettings, failure: StoreFailure) -> None:
    _LOG.warning("the compiler cache %s is not used: %s", settings.store, failure)


@contextmanager
def _recorded_warnings(name: str | None) -> Generator[list[str]]:
    """Collects what is logged as a warning, the model's name replaced by a mark."""
    recorder = _Recorder(name)
    _PACKAGE.addHandler(recorder)
    try:
        yield recorder.warnings
    finally:
        _PACKAGE.removeHandler(recorder)


class _Recorder(logging.Handler):
    """Keeps what its own thread logs; other threads may compile something else meanwhile."""

    def __init__(self, name: str | None) -> None:
        super().__init__(logging.WARNING)
        self._name = name
        self._thread = threading.get_ident()
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        # Without any handler, Python prints warnings; that this one listens must not end that.
        if logging.lastResort is not None and not _is_heard(record):
            logging.lastResort.handle(record)
        if len(self.warnings) < MAX_WARNINGS:
            text = record.getMessage()
            if self._name is not None and text.startswith(f"{self._name}: "):
                text = SOURCE + text.removeprefix(self._name)
            self.warnings.append(text)


def _is_heard(record: logging.LogRecord) -> bool:
    """Whether anything but recorders handles a record."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(not isinstance(handler, _Recorder) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
