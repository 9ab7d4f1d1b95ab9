"""The worker that is this process: nothing is started, and nothing can be lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from typing_extensions import override

from furiosa_ir.native_process import Job, Order
from furiosa_ir.workers.spreading import Outcome, Workers
from furiosa_ir.workers.work import Item, Work


class Here(Workers):
    """Does each item when its outcome is asked for.

    Args:
        work: what is done.
    """

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._jobs: Mapping[str, Job] | None = None
        self._waiting: deque[tuple[int, Item]] = deque()

    @property
    @override
    def count(self) -> int:
        return 1

    @override
    def begin(self, ticket: int, item: Item) -> None:
        self._waiting.append((ticket, item))

    @override
    def next_outcome(self) -> tuple[int, Outcome]:
        ticket, item = self._waiting.popleft()
        if self._jobs is None:
            self._jobs = self._work.jobs(self._work.options, self._work.data)
        try:
            return ticket, self._jobs[item.job](Order(item.options, item.data, item.arrays))
        except Exception as error:  # noqa: BLE001  # whoever waits for the item raises it
            return ticket, error

    @override
    def take_back(self) -> None:
        self._waiting.clear()

    @override
    def close(self) -> None:
        self._waiting.clear()
        self._jobs = None
