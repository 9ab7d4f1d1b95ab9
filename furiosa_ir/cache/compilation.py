"""Compiling through the cache: a stored program if there is one, else a compile that is stored.

Nothing that goes wrong with a store may fail or falsify a compile. A failure is one warning, and
the store is left alone until the next compile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from furiosa_ir.cache.directory import DirectoryStore
from furiosa_ir.cache.entry import (
    MAX_WARNINGS,
    SOURCE,
    Entry,
    HostOperator,
    Metadata,
    Payload,
)
from furiosa_ir.cache.key import Inputs, Key, compile_key
from furiosa_ir.cache.settings import CacheSettings, RedisAddress, settings_from_environment
from furiosa_ir.cache.store import Store, StoreFailure

if TYPE_CHECKING:
    from furiosa_ir.backends.warboy.enf.records import Program

_LOG = logging.getLogger(__name__)
_PACKAGE = logging.getLogger("furiosa_ir")


@dataclass(frozen=True)
class Compiled:
    """What a compile made.

    Attributes:
        program: the ENF file's bytes, or the file that they were written to.
        source_hash: SHA-256 of the model that it was made from.
        figures: what it said about the program.
    """

    program: Payload
    source_hash: str
    figures: Metadata


@dataclass(frozen=True)
class Result:
    """A program, from the cache or fresh.

    Attributes:
        program: the ENF file's bytes, or the file that holds them.
        metadata: what the compile said.
        from_cache: whether it was stored.
    """

    program: Payload
    metadata: Metadata
    from_cache: bool


def open_store(settings: CacheSettings) -> Store | None:
    """The store that the settings name; None without a cache."""
    match settings.store:
        case None:
            return None
        case RedisAddress() as address:
            from furiosa_ir.cache.redis_store import RedisStore  # noqa: PLC0415  # 10 ms

            return RedisStore(address)
        case Path() as root:
            return DirectoryStore(root)


def compile_program(
    source: Path | bytes,
    *,
    target: str,
    batch_size: int | None = None,
    settings: CacheSettings | None = None,
) -> Result:
    """The program of a model; the compiler is loaded only if the cache does not have it.

    Raises:
        FuriosaError: as `compile_cached`.
    """

    def compile_() -> Compiled:
        from furiosa_ir.compiler import compile_source  # noqa: PLC0415  # with all of xDSL

        result = compile_source(source, target=target, batch_size=batch_size)
        assert result.program is not None
        assert result.enf is not None
        return Compiled(result.enf, result.program.source_hash, describe(result.program))

    return compile_cached(Inputs(source, target, batch_size), compile_, settings)


def describe(program: Program) -> Metadata:
    """What a compile says of its program."""
    from furiosa_ir.reports.inspect import summary  # noqa: PLC0415  # with numpy

    figures = summary(program)["summary"]
    return Metadata(
        npu_mac_share=figures["npu_mac_share"],
        cycles=figures["cycles"],
        latency_us=figures["latency_us"],
        host_operators=tuple(
            HostOperator(o["operator"], o["layer"], o["hint"], o["reason"])
            for o in figures["host_operators"]
        ),
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
            entry = _stored_entry(store, key, settings, file)
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
                    entry = _stored_entry(store, key, settings, file)
                if entry is not None:
                    return _hit(entry, name, file)
            with _recorded_warnings(name) as warnings:
                compiled = compile_()
            return _stored(store, key, compiled, warnings, settings)


def _stored_entry(
    store: Store, key: Key, settings: CacheSettings, file: Path | None
) -> Entry | None:
    if settings.lifetime == 0:
        return None
    return store.get(key.digest, settings.lifetime, file)


def _fresh(compiled: Compiled) -> Result:
    return Result(compiled.program, compiled.figures, from_cache=False)


def _hit(entry: Entry, name: str | None, file: Path | None) -> Result:
    program = entry.program
    if file is not None and not isinstance(program, Path):
        file.write_bytes(program)
        program = file
    for warning in entry.metadata.warnings:
        _LOG.warning("%s", _printable(warning.replace(SOURCE, name or "model")))
    return Result(program, entry.metadata, from_cache=True)


def _printable(text: str) -> str:
    """A text without control characters: others may write to the store."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _stored(
    store: Store, key: Key, compiled: Compiled, warnings: list[str], settings: CacheSettings
) -> Result:
    figures = compiled.figures
    metadata = Metadata(
        figures.npu_mac_share,
        figures.cycles,
        figures.latency_us,
        figures.host_operators,
        tuple(warnings),
    )
    # The file may have changed between the key and the compile. Text names the network that it
    # once came from.
    if key.source is None or compiled.source_hash == key.source:
        try:
            store.put(key.digest, metadata, compiled.program, settings.lifetime)
        except StoreFailure as failure:
            _warn(settings, failure)
    return Result(compiled.program, metadata, from_cache=False)


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
        if record.thread != self._thread or len(self.warnings) >= MAX_WARNINGS:
            return
        text = record.getMessage()
        self.warnings.append(text if self._name is None else text.replace(self._name, SOURCE))
