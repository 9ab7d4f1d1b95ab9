"""Whether the compiler cache can be used: a small entry is stored, read and thrown away."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from furiosa_ir.cache.compilation import open_store
from furiosa_ir.cache.entry import Metadata
from furiosa_ir.cache.settings import CacheSettings, settings_from_environment
from furiosa_ir.cache.store import Store, StoreFailure
from furiosa_ir.errors import FuriosaError
from furiosa_ir.findings import Finding
from furiosa_ir.reports.units import format_value
from furiosa_ir.tools.cache import lifetime_text

_ADVICE = "until then every compile is a whole one; FC_CACHE_ENABLED=0 does without a cache"
_PROBE = b"furiosa doctor"


def cache_findings() -> Iterator[Finding]:
    """The store that the environment names, what is in it, and whether it can be used."""
    try:
        settings = settings_from_environment()
    except FuriosaError as error:
        yield Finding("settings", str(error), "broken")
        return
    if settings.store is None:
        advice = "FC_CACHE_ENABLED=1, and FC_CACHE_STORE_URL where there is no home, keep programs"
        yield Finding("store", "the cache is off", "absent", advice)
        return
    yield Finding("store", str(settings.store))
    yield Finding("lifetime", lifetime_text(settings.lifetime))
    if isinstance(settings.store, Path):
        yield from _room(settings.store)
        if not settings.store.exists():
            yield _to_be_made(settings.store)
            return
    yield _use(settings)
    with suppress(StoreFailure), closing(_store(settings)) as store:
        entries = list(store.entries())
        size = format_value(sum(e.size for e in entries), "bytes")
        yield Finding("programs", f"{len(entries)}, {size}")


def _store(settings: CacheSettings) -> Store:
    store = open_store(settings)
    assert store is not None
    return store


def _room(root: Path) -> Iterator[Finding]:
    with suppress(OSError):
        free = shutil.disk_usage(_nearest(root)).free
        yield Finding("room", f"{format_value(free, 'bytes')} free")


def _to_be_made(root: Path) -> Finding:
    """Of a directory that the first compile makes: it is not made in order to look at it."""
    folder = _nearest(root)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return Finding("use", "the first compile makes the directory")
    return Finding("use", f"{folder} lets nothing be made in it", "broken", _ADVICE)


def _nearest(root: Path) -> Path:
    """The directory itself, or the first one above it that is there."""
    return next(folder for folder in (root, *root.parents) if folder.exists())


def _use(settings: CacheSettings) -> Finding:
    """Stores an entry that no compile asks for, reads it and throws it away."""
    key = f"00{secrets.token_hex(31)}"
    step = "read"
    try:
        with closing(_store(settings)) as store:
            store.get(key, settings.lifetime)
            step = "written"
            store.put(key, Metadata(), _PROBE, 60)
            entry = store.get(key, 60)
            store.delete(key)
    except StoreFailure as failure:
        if step == "written" and settings.lifetime < 0:
            # docs/cache.md: for caches that others fill.
            return Finding("use", f"can be read, not written ({failure}): FC_CACHE_LIFETIME < 0")
        return Finding("use", f"cannot be {step}: {failure}", "broken", _ADVICE)
    if entry is None or bytes(_content(entry.program)) != _PROBE:
        return Finding("use", "what is stored is not found again", "broken", _ADVICE)
    return Finding("use", "can be read and written")


def _content(program: bytes | memoryview | Path) -> bytes | memoryview:
    return program.read_bytes() if isinstance(program, Path) else program
