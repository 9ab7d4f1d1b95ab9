"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOP = (1, 5)
"""Of how many classes with the greatest scores the label may be one."""


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is.

    Attributes:
        done, total: samples.
        kept: how many of those that are done are another run's, of the file.
        seconds: since it began.
        accuracy: share of samples so far, by name; empty with a metric.
    """

    done: int
    total: int
    kept: int
    seconds: float
    accuracy: Mapping[str, float]

    @property
    def images_per_second(self) -> float:
        """Samples of this run by the time that they took."""
        return (self.done - self.kept) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Evaluation:
    """How good a network is on a validation set.

    Attributes:
        result: accuracy by name ("top-1", "top-5"), as shares; or what a metric says, by its name.
        correct: how many samples each accuracy counts; empty with a metric.
        samples: how many there are.
        kept: how many of them a run before has done.
        seconds: that this run took, without compiling.
        images_per_second: samples of this run by that time.
        workers: how many there were: processes, or threads of a cluster's.
        scheduler: of the cluster; None: processes of this machine.
        target: what the program is for.
        program: SHA-256 of it.
        indices: the numbers of the samples.
        values: of each sample, in that order: the rank of its label among the classes (0: first),
            or what the metric returned.
    """

    result: Mapping[str, float]
    correct: Mapping[str, int]
    samples: int
    kept: int
    seconds: float
    images_per_second: float
    workers: int
    scheduler: str | None
    target: str
    program: str
    indices: Sequence[int] = field(repr=False)
    values: Sequence[Any] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """All but what is of single samples."""
        return {
            "result": dict(self.result),
            **({"correct": dict(self.correct)} if self.correct else {}),
            "samples": self.samples,
            "kept": self.kept,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 3),
            "workers": self.workers,
            "scheduler": self.scheduler,
            "target": self.target,
            "program_sha256": self.program,
        }


def counts_of(ranks: Sequence[int], classes: int) -> dict[str, int]:
    """How many labels are among the first 1 and 5 classes; only 1 where there are no more than 5.

    Args:
        ranks: of the labels.
        classes: how many there are.
    """
    return {f"top-{k}": sum(rank < k for rank in ranks) for k in TOP if k == 1 or k < classes}
