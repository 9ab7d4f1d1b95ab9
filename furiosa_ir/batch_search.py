"""Looks for the best batch size of a network: compiles it for 1, 2, 4, ... samples and compares.

Which one is the best, `batch_figures.best_batch` says, by estimates of warm runs; how many are
tried, `batch_figures.is_worth_more`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from typing_extensions import override

from furiosa_ir.backends import backend_for
from furiosa_ir.batch_figures import BatchFigures, best_batch, is_worth_more
from furiosa_ir.errors import FuriosaError
from furiosa_ir.program import Program

_PACKAGE = logging.getLogger("furiosa_ir")


@dataclass(frozen=True)
class Comparison:
    """What a network takes in batches of 1, 2, 4, ... samples.

    Attributes:
        rows: of each batch; none where not even one sample can be compiled.
        obstacle: what kept further ones from being made: the network mixes samples, or what it
            takes does not fit.
    """

    rows: tuple[BatchFigures, ...]
    obstacle: FuriosaError | None
    _made: Mapping[int, _Made]

    @property
    def best(self) -> int:
        """The best batch size; 1 where there are no rows: its compile says why."""
        return best_batch(self.rows) if self.rows else 1

    def take_best(self) -> Program | None:
        """The program of the best batch, whose compile's warnings are logged now."""
        made = self._made.get(self.best)
        if made is None:
            return None
        for record in made.warnings:
            logging.getLogger(record.name).handle(record)
        return made.program


@dataclass(frozen=True)
class _Made:
    program: Program
    warnings: Sequence[logging.LogRecord]


def compared_batches(
    compile_: Callable[[int], Program], report: Callable[[BatchFigures], None] | None = None
) -> Comparison:
    """Compiles a network for 1, 2, 4, ... samples: as many as may be of use.

    Args:
        compile_: compiles it for so many samples. What it logs nobody hears, until the best
            program is taken.
        report: is told each row as it is known.
    """
    rows: list[BatchFigures] = []
    made: dict[int, _Made] = {}
    obstacle = None
    while is_worth_more(rows):
        size = 2 * rows[-1].batch_size if rows else 1
        try:
            with _unheard() as warnings:
                program = compile_(size)
                row = _figures(program, size)
        except FuriosaError as error:
            obstacle = error
            break
        rows.append(row)
        made[size] = _Made(program, warnings)
        best = best_batch(rows)  # never one of those before it again, as the greatest only grows
        made = {other: m for other, m in made.items() if other >= best}
        if report is not None:
            report(row)
    return Comparison(tuple(rows), obstacle, made)


def _figures(program: Program, size: int) -> BatchFigures:
    costs = backend_for(program.target).costs(program)
    return BatchFigures(size, costs.latency, costs.sram_peak_bytes, costs.dram_traffic_bytes)


class _OfOtherThreads(logging.Filter):
    """Lets pass what other threads log, and keeps the rest.

    Attributes:
        kept: what this thread has logged.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self.kept: list[logging.LogRecord] = []

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        if not any(record is one for one in self.kept[-1:]):  # each handler asks
            self.kept.append(record)
        return False


@contextmanager
def _unheard() -> Generator[list[logging.LogRecord]]:
    """What this thread logs is heard by no handler, and kept."""
    handlers = [] if logging.lastResort is None else [logging.lastResort]
    logger: logging.Logger | None = _PACKAGE
    while logger is not None:
        handlers += logger.handlers
        logger = logger.parent if logger.propagate else None
    only_others = _OfOtherThreads()
    for handler in handlers:
        handler.addFilter(only_others)
    try:
        yield only_others.kept
    finally:
        for handler in handlers:
            handler.removeFilter(only_others)
