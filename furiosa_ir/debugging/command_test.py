"""Whether a command finds a module interesting: what `furiosa reduce --test` asks."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.text import write_module
from furiosa_ir.leftovers import leftover, temporary_folder


@dataclass(frozen=True)
class CommandTest:
    """A command that gets a module's file as its last argument, and says whether it is interesting.

    It ends with 0 if the module shows what is looked for (as iree-reduce's does; mlir-reduce's ends
    with 1 then).

    Attributes:
        command: its words.
        jobs: how many run at once.
        seconds: after which it counts as one that does not show it.
    """

    command: tuple[str, ...]
    jobs: int = 1
    seconds: float = 60.0
    _numbers: list[int] = field(default_factory=list[int])

    @classmethod
    def of(cls, text: str, jobs: int, seconds: float) -> CommandTest:
        """A test of a command line.

        Raises:
            FuriosaError: it has no words, or quotes that do not end.
        """
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise FuriosaError(f"--test '{text}' cannot be read: {error}") from None
        if not words:
            raise FuriosaError("--test is empty", hint="give a command; it gets the file behind it")
        return cls(words, jobs, seconds)

    def __call__(self, modules: Sequence[ModuleOp]) -> list[bool]:
        """Which of some modules are interesting; they are tried at once.

        Raises:
            FuriosaError: there is no such command.
        """
        with temporary_folder() as folder, ThreadPoolExecutor(self.jobs) as workers:
            files: list[Path] = []
            for number, module in enumerate(modules):
                files.append(folder / f"candidate{number}.mlir")
                write_module(module, files[-1])
            return list(workers.map(self._is_interesting, files))

    def _is_interesting(self, file: Path) -> bool:
        try:
            started = subprocess.Popen(  # noqa: S603  # the user's own command
                [*self.command, str(file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise FuriosaError(f"cannot be run: {reason}", file=self.command[0]) from None
        with leftover(partial(_end, started)):
            try:
                return started.wait(self.seconds) == 0
            except subprocess.TimeoutExpired:
                return False


def _end(started: subprocess.Popen[bytes]) -> None:
    """Ends a command that has not ended, and what it has started: a script's own processes."""
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
