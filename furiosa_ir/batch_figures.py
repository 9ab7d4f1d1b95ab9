"""What a network takes at several batch sizes, and which of them is the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from furiosa_ir.latency import Latency

AUTO: Literal["auto"] = "auto"
"""In place of a batch size: the best one is looked for."""

BatchSize = int | Literal["auto"] | None
"""How many samples inputs hold; None: as the file has it."""

MAX_BATCH = 64
"""The largest batch that is tried."""

TOLERANCE = 0.02
"""Of the greatest throughput: a batch that is less than that below it is as good. The estimates
of two batches are not known any better, and a larger batch has a longer latency."""

PATIENCE = 2
"""Doublings in a row without a gain, after which no further one is tried."""


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """What a network takes at one batch size.

    Attributes:
        batch_size: samples a run.
        latency: of a run, estimated.
        sram_bytes: of SRAM that are taken at once.
        dram_bytes: of DRAM that a run reads and writes.
    """

    batch_size: int
    latency: Latency
    sram_bytes: int
    dram_bytes: int

    @property
    def images_per_second(self) -> float:
        """Samples in a second of warm runs, one behind the other; 0 if a run takes no time."""
        total = self.latency.total_latency_us
        return self.batch_size * 1e6 / total if total > 0 else 0.0

    @property
    def image_us(self) -> float:
        """Microseconds of a warm run for each of its samples."""
        return self.latency.total_latency_us / self.batch_size

    def figures(self) -> dict[str, float]:
        """All of it by name, as summaries have it."""
        return {
            "batch_size": self.batch_size,
            "images_per_second": self.images_per_second,
            "image_latency_us": self.image_us,
            **self.latency.figures(),
            "sram_peak_bytes": self.sram_bytes,
            "dram_traffic_bytes": self.dram_bytes,
        }


def best_batch(rows: Sequence[BatchFigures]) -> int:
    """The smallest batch that is as good as any: its throughput within `TOLERANCE` of the greatest.

    Args:
        rows: at least one, with growing batches.
    """
    least = (1 - TOLERANCE) * max(row.images_per_second for row in rows)
    return next(row.batch_size for row in rows if row.images_per_second >= least)


def is_worth_more(rows: Sequence[BatchFigures]) -> bool:
    """Whether a larger batch than the last one may be better still.

    Args:
        rows: of 1, 2, 4, ... samples.
    """
    if not rows:
        return True
    if 2 * rows[-1].batch_size > MAX_BATCH:
        return False
    # Of the last doublings one gained something over all that was before.
    for count in range(max(1, len(rows) - PATIENCE), len(rows)):
        before = max(row.images_per_second for row in rows[:count])
        if rows[count].images_per_second * (1 - TOLERANCE) > before:
            return True
    return len(rows) <= PATIENCE
