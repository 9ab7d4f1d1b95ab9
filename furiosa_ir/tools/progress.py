"""Progress of a compile on stderr, phase by phase."""

from __future__ import annotations

import io
import sys
import time

import click
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation, Phase


class Progress(Instrumentation):
    """`[1/4] 🔍   Compiling from onnx to graph`, `Done in 0.09s`, for each phase.

    Args:
        source: "onnx", "tflite" or "ir": what the compile begins with.
        levels: the levels of IR in order, up to the one that is asked for.
        verbose: also a line for each pass.
    """

    def __init__(self, source: str, levels: tuple[str, ...], *, verbose: bool) -> None:
        if isinstance(sys.stderr, io.TextIOWrapper):
            sys.stderr.reconfigure(errors="replace")  # not every terminal knows the symbols
        self._level = source
        self._levels = levels
        self._verbose = verbose
        self._begin = self._started = time.perf_counter()
        self._step = 0
        self._steps = 0
        self._open = False
        self._pass = 0
        self._passes = 0

    def phase(self, name: str) -> None:
        """A phase begins: "import", or the level that it makes."""
        if name == "import":
            if self._level == "ir":
                self._announce("🔍   Reading IR")
                return
            name = self._levels[0]  # importing and the first level are one step to a user
        elif name == self._levels[0] and self._step:
            return
        if not self._steps:
            self._steps = len(self._levels) - self._levels.index(name)
        if self._level == "ir":
            self._level = self._levels[self._levels.index(name) - 1]
        self._step += 1
        self._announce(f"[{self._step}/{self._steps}] 🔍   Compiling from {self._level} to {name}")
        self._level = name

    def finished(self) -> None:
        """Everything is done."""
        self._close()
        click.echo(f"✨  Finished in {time.perf_counter() - self._begin:.3g}s", err=True)

    @override
    def before_phase(self, phase: Phase, module: ModuleOp) -> None:
        self._pass, self._passes = 0, len(phase.resolve())

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        self._pass += 1
        if self._verbose:
            where = f"[{self._pass}/{self._passes}]"
            click.echo(f"▪▪▪▪▪ {where} {what.name}...Done in {seconds:.3g}s", err=True)

    def _announce(self, text: str) -> None:
        self._close()
        click.echo(text, err=True)
        self._open, self._started = True, time.perf_counter()

    def _close(self) -> None:
        if self._open:
            click.echo(f"Done in {time.perf_counter() - self._started:.3g}s", err=True)
        self._open = False
