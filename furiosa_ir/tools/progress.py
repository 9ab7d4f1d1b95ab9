"""Progress of a compile on stderr, phase by phase."""

from __future__ import annotations

import io
import sys
import time

import click
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends import Backend
from furiosa_ir.backends.target import backend_of
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation, Phase


class Progress(Instrumentation):
    """`[1/4] 🔍   Compiling from onnx to graph`, `Done in 0.09s`, for each phase.

    Args:
        source: "onnx", "tflite" or "ir": what the compile begins with.
        backend: of the target that is asked for, or the default one; a text may name another.
        target_ir: where the compile ends; None: at the program.
        verbose: also a line for each pass.
    """

    def __init__(
        self, source: str, backend: Backend, target_ir: str | None, *, verbose: bool
    ) -> None:
        if isinstance(sys.stderr, io.TextIOWrapper):
            sys.stderr.reconfigure(errors="replace")  # not every terminal knows the symbols
        self._level = source
        self._backend, self._target_ir = backend, target_ir
        self._is_one_step = False
        self._verbose = verbose
        self._begin = self._started = time.perf_counter()
        self._step = 0
        self._steps = 0
        self._open = False
        self._pass = 0
        self._passes = 0

    def is_one_step(self) -> None:
        """Passes of the user's own are one step, to the last level of IR or the one asked for."""
        self._is_one_step = True

    @property
    def _levels(self) -> tuple[str, ...]:
        """The levels of IR in order, up to the one that is asked for."""
        stops = self._backend.stops
        if self._is_one_step:
            return stops[-2:] if self._target_ir in (None, stops[-1]) else (self._target_ir,)
        return stops if self._target_ir is None else stops[: stops.index(self._target_ir) + 1]

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        self._backend = backend_of(module) if self._level == "ir" else self._backend

    @override
    def before_stage(self, name: str) -> None:
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
            before = self._levels.index(name) - 1
            self._level = self._levels[before] if before >= 0 else "ir"
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
