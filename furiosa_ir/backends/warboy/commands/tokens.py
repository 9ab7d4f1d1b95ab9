"""What a command has to wait for: hazards on SRAM between the two engines."""

from __future__ import annotations

import numpy as np

from furiosa_ir.backends.warboy.enf.commands import SramPlace, kind_of
from furiosa_ir.backends.warboy.enf.records import Command

DMA, NPU = 0, 1
GRANULE = 32
"""Addresses in SRAM are multiples of this."""


class TokenTracker:
    """Finds the waits of commands in order of issue.

    Each engine works through its own commands in order, so a command waits for at most one command
    of the other engine: the last one that wrote what it reads, or read or wrote what it writes;
    and only if its engine has not waited for that one or a later one already. DRAM needs no
    tokens: only the DMA engine touches it.

    Args:
        slice_bytes: bytes of a slice.
        first: number of the first command: those before it have ended.
    """

    def __init__(self, slice_bytes: int, first: int = 0) -> None:
        granules = -(-slice_bytes // GRANULE)
        # Number of the last command of each engine that wrote or read each granule.
        self._written = np.full((2, granules), -1, np.int32)
        self._read = np.full((2, granules), -1, np.int32)
        self._waited = [-1, -1]
        self._count = first

    def issue(self, command: Command) -> tuple[int, ...]:
        """The tokens that the next command waits for."""
        number, self._count = self._count, self._count + 1
        kind = kind_of(command)
        engine = DMA if kind.engine == "dma" else NPU
        other = 1 - engine
        latest = -1
        written = kind.sram_written(command)
        reads = [_range(place) for place in kind.sram_read(command)]
        writes = [] if written is None else [_range(written)]
        for part in reads:
            latest = max(latest, int(self._written[other, part].max()))
        for part in writes:
            latest = max(
                latest,
                int(self._written[other, part].max()),
                int(self._read[other, part].max()),
            )
        for part in reads:
            self._read[engine, part] = number
        for part in writes:
            self._written[engine, part] = number
        if latest <= self._waited[engine]:
            return ()
        self._waited[engine] = latest
        return (latest,)


def _range(memory: SramPlace) -> slice:
    first = memory.address // GRANULE
    return slice(first, first + -(-memory.slice_bytes // GRANULE))
