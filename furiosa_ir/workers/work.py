"""What is to be done, and what each worker is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from furiosa_ir.errors import FuriosaError
from furiosa_ir.native_process import Job
from furiosa_ir.numerics.array import Array

ATTEMPTS = 3
"""Workers that may be lost with one item: then it is the item that ends them."""

Jobs = Callable[[Mapping[str, Any], bytes], Mapping[str, Job]]
"""Makes a worker's jobs of the work's options and data."""


@dataclass(frozen=True)
class Work:
    """What a worker keeps from item to item.

    Attributes:
        jobs: makes its jobs, once in each worker: the function `jobs` of a module of ours, which
            workers import.
        options: what it is called with, as JSON has them.
        data: bytes that it is called with; whoever has it in a file gives its path in `options` to
            the processes of this machine, which then share it.
        agrees: what has to be the same here and there, so that answers are: versions, say. A
            function of a module, too.
    """

    jobs: Jobs
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: bytes = field(default=b"", repr=False)
    agrees: Callable[[], str] | None = None


@dataclass(frozen=True)
class Item:
    """What is done at once, by one worker.

    Its answer depends on nothing else, neither on the worker nor on the items before: it may be
    done twice, where a worker is lost.

    Attributes:
        job: which of the work's jobs.
        options: what it gets, as JSON has them.
        data: bytes that it gets.
        arrays: arrays that it gets.
    """

    job: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: bytes = field(default=b"", repr=False)
    arrays: Sequence[Array] = field(default=(), repr=False)


class WorkersLost(FuriosaError):
    """Too many workers were lost with one item."""


def ended_all(how: str, hint: str | None = None) -> WorkersLost:
    """The error of an item with which too many workers were lost.

    Args:
        how: what became of the last one: "was ended by SIGSEGV".
        hint: the way out, if there is one.
    """
    return WorkersLost(
        f"several workers were lost with the same piece of work; the last one {how}", hint=hint
    )
