"""Many processes that want the same programs at the same time, and are killed while they do.

Usage: python -m tests.cache.stampede [--processes 32] [--networks 4] [--store DIR|URL]
                                      [--kill-every 0.2 --seconds 60] [--patience S]

Without `--kill-every` all processes start at once, each wants one network, and every network must
be compiled once. With it, processes want one network after another (entries expire after two
seconds, and some processes want none, so that there is always something to compile and to write), a
random one gets kill -9 every so many seconds, and a new one starts in its place. Afterwards nobody
may hold a lock or wait for one, every entry must be sound, and `furiosa cache prune` an hour later
leave no orphan.

Prints a line of JSON; the exit code is 1 if anything is not as it must be. A store on Redis has to
be empty. Networks are the digits example with other weights; their compiles are real ones.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from click.testing import CliRunner
from onnx import numpy_helper

from furiosa_ir.cache import redis_store, redis_value
from furiosa_ir.cache.redis_client import PART_LEASE, RedisClient
from furiosa_ir.cache.redis_lock import LEASE
from furiosa_ir.cache.settings import RedisAddress, parse_store_url
from furiosa_ir.compiler import compile_source
from furiosa_ir.tools.furiosa import main as furiosa
from tests.cache.programs import padded
from tests.cache.stampede_worker import (
    TARGET,
    URGENCY,
    Task,
    again_and_again,
    digest_of,
    once,
)

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
SHORT = 2
"""Seconds that an entry is valid while processes are killed."""
PADDING = 500_000
"""Bytes behind each program: of noise, which nothing compresses."""
LONGEST_END = 120.0
"""Seconds in which every process must have ended that is left alone."""


@dataclass
class Report:
    """What happened."""

    processes: int
    networks: int
    compiles: int = 0
    right: int = 0
    wrong: int = 0
    hits: int = 0
    killed: int = 0
    stuck: int = 0
    failed: int = 0
    damaged: int = 0
    locks_held: int = 0
    left_behind: int = 0
    orphans: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list[str])


def make_networks(folder: Path, count: int, padding: bytes) -> list[tuple[Path, str]]:
    """Networks of equal shape and other weights, and the SHA-256 of their programs."""
    made: list[tuple[Path, str]] = []
    for n in range(count):
        model: Any = onnx.load(DIGITS / "digits_qdq_int8.onnx")
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        weights = np.roll(numpy_helper.to_array(tensor), n)
        tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
        path = folder / f"network{n}.onnx"
        path.write_bytes(model.SerializeToString())
        made.append(
            (path, digest_of(padded(compile_source(path, target=TARGET).enf or b"", padding)))
        )
    return made


def stampede(task: Task, processes: int, report: Report) -> None:
    """All at once."""
    context = multiprocessing.get_context("forkserver")
    barrier = context.Barrier(processes)
    workers: list[BaseProcess] = []
    for n in range(processes):
        workers.append(context.Process(target=once, args=(task, n % len(task.networks), barrier)))
        workers[-1].start()
    _end(workers, report)


def massacre(task: Task, processes: int, every: float, seconds: float, report: Report) -> None:
    """Kills a random process every so often; others start meanwhile, as fast as they can."""
    context = multiprocessing.get_context("forkserver")
    until = time.time() + seconds
    workers: list[BaseProcess] = []
    victims: list[BaseProcess] = []

    def start() -> None:
        while time.time() < until:
            if len(workers) < processes:
                worker = context.Process(target=again_and_again, args=(task, until))
                worker.start()
                workers.append(worker)
            else:
                time.sleep(0.01)

    starter = threading.Thread(target=start)
    starter.start()
    while time.time() < until:
        time.sleep(every)
        if workers:
            victims.append(workers.pop(random.randrange(len(workers))))
            victims[-1].kill()
    starter.join()
    for victim in victims:
        victim.join()
    report.killed = len(victims)
    _end(workers, report)


def _end(workers: list[BaseProcess], report: Report) -> None:
    """Waits for processes that nobody kills; a compile for each network may lie before them."""
    deadline = time.monotonic() + LONGEST_END
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.exitcode is None:
            report.stuck += 1
            worker.kill()
            worker.join()
        elif worker.exitcode:
            report.failed += 1


def count(task: Task, report: Report) -> None:
    """What the log says."""
    lines = [line.split() for line in task.log.read_text().splitlines()]
    report.compiles = sum(line[0] == "compile" for line in lines)
    report.right = sum(line[0] == "right" for line in lines)
    report.wrong = sum(line[0] == "wrong" for line in lines)
    report.hits = sum(line[-1] == "hit" for line in lines)


def inspect(store: str, report: Report) -> None:
    """What is left: damaged entries, held locks; and orphans, an hour later."""
    verified = json.loads(_cache(store, "verify").partition("ERROR")[0])
    report.damaged = len(verified["damaged"])
    address = parse_store_url(store)
    if isinstance(address, RedisAddress):
        report.left_behind, report.orphans, report.locks_held = _left_on_redis(address)
        return
    locks = list(address.rglob("*.lock"))
    report.locks_held = sum(_is_held(path) for path in locks)
    left = [*locks, *(path for path in address.rglob(".*"))]
    report.left_behind = len(left)
    old = time.time() - 2 * 3600
    for path in left:
        os.utime(path, (old, old))
    _cache(store, "prune")
    report.orphans = sum(path.exists() for path in left)


def _cache(store: str, command: str) -> str:
    environment = {
        "FC_CACHE_ENABLED": "1",
        "FC_CACHE_STORE_URL": store,
        "FC_CACHE_LIFETIME": "-1",
    }
    return CliRunner().invoke(furiosa, ["cache", command, "--json"], env=environment).stdout


def _is_held(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _left_on_redis(address: RedisAddress) -> tuple[int, int, int]:
    """(parts that no list names, those of them that `prune` leaves and never expire, locks)."""
    client = RedisClient(address)
    redis: Any = client._client

    def orphans() -> Iterator[str]:
        for raw in redis.scan_iter(match=f"{redis_value.PREFIX}*"):
            name, brace, rest = raw.decode().partition("}")
            if rest.count(":") != 2:
                continue
            listed = redis_value.part_list(redis.get(name + brace) or b"")
            key = name.partition("{")[2]
            if listed is None or raw.decode() not in listed.names(key):
                yield raw.decode()

    before = len(list(orphans()))
    client.remove_orphans()
    after = sum(not 0 <= redis.ttl(name) <= PART_LEASE for name in orphans())
    deadline = time.monotonic() + LEASE + 1
    while locks := len(list(redis.scan_iter(match=f"{redis_value.PREFIX}*:lock"))):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    client.close()
    return before, after, locks


def judge(report: Report, *, kills: bool) -> None:
    """Notes what is not as it must be."""
    for name in ("wrong", "stuck", "failed", "damaged", "locks_held", "orphans"):
        if getattr(report, name):
            report.problems.append(f"{name}: {getattr(report, name)}")
    if not kills and report.compiles != report.networks:
        report.problems.append(f"{report.compiles} compiles of {report.networks} networks")
    if not kills and report.right != report.processes:
        report.problems.append(f"{report.right} right results of {report.processes}")
    if kills and not (report.killed and report.right >= report.networks):
        report.problems.append(f"{report.killed} killed, {report.right} right results")


def main() -> None:
    """Prints a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=32)
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--store", help="default: a directory of its own")
    parser.add_argument("--kill-every", type=float)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--patience", type=float, default=redis_store.PATIENCE)
    parser.add_argument("--pause", type=float, default=0.2)
    arguments = parser.parse_args()
    kills = arguments.kill_every is not None
    report = Report(arguments.processes, arguments.networks)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        padding = os.urandom(PADDING)
        task = Task(
            make_networks(folder, arguments.networks, padding),
            padding,
            arguments.store or str(folder / "cache"),
            (SHORT, SHORT, 0) if kills else (3600,),
            folder / "log",
            arguments.patience,
            arguments.pause,
        )
        task.log.touch()
        with suppress(PermissionError):  # who kills must not wait for those who compile
            os.setpriority(os.PRIO_PROCESS, 0, -URGENCY)
        # The processes inherit what compiling has loaded here: they are up in no time.
        loaded = [
            m for m in sys.modules if m.startswith(("furiosa_ir.", "xdsl.", "onnx", "click."))
        ]
        multiprocessing.set_forkserver_preload(["tests.cache.stampede_worker", *loaded])
        first = multiprocessing.get_context("forkserver").Process(target=int)
        first.start()
        first.join()
        started = time.monotonic()
        if kills:
            massacre(task, arguments.processes, arguments.kill_every, arguments.seconds, report)
            stampede(task, arguments.networks, report)  # what the dead have left is of use
        else:
            stampede(task, arguments.processes, report)
        report.seconds = round(time.monotonic() - started, 1)
        count(task, report)
        inspect(task.store, report)
    judge(report, kills=kills)
    print(json.dumps(asdict(report)))
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
