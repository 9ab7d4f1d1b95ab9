"""Looks for the best batch size of a network: compiles it for 1, 2, 4, ... samples and compares.

Which one is the best, `batch_figures.best_batch` says, by estimates of warm runs; how many are
tried, `batch_figures.is_worth_more`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from typing_extensions import override

from furiosa_ir.backends import backend_for
from furiosa_ir.batch_figures import BatchFigures, is_worth_more
from furiosa_ir.errors import FuriosaError
from furiosa_ir.program import Program

_PACKAGE = logging.getLogger("furiosa_ir")


def compared_batches(
    compile_: Callable[[int], Program], report: Callable[[BatchFigures], None] | None = None
) -> tuple[tuple[BatchFigures, ...], FuriosaError | None]:
    """What a network takes at batch sizes 1, 2, 4, ...: as many as may be of use.

    Args:
        compile_: compiles it for so many samples. What it logs nobody hears.
        report: is told each row as it is known.

    Returns:
        (the rows, what kept further ones from being made: the network mixes samples, or what it
        takes does not fit). Without any row, a compile for one sample raises that as well.
    """
    rows: list[BatchFigures] = []
    while is_worth_more(rows):
        size = 2 * rows[-1].batch_size if rows else 1
        try:
            with _unheard():
                row = _figures(compile_(size), size)
        except FuriosaError as error:
            return tuple(rows), error
        rows.append(row)
        if report is not None:
            report(row)
    return tuple(rows), None


def _figures(program: Program, size: int) -> BatchFigures:
    costs = backend_for(program.target).costs(program)
    return BatchFigures(size, costs.latency, costs.sram_peak_bytes, costs.dram_traffic_bytes)


class _OfOtherThreads(logging.Filter):
    """Lets pass what other threads log."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread


@contextmanager
def _unheard() -> Generator[None]:
    """This thread's warnings go nowhere: the compile that counts repeats them."""
    handlers = [] if logging.lastResort is None else [logging.lastResort]
    logger: logging.Logger | None = _PACKAGE
    while logger is not None:
        handlers += logger.handlers
        logger = logger.parent if logger.propagate else None
    only_others = _OfOtherThreads()
    for handler in handlers:
        handler.addFilter(only_others)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(only_others)
