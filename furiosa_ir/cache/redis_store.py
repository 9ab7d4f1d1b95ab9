"""Compiled programs on a Redis server or cluster, over redis-py.

    furiosa:compiler:1:{KEY}          an entry (`cache.redis_value`); Redis expires it
    furiosa:compiler:1:{KEY}:ID:N     part N of a large one, written before it
    furiosa:compiler:1:{KEY}:lock     held by whoever compiles it, for as long as it renews it

A cache may cost time, never a compile: all that a compile asks of a server must come within
`GET_AND_PUT` and `POLL` seconds, else the server is not asked again. The braces keep what belongs
together on one node of a cluster.
"""

from __future__ import annotations

import logging
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    LockError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.retry import Retry

from furiosa_ir.cache.bounded import OutOfTime, TimeBudget
from furiosa_ir.cache.entry import (
    MAX_ENTRY,
    VERSION,
    BadEntry,
    Entry,
    Metadata,
    Payload,
    entry_size,
    read_entry,
    read_header,
)
from furiosa_ir.cache.redis_value import PartList, entry_bytes, part_list, values
from furiosa_ir.cache.settings import DEFAULT_LIFETIME, RedisAddress
from furiosa_ir.cache.store import (
    LONGEST_WAIT,
    Pruned,
    StoredEntry,
    StoreFailure,
    is_valid,
    least_recently_used,
)

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

PREFIX = f"furiosa:compiler:{VERSION}:"
GET_AND_PUT = 1.2
"""Seconds for reading and writing an entry, together."""
POLL = 0.6
"""Seconds for a single question about a lock."""
ADMINISTRATION = 600.0
"""Seconds for what `furiosa cache` does."""
LEASE = 10.0
"""Seconds after which a dead process's lock is free."""
_RENEWAL = LEASE / 5
PART_LEASE = 3600
"""Seconds that parts live until the value that lists them is written."""


class RedisStore:
    """A store on a server, which is connected to when it is first asked something.

    Args:
        address: the server, or any node of a cluster.
        seconds: for reading and writing, together.
    """

    def __init__(self, address: RedisAddress, seconds: float = GET_AND_PUT) -> None:
        self._address = address
        self._budget = TimeBudget(seconds)
        self._client: Any = None
        self._failure: str | None = None

    def __str__(self) -> str:
        return str(self._address)

    # Connecting, and asking within limits.

    def _connected(self) -> Any:
        """The client; a cluster's, if the server says that it is one."""
        if self._client is None:
            client = redis.Redis(connection_pool=_pool(self._address))
            try:
                mode = client.info("cluster").get("cluster_enabled")
            except NoPermissionError:
                mode = 0
            if mode:
                client.close()
                if self._address.database:
                    raise StoreFailure("a Redis cluster has only the database 0")
                client = RedisCluster(
                    host=self._address.host,
                    port=self._address.port,
                    cluster_error_retry_attempts=1,
                    require_full_coverage=False,
                    **_options(self._address),
                )
            self._client = client
        return self._client

    def _ask(self, function: Callable[[Any], _T], budget: TimeBudget | None = None) -> _T:
        """What the function makes of the client. After a failure nothing more is asked.

        Raises:
            StoreFailure: the server is out of reach, too slow, or refuses.
        """
        if self._failure is not None:
            raise StoreFailure(self._failure)
        try:
            return (budget or self._budget).call(lambda: function(self._connected()))
        except OutOfTime:
            self._failure = "it does not answer in time"
        except StoreFailure as error:
            self._failure = str(error)
        except (RedisError, OSError) as error:
            self._failure = _reason(error)
        raise StoreFailure(self._failure)

    # Entries.

    def get(self, key: str, lifetime: int) -> Entry | None:
        """See `Store.get`."""
        try:
            data = self._ask(lambda client: _fetch(client, key))
            if data is None:
                return None
            entry = read_entry(entry_bytes(data), key)
            if is_valid(entry.created, lifetime):
                return entry
        except BadEntry as error:
            _LOG.warning("a cache entry on %s is thrown away: %s", self, error)
        with suppress(StoreFailure):
            self.delete(key)
        return None

    def put(self, key: str, metadata: Metadata, program: Payload, lifetime: int) -> None:
        """See `Store.put`. Redis expires the entry; with a lifetime of 0, after the default one."""
        if entry_size(metadata, program) > MAX_ENTRY:
            raise StoreFailure("the program is too large for a cache")
        expiry = None if lifetime < 0 else lifetime or DEFAULT_LIFETIME
        self._ask(lambda client: _send(client, key, values(key, metadata, program), expiry))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._ask(lambda client: _remove(client, key))

    # Locks.

    @contextmanager
    def compiling(self, key: str, lifetime: int) -> Generator[bool]:
        """See `Store.compiling`."""
        try:
            lock, waited = self._lock(key)
        except StoreFailure as error:
            _LOG.debug("no lock on %s: %s", self, error)
            lock, waited = None, False
        stop = threading.Event()
        if lock is not None:
            threading.Thread(
                target=_renew, args=(lock, stop), name="furiosa-cache-lock", daemon=True
            ).start()
        try:
            yield waited
        finally:
            stop.set()
            if lock is not None:
                with suppress(StoreFailure):
                    self._ask(lambda _: _release(lock), TimeBudget(POLL))

    def _lock(self, key: str) -> tuple[Any, bool]:
        """(the lock, whether it had to be waited for); no lock if an entry came first."""
        deadline, poll = time.monotonic() + LONGEST_WAIT, 0.02
        lock = self._ask(
            lambda client: client.lock(
                f"{_name(key)}:lock", timeout=LEASE, blocking=False, thread_local=False
            ),
            TimeBudget(POLL),
        )
        waited = False
        while time.monotonic() < deadline:
            if self._ask(lambda _: lock.acquire(), TimeBudget(POLL)):
                return lock, waited
            waited = True
            if self._ask(lambda client: client.exists(_name(key)), TimeBudget(POLL)):
                return None, True
            time.sleep(poll)
            poll = min(poll * 1.5, 0.3)
        _LOG.warning("another process has been compiling for %d s; not waiting", LONGEST_WAIT)
        return None, True

    # Administration.

    def entries(self) -> Iterator[StoredEntry]:
        """See `Store.entries`."""
        yield from self._ask(_list, TimeBudget(ADMINISTRATION))

    def damage(self, key: str) -> str | None:
        """See `Store.damage`."""
        try:
            data = self._ask(lambda client: _fetch(client, key), TimeBudget(ADMINISTRATION))
            if data is not None:
                read_entry(entry_bytes(data), key)
        except BadEntry as error:
            return str(error)
        return None

    def prune(self, lifetime: int, max_size: int | None = None) -> Pruned:
        """See `Store.prune`. What is expired Redis throws away itself, orphaned parts too."""
        stored = list(self.entries())
        expired = [e for e in stored if lifetime > 0 and not is_valid(e.created, lifetime)]
        gone = {e.key for e in expired}
        kept = [e for e in stored if e.key not in gone]
        evicted = [] if max_size is None else least_recently_used(kept, max_size)
        for entry in (*expired, *evicted):
            self._ask(lambda client, key=entry.key: _remove(client, key), TimeBudget(60))
        return Pruned(
            [e.key for e in expired],
            [e.key for e in evicted],
            [],
            sum(e.size for e in (*expired, *evicted)),
        )

    def close(self) -> None:
        """Gives the connections back; a server that does not answer is left alone."""
        client, self._client = self._client, None
        if client is not None and self._failure is None:
            with suppress(RedisError, OSError):
                client.close()


def _options(address: RedisAddress) -> dict[str, Any]:
    """What single connections and a cluster's have in common."""
    options: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        # Bounds for threads that nobody waits for any more.
        "socket_timeout": 5.0,
        "socket_connect_timeout": 2.0,
        "socket_read_size": 1 << 20,
        # A connection that idled through a compile may be gone: once is enough to find out.
        "retry": Retry(NoBackoff(), 1),
    }
    if address.tls:
        options |= {
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": None if address.ca_file is None else str(address.ca_file),
        }
    return options


def _pool(address: RedisAddress) -> redis.ConnectionPool:
    options = _options(address)
    options.pop("ssl", None)
    kind = redis.SSLConnection if address.tls else redis.Connection
    return redis.ConnectionPool(
        connection_class=kind,
        host=address.host,
        port=address.port,
        db=address.database,
        **options,
    )


def _name(key: str) -> str:
    return f"{PREFIX}{{{key}}}"


def _part_names(key: str, listed: PartList) -> list[str]:
    return [f"{_name(key)}:{listed.identity}:{n}" for n in range(listed.parts)]


def _fetch(client: Any, key: str) -> bytes | None:
    """The value of a key, its parts put together; None if there is none, or not all of it.

    Raises:
        BadEntry: the list of parts is unsound.
    """
    value: bytes | None = client.get(_name(key))
    listed = None if value is None else part_list(value)
    if listed is None:
        return value
    whole = bytearray()
    for name in _part_names(key, listed):
        # A part that is larger than its list allows is not fetched.
        length = client.strlen(name)
        if length == 0 or len(whole) + length > listed.size:
            return None
        whole += client.get(name) or b""
    return bytes(whole) if len(whole) == listed.size else None


def _send(client: Any, key: str, parts: Iterator[bytes], expiry: int | None) -> None:
    """Stores the parts of a value, one of them as the value itself."""
    pending = next(parts)
    identity, names, size = secrets.token_hex(8), list[str](), 0
    for part in parts:
        names.append(f"{_name(key)}:{identity}:{len(names)}")
        size += len(pending)
        client.set(names[-1], pending, ex=PART_LEASE)
        pending = part
    if names:
        names.append(f"{_name(key)}:{identity}:{len(names)}")
        size += len(pending)
        client.set(names[-1], pending, ex=PART_LEASE)
        pending = PartList(identity, len(names), size).encode()
    old = client.get(_name(key)) if names else None
    client.set(_name(key), pending, ex=expiry)
    for name in names:
        # Only now that the list is there do its parts live as long as it does.
        client.persist(name) if expiry is None else client.expire(name, expiry)
    if old is not None:
        _remove_parts(client, key, old)


def _remove(client: Any, key: str) -> None:
    value: bytes | None = client.get(_name(key))
    client.delete(_name(key))
    if value is not None:
        _remove_parts(client, key, value)


def _remove_parts(client: Any, key: str, value: bytes) -> None:
    with suppress(BadEntry):
        listed = part_list(value)
        for name in [] if listed is None else _part_names(key, listed):
            client.delete(name)


def _list(client: Any) -> list[StoredEntry]:
    """Every entry on the server, with the sizes of its values."""
    found: list[StoredEntry] = []
    for raw in client.scan_iter(match=f"{PREFIX}*", count=1000):
        name = raw.decode("utf-8", "replace")
        key = name.removeprefix(PREFIX).strip("{}")
        if name != _name(key) or len(key) != 64:
            continue
        head = client.getrange(name, 0, 1023)
        size, created = client.strlen(name), time.time()
        with suppress(BadEntry):
            listed = part_list(head)
            if listed is not None:
                size = listed.size
                head = client.getrange(f"{name}:{listed.identity}:0", 0, 1023)
            created = read_header(head).created
        idle = client.object("idletime", name) or 0
        found.append(StoredEntry(key, size, created, time.time() - idle))
    return sorted(found, key=lambda e: e.key)


def _renew(lock: Any, stop: threading.Event) -> None:
    """Keeps a lock while its process lives; a server that is gone has no lock to keep."""
    while not stop.wait(_RENEWAL):
        try:
            lock.extend(LEASE, replace_ttl=True)
        except (LockError, RedisError, OSError):
            return


def _release(lock: Any) -> None:
    with suppress(LockError):  # it has expired: somebody else may have it by now
        lock.release()


def _reason(error: Exception) -> str:
    """Why a server cannot be used, in a clause without secrets."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    match error:
        case AuthenticationError() | AuthorizationError() | NoPermissionError():
            return "it does not let us in: is the password right?"
        case ReadOnlyError():
            return "it is read-only"
        case OutOfMemoryError():
            return "its memory is full"
        case redis.TimeoutError():
            return "it does not answer in time"
        case _:
            lines = str(error).splitlines() or [type(error).__name__]
            return "".join(c if c.isprintable() else "?" for c in lines[0])[:200]
