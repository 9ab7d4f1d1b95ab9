"""Compiled programs on a Redis server or cluster.

    furiosa:compiler:1:{KEY}          an entry (`cache.redis_value`); Redis expires it
    furiosa:compiler:1:{KEY}:ID:N     part N of a large one, written before it
    furiosa:compiler:1:{KEY}:lock     held by whoever compiles it, for as long as it renews it
    furiosa:compiler:1:{KEY}:failed   who had it last and stored nothing; for some seconds

A cache may cost time, never a compile: all that a compile asks of a server must come within
`PATIENCE`, else the server is not asked again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from furiosa_ir.cache.bounded import OutOfTime, TimeBudget
from furiosa_ir.cache.entry import BadEntry, Entry, Metadata, Payload, TooLarge, entry_size
from furiosa_ir.cache.redis_reader import RedisReader, UnclearAnswer, resolve
from furiosa_ir.cache.redis_value import PartIsMissing, read_value, values
from furiosa_ir.cache.settings import DEFAULT_LIFETIME, RedisAddress
from furiosa_ir.cache.store import (
    LONGEST_WAIT,
    Pruned,
    StoredEntry,
    StoreFailure,
    is_valid,
    pruned,
    superfluous,
)

if TYPE_CHECKING:
    from furiosa_ir.cache.redis_client import RedisClient
    from furiosa_ir.cache.redis_lock import RedisLock

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

PATIENCE = 1.8
"""Seconds that a compile may wait for the server, all in all; for another compile it may longer."""
RELEASE = 0.15
"""Seconds to give a lock back in, however long the server has been waited for before."""
_TOO_SLOW = "it does not answer in time"
ADMINISTRATION = 120.0
"""Seconds for each thing that `furiosa cache` does."""
_POLL = 0.02
"""Seconds between two tries to get a lock; they grow to fifteen times that."""


class RedisStore:
    """A store on a server, which is connected to when it is first asked something.

    Args:
        address: the server, or any node of a cluster.
        is_patient: whether somebody wants to know, however long it takes, rather than to compile.
    """

    def __init__(self, address: RedisAddress, *, is_patient: bool = False) -> None:
        self._address = address
        self._patience = None if is_patient else TimeBudget(PATIENCE)
        self._client: RedisClient | None = None
        self._is_cluster: bool | None = None
        self._failure: str | None = None

    def __str__(self) -> str:
        return str(self._address)

    @property
    def _budget(self) -> TimeBudget:
        """What is left for a compile; of patience, ever the same."""
        return TimeBudget(ADMINISTRATION) if self._patience is None else self._patience

    def _ask(self, function: Callable[[RedisClient], _T], budget: TimeBudget | None = None) -> _T:
        """What the function makes of the client. After a failure nothing more is asked.

        Raises:
            StoreFailure: the server is out of reach, too slow, or refuses.
            BadEntry: what it holds is damaged.
        """
        budget = self._budget if budget is None else budget
        if self._failure is not None:
            raise StoreFailure(self._failure)
        if budget.left <= 0:
            raise self._failed(_TOO_SLOW)
        try:
            # Not within the time: importing takes some.
            from furiosa_ir.cache.redis_client import RedisClient, reason  # noqa: PLC0415

            client = self._client = self._client or RedisClient(
                self._address, self._is_cluster, is_observer=self._patience is None
            )
        except ImportError as error:
            raise self._failed(_missing(error)) from None
        try:
            return budget.call(lambda: function(client))
        except OutOfTime:
            client.abandon()
            raise self._failed(_TOO_SLOW) from None
        except BadEntry:
            raise
        except ImportError as error:
            raise self._failed(_missing(error)) from None
        except Exception as error:  # noqa: BLE001  # whatever a server says, it costs a compile
            raise self._failed(reason(error)) from None

    def _failed(self, failure: str) -> StoreFailure:
        self._failure = failure
        return StoreFailure(failure)

    # Entries.

    def get(self, key: str, lifetime: int, file: Path | None = None) -> Entry | None:
        """See `Store.get`."""
        try:
            entry = self._read(key, file)
        except PartIsMissing:  # nobody's fault: a server may evict any value
            with suppress(StoreFailure):
                self._ask(lambda client: client.remove_incomplete(key))
            return None
        except BadEntry as error:
            self._throw_away(key, error)
            return None
        if entry is None or is_valid(entry.created, lifetime):
            return entry
        with suppress(StoreFailure):
            self.delete(key)
        return None

    def _read(self, key: str, file: Path | None) -> Entry | None:
        """The entry by the short cut, or else by redis-py, which can say what is wrong."""
        if self._failure is None:
            try:
                budget = self._budget
                addresses = budget.call(lambda: resolve(self._address))
                with (
                    budget.deadline() as deadline,
                    closing(RedisReader(self._address, addresses, deadline)) as reader,
                ):
                    return read_value(reader.value, key, file)
            except UnclearAnswer as answer:
                self._is_cluster = answer.is_cluster or None
            except ImportError as error:
                raise self._failed(_missing(error)) from None
            except (OutOfTime, OSError, ValueError):  # ValueError: names that cannot be
                pass
        return self._ask(lambda client: client.entry(key))

    def _throw_away(self, key: str, error: BadEntry) -> None:
        try:
            self.delete(key)
        except StoreFailure as failure:
            raise StoreFailure(
                f"an entry is damaged ({error}) and cannot be thrown away: {failure}"
            ) from None
        _LOG.warning("a cache entry on %s is thrown away: %s", self, error)

    def put(self, key: str, metadata: Metadata, program: Payload, lifetime: int) -> None:
        """See `Store.put`. Redis expires the entry; with a lifetime of 0, after the default one."""
        try:
            entry_size(metadata, program)
        except TooLarge as error:
            raise StoreFailure(str(error)) from None
        except OSError as error:
            raise StoreFailure((error.strerror or str(error)).lower()) from None
        expiry = None if lifetime < 0 else lifetime or DEFAULT_LIFETIME
        self._ask(lambda client: client.store(key, values(key, metadata, program), expiry))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._ask(lambda client: client.remove(key))

    # Locks.

    @contextmanager
    def compiling(self, key: str, lifetime: int) -> Generator[bool]:
        """See `Store.compiling`."""
        lock, waited = self._lock(key)
        stop = threading.Event()
        if lock is not None:
            renewing = threading.Thread(
                target=_renew, args=(lock, stop), name="furiosa-cache-lock", daemon=True
            )
            try:
                renewing.start()
            except RuntimeError as error:  # no more threads: it would expire under a long compile
                _LOG.debug("no lock on %s: %s", self, error)
                self._release(lock)
                lock = None
        try:
            yield waited
        finally:
            stop.set()
            if lock is not None:
                self._release(lock)

    def _lock(self, key: str) -> tuple[RedisLock | None, bool]:
        """(the lock, whether it had to be waited for); no lock if there is a reason to go on."""
        lock = None
        try:
            lock = self._ask(lambda client: client.lock(key))
            is_held, waited = self._acquire(lock, key)
        except StoreFailure as error:
            _LOG.debug("no lock on %s: %s", self, error)
            if lock is not None:
                self._release(lock)  # the answer may be what was lost
            return None, False
        return lock if is_held else None, waited

    def _acquire(self, lock: RedisLock, key: str) -> tuple[bool, bool]:
        """(whether the lock is held, whether it had to be waited for).

        It is not if an entry came first, or a holder ended without one, or the wait was too long.

        Raises:
            StoreFailure: as in `_ask`.
        """
        if self._ask(lambda _: lock.acquire()):
            return True, False
        before = self._ask_meanwhile(lambda _: lock.last_failure())
        deadline, poll = time.monotonic() + LONGEST_WAIT, _POLL
        while time.monotonic() < deadline:
            if self._ask_meanwhile(lambda _: lock.is_nobodys()):
                _LOG.debug("what lies in place of a lock on %s is none", self)
                return False, False
            if self._ask_meanwhile(lambda client: client.has(key)):
                return False, True
            if self._ask_meanwhile(lambda _: lock.last_failure()) not in (None, before):
                return False, True
            if self._ask_meanwhile(lambda _: lock.acquire()):
                return True, True
            time.sleep(poll)
            poll = min(poll * 1.5, 15 * _POLL)
        _LOG.warning("another process has been compiling for %d s; not waiting", LONGEST_WAIT)
        return False, True

    def _ask_meanwhile(self, function: Callable[[RedisClient], _T]) -> _T:
        """As `_ask`, while another process compiles.

        To wait for that is no time lost: what is asked counts only if it is not answered.
        """
        return self._ask(function, TimeBudget(self._budget.left))

    def _release(self, lock: RedisLock) -> None:
        """Gives a lock back also after a failure: else the others wait until it expires."""
        with suppress(Exception):
            TimeBudget(max(self._budget.left, RELEASE)).call(lock.release)

    # Administration.

    def entries(self) -> Iterator[StoredEntry]:
        """See `Store.entries`."""
        yield from self._ask(lambda client: client.entries())

    def damage(self, key: str, file: Path | None = None) -> str | None:
        """See `Store.damage`."""
        try:
            self._ask(lambda client: client.entry(key, file))
        except BadEntry as error:
            return str(error)
        return None

    def prune(self, lifetime: int, max_size: int | None = None) -> Pruned:
        """See `Store.prune`. What is expired Redis mostly has thrown away by itself."""
        return self._prune(lifetime, max_size)

    def clear(self) -> Pruned:
        """See `Store.clear`. Locks that are held stay."""
        return self._prune(-1, -1, young=True)  # not even an empty value fits into less than 0

    def _prune(self, lifetime: int, max_size: int | None, *, young: bool = False) -> Pruned:
        expired, evicted = superfluous(list(self.entries()), lifetime, max_size)
        for entry in (*expired, *evicted):
            self.delete(entry.key)
        orphans = self._ask(lambda client: client.remove_orphans(young=young))
        return pruned(expired, evicted, orphans)

    def close(self) -> None:
        """Gives the connections back."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _missing(error: ImportError) -> str:
    return f"the package {error.name} is not installed (pip install 'furiosa-ir[redis]')"


def _renew(lock: RedisLock, stop: threading.Event) -> None:
    """Keeps a lock while its process lives; a server that is gone has no lock to keep."""
    from furiosa_ir.cache.redis_lock import RENEWAL  # noqa: PLC0415  # imported by then

    while not stop.wait(RENEWAL):
        if not lock.renew():
            return
