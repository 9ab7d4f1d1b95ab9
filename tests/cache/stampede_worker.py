"""The processes of `tests.cache.stampede`; in a module of its own, which they inherit loaded."""

from __future__ import annotations

import hashlib
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furiosa_ir.cache import redis_client, redis_store, redis_value
from furiosa_ir.cache.compilation import Compiled, compile_cached, describe
from furiosa_ir.cache.key import Inputs
from furiosa_ir.cache.settings import CacheSettings, parse_store_url
from furiosa_ir.compiler import compile_source
from tests.cache.programs import padded

TARGET = "warboy-2pe"
URGENCY = 10
"""How much nicer than the process that starts and kills them they are."""


@dataclass(frozen=True)
class Task:
    """What every process knows.

    Attributes:
        networks: files, and the SHA-256 of the program that each has to become.
        padding: bytes behind each program, so that writing takes some time.
        store: as in `FC_CACHE_STORE_URL`.
        lifetimes: seconds; one of them at random.
        log: gets a line for each compile, and one for each result.
        patience: of `RedisStore`, in seconds.
        pause: seconds that a compile takes longer than it needs to.
    """

    networks: list[tuple[Path, str]]
    padding: bytes
    store: str
    lifetimes: tuple[int, ...]
    log: Path
    patience: float
    pause: float


def digest_of(program: bytes | memoryview) -> str:
    return hashlib.sha256(program).hexdigest()


def want(task: Task, number: int) -> None:
    """Gets one network's program through the cache."""
    path, digest = task.networks[number]

    def compile_() -> Compiled:
        _append(task.log, f"compile {number}")
        result = compile_source(path, target=TARGET)
        time.sleep(task.pause)
        assert result.program is not None
        return Compiled(
            padded(result.enf or b"", task.padding),
            result.program.source_hash,
            describe(result.program),
        )

    settings = CacheSettings(parse_store_url(task.store), random.choice(task.lifetimes))
    result = compile_cached(Inputs(path, TARGET), compile_, settings)
    assert not isinstance(result.program, Path)
    verdict = "right" if digest_of(result.program) == digest else "wrong"
    _append(task.log, f"{verdict} {number} {'hit' if result.from_cache else 'compiled'}")


def _append(log: Path, line: str) -> None:
    with log.open("a") as file:  # short appends are whole
        file.write(f"{line}\n")


def _prepare(task: Task) -> None:
    assert redis_client  # loaded before anybody is in a hurry
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.nice(URGENCY)
    redis_store.PATIENCE = task.patience
    redis_value.PART = 100_000  # so that parts are in play


def once(task: Task, number: int, barrier: Any) -> None:
    """A process that wants one network, when all are ready."""
    _prepare(task)
    barrier.wait()
    want(task, number)


def again_and_again(task: Task, until: float) -> None:
    """A process that wants networks until a time (seconds since 1970)."""
    _prepare(task)
    while time.time() < until:
        want(task, random.randrange(len(task.networks)))
