"""Processes that ask of modules whether passes change a value of them, several at once.

    # process: plug-ins, passes and count in the first line, then a file a line, answered by 0 or 1

A module of hundreds of operations takes a second; those of a batch are tried at once. Small ones
are faster in the process that has them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO, cast

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.debugging.numerics_test import NumericsTest
from furiosa_ir.debugging.part import operations_of
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.passes import parse_passes, pipeline_text
from furiosa_ir.ir.text import read_module, write_module
from furiosa_ir.leftovers import leftover, temporary_folder
from furiosa_ir.plugins import load_plugins
from furiosa_ir.python_process import python_command

LEAST_OPERATIONS = 60
"""Of a module that is worth writing to a file for another process."""

_CODE = "from furiosa_ir.debugging.workers import serve\nserve()"


@dataclass(frozen=True)
class ParallelTest:
    """`NumericsTest`, in processes where modules are large.

    Attributes:
        test: what is asked.
        plugins: what those processes load.
        jobs: how many there are at most.
    """

    test: NumericsTest
    plugins: tuple[str, ...]
    jobs: int

    def __call__(self, modules: Sequence[ModuleOp]) -> list[bool]:
        """Which of some modules are interesting."""
        few = len(modules) < 2 or self.jobs < 2
        if few or max(len(operations_of(m)) for m in modules) < LEAST_OPERATIONS:
            return self.test(modules)
        with self._workers(min(self.jobs, len(modules))) as workers, temporary_folder() as folder:
            files: list[Path] = []
            for number, module in enumerate(modules):
                files.append(folder / f"candidate{number}.mlir")
                write_module(module, files[-1])
            free: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
            for worker in workers:
                free.put(worker)

            def ask(file: Path) -> bool:
                worker = free.get()
                try:
                    return _answer(worker, file)
                finally:
                    free.put(worker)

            with ThreadPoolExecutor(len(workers)) as threads:
                return list(threads.map(ask, files))

    @contextmanager
    def _workers(self, count: int) -> Generator[list[subprocess.Popen[str]]]:
        first = {
            "plugins": [str(Path(p).resolve()) if Path(p).exists() else p for p in self.plugins],
            "passes": pipeline_text(self.test.passes),
            "wrong": self.test.wrong,
            "count": self.test.count,
            "sort": self.test.sort,
        }
        with ExitStack() as stack:
            started: list[subprocess.Popen[str]] = []
            for _ in range(count):
                process = subprocess.Popen(  # noqa: S603
                    python_command(_CODE),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
                stack.callback(process.wait)
                stack.enter_context(leftover(process.kill))
                for stream in (process.stdin, process.stdout):
                    stack.enter_context(cast("TextIO", stream))
                _tell(process, json.dumps(first))
                started.append(process)
            yield started


def _tell(process: subprocess.Popen[str], line: str) -> None:
    stream = cast("TextIO", process.stdin)
    stream.write(f"{line}\n")
    stream.flush()


def _answer(process: subprocess.Popen[str], file: Path) -> bool:
    try:
        _tell(process, str(file))
        answer = cast("TextIO", process.stdout).readline().strip()
    except OSError:
        answer = ""
    if answer not in ("0", "1"):
        raise FuriosaError("a process that tries candidates has ended", hint="-j 1 starts none")
    return answer == "1"


def serve() -> None:
    """What the process does, until nobody asks any more."""
    asked = json.loads(sys.stdin.readline())
    load_plugins(asked["plugins"])
    test = NumericsTest(
        parse_passes(asked["passes"]), asked["wrong"], asked["count"], asked["sort"]
    )
    for line in sys.stdin:
        try:
            (answer,) = test([read_module(Path(line.strip()))])
        except FuriosaError:
            answer = False
        sys.stdout.write(f"{int(answer)}\n")
        sys.stdout.flush()
