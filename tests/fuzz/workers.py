"""Cases in processes of their own, which may crash, hang or be killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Self

from tests.fuzz.cases import ROOT, Outcome

Case = tuple[str, int, bool]
"""Network, seed, whether to run the program."""

CPU_SECONDS = 10.0
"""A case that computes longer hangs."""

WALL_SECONDS = 120.0
"""A case that takes longer hangs; the machine may be busy with other things."""

_CASES_PER_PROCESS = 1000


class Worker:
    """A process that works on cases; another one when that is dead or old.

    Args:
        command: of the process, behind the interpreter's name.
    """

    def __init__(self, command: Sequence[str] = ("-m", "tests.fuzz.cases")) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._cases = 0

    def outcome(self, case: Case) -> Outcome:
        network, seed, run = case
        if self._process is None or self._cases >= _CASES_PER_PROCESS:
            self._end()
            self._process = self._started()
        self._cases += 1
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{network} {seed} {int(run)}\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._dead(network, seed, "crash")
        cpu, wall = _cpu_seconds(process.pid), time.monotonic()
        while not select.select([process.stdout], [], [], 0.5)[0]:
            used = _cpu_seconds(process.pid) - cpu
            if used > CPU_SECONDS or time.monotonic() - wall > WALL_SECONDS:
                process.send_signal(signal.SIGABRT)  # faulthandler says where it is
                return self._dead(network, seed, "hang")
        line = process.stdout.readline()
        if not line.endswith("\n"):
            return self._dead(network, seed, "crash")
        return Outcome(**json.loads(line))

    def _started(self) -> subprocess.Popen[str]:
        self._cases = 0
        self._stderr.seek(0)
        self._stderr.truncate()
        return subprocess.Popen(
            [sys.executable, *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def _dead(self, network: str, seed: int, kind: str) -> Outcome:
        process = self._process
        assert process is not None
        try:
            code = process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._end()
        self._stderr.seek(0)
        return Outcome(network, seed, kind, f"exit code {code}: {self._stderr.read()[-3000:]}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(BrokenPipeError):  # a case that it never read
                self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._stderr.close()


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def outcomes(cases: Iterable[Case], jobs: int) -> Iterator[Outcome]:
    """The outcomes of cases, in the order of their ends; `jobs` of them at a time."""
    pending, lock = iter(cases), threading.Lock()
    done: Queue[Outcome | None] = Queue()
    stopped = threading.Event()

    def work() -> None:
        try:
            with Worker() as worker:
                while not stopped.is_set():
                    with lock:
                        case = next(pending, None)
                    if case is None:
                        return
                    done.put(worker.outcome(case))
        finally:
            done.put(None)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    try:
        working = jobs
        while working:
            outcome = done.get()
            if outcome is None:
                working -= 1
            else:
                yield outcome
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
