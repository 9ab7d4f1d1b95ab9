"""Workers that are a Dask cluster's, which somebody has started: `dask scheduler`, `dask worker`.

Dask sees to lost workers (what they did goes to others), to where data is, and to tasks that end
every worker (KilledWorker). The work, with its data, is the result of a task, so that the scheduler
makes it again wherever it is lost. A program that talks to a cluster may run code there, and the
cluster's answers are unpickled here: whoever names a scheduler trusts it.
"""

from __future__ import annotations

import importlib.util
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeAlias

from typing_extensions import override

from furiosa_ir.errors import FuriosaError
from furiosa_ir.native_process import Answer, Job, Order, described, raised
from furiosa_ir.pool import Pool
from furiosa_ir.version import __version__
from furiosa_ir.workers.spreading import Outcome, Workers
from furiosa_ir.workers.work import ATTEMPTS, Item, Work, ended_all

# Dask takes a second to import, and is an extra.
# ruff: noqa: PLC0415

_Client: TypeAlias = Any
_Future: TypeAlias = Any
"""Dask's classes, which are typed in part only."""

CONNECT_SECONDS = 10
"""In which a scheduler has to answer."""
EMPTY_SECONDS = 60
"""For which a cluster may be without workers: others may be on their way."""
_LOOK = 1.0
"""Seconds between two looks at the cluster while nothing comes of it."""
_CLOSE_SECONDS = 1


class Cluster(Workers):
    """The workers of a Dask scheduler.

    Args:
        work: what they do.
        address: of the scheduler.

    Raises:
        FuriosaError: it cannot be reached, or the extra `dask` is not installed.
    """

    def __init__(self, work: Work, address: str) -> None:
        super().__init__()
        self._work = work
        self._address = address
        self._agreed = "" if work.agrees is None else work.agrees()
        # Of a group of tasks with one name each worker gets what it has room for, and no more.
        self._token = f"furiosa-{secrets.token_hex(8)}"
        self._keys = count()
        self._items: dict[int, tuple[Item, int]] = {}
        self._futures: dict[int, _Future] = {}
        self._done: SimpleQueue[tuple[int, _Future]] = SimpleQueue()
        self._client = _connected(address)
        # What Dask's client has to say of lost connections, with tracebacks, errors say.
        self._log = logging.getLogger("distributed.client")
        self._log_level = self._log.level
        self._log.setLevel(logging.CRITICAL + 1)
        try:
            self._look()
            self._hold()
        except BaseException:
            self.close()
            raise

    @property
    @override
    def count(self) -> int:
        return self._count

    @override
    def begin(self, ticket: int, item: Item) -> None:
        self._submit(ticket, item, 1)

    def _submit(self, ticket: int, item: Item, attempt: int) -> None:
        self._items[ticket] = item, attempt
        key = (self._token, next(self._keys))
        future = self._task(key, _do, self._held, self._token, self._agreed, item)
        self._futures[ticket] = future

        def report(done: _Future) -> None:
            self._done.put((ticket, done))

        future.add_done_callback(report)

    @override
    def next_outcome(self) -> tuple[int, Outcome]:
        if time.monotonic() - self._looked > _LOOK:
            self._look()
        while True:
            ticket, future = self._next_done()
            if self._futures.get(ticket) is not future:
                continue  # taken back, or begun anew
            del self._futures[ticket]
            item, attempt = self._items.pop(ticket)
            if future.status in ("cancelled", "lost"):
                # Of a scheduler that somebody restarted, or that is gone.
                if attempt < ATTEMPTS and self._client.status == "running":
                    if self._held.status in ("cancelled", "lost"):
                        self._hold()
                    self._submit(ticket, item, attempt + 1)
                    continue
                raise self._is_lost()
            return ticket, self._outcome(future)

    def _outcome(self, future: _Future) -> Outcome:
        """What came of a task that is over.

        Raises:
            FuriosaError: the scheduler is gone.
        """
        error: BaseException | None = None
        if future.status == "error":
            error = self._asked(future.exception)
        else:
            try:
                answer: Answer | dict[str, Any] = self._asked(future.result)
                return raised(**answer) if isinstance(answer, dict) else answer
            except CancelledError:
                raise self._is_lost() from None
            except Exception as failure:
                if isinstance(failure, FuriosaError):
                    raise
                error = failure
        kind = type(error).__name__
        if kind == "KilledWorker":
            return ended_all("was ended, or took more memory than its nanny allows")
        text = " ".join(str(error).split())
        return FuriosaError(
            f"the workers of the cluster cannot do the work: {kind}: {text}",
            hint="scheduler and workers need furiosa-ir and the libraries that this process has",
        )

    def _asked(self, question: Callable[..., Any]) -> Any:
        """An answer about a task, however long it is on its way: it may have to be made again.

        Raises:
            FuriosaError: the scheduler is gone.
        """
        while True:
            try:
                return question(timeout=CONNECT_SECONDS)
            except TimeoutError:
                self._look()

    def _hold(self) -> None:
        """Brings the work to the workers that are there; others get it with their first item."""
        self._held: _Future = self._task(
            f"work-{self._token}-{next(self._keys)}", _held, self._work
        )
        if self._count:
            # Else the worker that has it gets all items at first.
            with suppress(Exception):  # one is lost at this moment
                self._client.replicate([self._held], callback_timeout=CONNECT_SECONDS)

    def _task(self, key: object, function: Callable[..., object], *arguments: object) -> _Future:
        """Has a task done.

        Raises:
            FuriosaError: the scheduler is gone.
        """
        try:
            with _no_word_of_sizes():
                return self._client.submit(function, *arguments, key=key)
        except Exception as error:
            raise self._is_lost() from error

    def _next_done(self) -> tuple[int, _Future]:
        empty_since = None
        while True:
            with suppress(Empty):
                return self._done.get(timeout=_LOOK)
            now = time.monotonic()
            empty_since = None if self._count else empty_since or now
            if empty_since is not None and now - empty_since > EMPTY_SECONDS:
                raise FuriosaError(
                    f"the scheduler '{self._address}' has had no workers for {EMPTY_SECONDS} s",
                    hint=f"start some: dask worker {self._address}",
                )
            self._look()

    def _look(self) -> None:
        """Counts the threads of the workers.

        Raises:
            FuriosaError: the scheduler is gone.
        """
        self._looked = time.monotonic()
        try:
            threads: dict[str, int] = self._client.sync(
                self._client.scheduler.ncores, callback_timeout=CONNECT_SECONDS
            )
        except Exception as error:
            raise self._is_lost() from error
        self._count = sum(threads.values())

    def _is_lost(self) -> FuriosaError:
        return FuriosaError(f"the connection to the scheduler '{self._address}' is lost")

    @override
    def take_back(self) -> None:
        futures = list(self._futures.values())
        self._futures.clear()
        self._items.clear()
        for future in futures:
            future.release()  # which waits for nobody; the scheduler forgets what nobody wants

    @override
    def close(self) -> None:
        self.take_back()
        with suppress(Exception):
            self._client.close(timeout=_CLOSE_SECONDS)
        self._log.setLevel(self._log_level)


def _connected(address: str) -> _Client:
    """A client of a scheduler.

    Raises:
        FuriosaError: there is none, or no Dask here.
    """
    if importlib.util.find_spec("distributed") is None:
        raise FuriosaError(
            "a scheduler needs Dask, which is not installed",
            hint="pip install 'furiosa-ir[dask]'",
        )
    from distributed import Client

    connected: SimpleQueue[_Client | Exception] = SimpleQueue()

    def connect() -> None:
        try:
            connected.put(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
        except Exception as error:  # noqa: BLE001  # what speaks another protocol raises many kinds
            connected.put(error)

    # Where somebody listens and says nothing, Dask waits for ever.
    Thread(target=connect, daemon=True).start()
    try:
        outcome = connected.get(timeout=2 * CONNECT_SECONDS)
    except Empty:
        outcome = TimeoutError("it says nothing")
    if isinstance(outcome, Exception):
        reason = " ".join(str(outcome).split()) or type(outcome).__name__
        raise FuriosaError(
            f"the scheduler '{address}' cannot be reached: {reason[:1].lower()}{reason[1:]}",
            hint="`dask scheduler` starts one and prints its address, as tcp://10.0.0.1:8786",
        ) from outcome
    return outcome


@contextmanager
def _no_word_of_sizes() -> Generator[None]:
    """Dask finds 10 MB much to send, which a program with its weights may have."""
    from dask import config  # pyright: ignore[reportPrivateImportUsage]

    with config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        yield


# In the workers.


_POOLS: OrderedDict[str, Pool[Mapping[str, Job]]] = OrderedDict()
_KEPT = 2
"""Works whose jobs a worker keeps."""
_LOCK = Lock()


def _held(work: Work) -> Work:
    """The work, as the result of a task."""
    return work


def _do(work: Work, token: str, agreed: str, item: Item) -> Answer | dict[str, Any]:
    """Does an item: its answer, or what it raised, as `raised` takes it."""
    try:
        _require_agreement(work, agreed)
        with _pool(token, work).lend() as jobs:
            return jobs[item.job](Order(item.options, item.data, item.arrays))
    except Exception as error:  # noqa: BLE001  # the client raises it
        return described(error)


def _require_agreement(work: Work, agreed: str) -> None:
    if work.agrees is not None and work.agrees() != agreed:
        raise FuriosaError(
            f"a worker of the cluster has another furiosa-ir (its version is {__version__}), or "
            "other versions of its libraries, than this process",
            hint="install the same everywhere: else results might differ",
        )


def _pool(token: str, work: Work) -> Pool[Mapping[str, Job]]:
    """The jobs of a work, each lent to one of the worker's threads at a time."""
    with _LOCK:
        if token not in _POOLS:
            _POOLS[token] = Pool(lambda: work.jobs(work.options, work.data))
        _POOLS.move_to_end(token)
        while len(_POOLS) > _KEPT:
            _POOLS.popitem(last=False)
        return _POOLS[token]
