"""Workers that are processes of this machine, each with a thread here that talks to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from queue import SimpleQueue

from typing_extensions import override

from furiosa_ir.native_process import Child, NativeCrash
from furiosa_ir.workers.spreading import Outcome, Workers
from furiosa_ir.workers.work import ATTEMPTS, Item, Work, ended_all

_LOG = logging.getLogger("furiosa_ir")

ONE_THREAD: Mapping[str, str] = dict.fromkeys(
    ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)
"""What numpy's libraries read: a process multiplies in the thread that asks for it.

Several that take all processors each are slower, and how sums of floats are split between threads
would make results depend on the machine.
"""


class Processes(Workers):
    """Processes of this machine.

    They are started with the first items, end with this one, and Ctrl-C is this one's.

    Args:
        work: what they do.
        most: how many there are at most.
    """

    def __init__(self, work: Work, most: int) -> None:
        super().__init__()
        self._work = work
        self._most = most
        self._threads: list[threading.Thread] = []
        self._waiting: SimpleQueue[tuple[int, Item] | None] = SimpleQueue()
        self._outcomes_there: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
        self._wanted: set[int] = set()
        self._lock = threading.Lock()
        self._children: set[Child] = set()
        self._is_closed = False

    @property
    @override
    def count(self) -> int:
        return self._most

    @override
    def begin(self, ticket: int, item: Item) -> None:
        self._wanted.add(ticket)
        if len(self._threads) < min(self._most, len(self._wanted)):
            self._threads.append(threading.Thread(target=self._serve, daemon=True))
            self._threads[-1].start()
        self._waiting.put((ticket, item))

    @override
    def next_outcome(self) -> tuple[int, Outcome]:
        ticket, outcome = self._outcomes_there.get()
        self._wanted.discard(ticket)
        return ticket, outcome

    @override
    def take_back(self) -> None:
        self._wanted.clear()

    @override
    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            children = list(self._children)
        self._wanted.clear()
        for child in children:
            child.process.kill()  # its thread sees that, and closes the connection
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(1.0)

    def _serve(self) -> None:
        """What each thread does: one item after another, in a process that it replaces."""
        child: Child | None = None
        while (task := self._waiting.get()) is not None:
            ticket, item = task
            if ticket not in self._wanted:
                continue
            try:
                child, outcome = self._do(item, child)
            except Exception as error:  # noqa: BLE001  # whoever waits for the item raises it
                child, outcome = None, error
            self._outcomes_there.put((ticket, outcome))
        if child is not None:
            self._let_go(child)

    def _do(self, item: Item, child: Child | None) -> tuple[Child | None, Outcome]:
        """What came of an item, and the process that is there afterwards."""
        order = {"job": item.job, "options": item.options, "seconds": None, "bytes": 0}
        order["level"] = _LOG.getEffectiveLevel()
        crash = NativeCrash("was closed")
        for _ in range(ATTEMPTS):
            try:
                if child is None or not child.is_usable():
                    child = self._start()
                return child, child.run(order, item.data, item.arrays, _nobody_asks)
            except NativeCrash as error:
                crash = error
                if child is not None:
                    self._let_go(child)
                    child = None
                if self._is_closed:
                    break
                _LOG.warning("a worker %s: what it did is done again", crash)
        return None, ended_all(str(crash), crash.hint)

    def _start(self) -> Child:
        """A new process.

        Raises:
            NativeCrash: none can be started, or the workers are closed.
        """
        work = self._work
        with self._lock:
            if self._is_closed:
                raise NativeCrash("was closed")
            child = Child(
                work.jobs.__module__, work.options, work.data, silent=False, variables=ONE_THREAD
            )
            self._children.add(child)
        return child

    def _let_go(self, child: Child) -> None:
        with self._lock:
            self._children.discard(child)
        child.end()


def _nobody_asks(_what: str, _done: int, _total: int) -> None:
    """Progress within an item: it shows that the process is alive, and no more."""
