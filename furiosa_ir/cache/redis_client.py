"""What redis-py does for the compiler cache: writing, locks, administration, reading in a cluster.

Nothing here is bounded in time: `cache.redis_store` stops waiting, and calls `abandon`.
"""

from __future__ import annotations

import re
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from furiosa_ir.cache.entry import BadEntry, Entry, read_header
from furiosa_ir.cache.redis_answers import MOST_VALUE, BoundedParser
from furiosa_ir.cache.redis_lock import RedisLock
from furiosa_ir.cache.redis_value import (
    MAX_LIST,
    PREFIX,
    InMemory,
    PartList,
    part_list,
    part_name,
    read_value,
    value_name,
)
from furiosa_ir.cache.settings import RedisAddress
from furiosa_ir.cache.store import KEY, StoredEntry

PART_LEASE = 3600
"""Seconds that parts live until the value that lists them is written."""
_MOST_NAMES = 1 << 20
"""Entries, parts and locks that are listed; a page of them after another may never end."""
_EXPIRING = (":lock", ":failed")
_NAME = re.compile(
    rf"{re.escape(PREFIX)}\{{({KEY})\}}(|{'|'.join(_EXPIRING)}|:[0-9A-Za-z]{{1,64}}:[0-9]+)"
)
"""Whoever may write to the server may use any names: others are not ours."""


class RedisClient:
    """A server or a cluster, which is connected to when it is first asked something.

    Every method may raise what redis-py raises, and `OSError`; `reason` puts it into words.

    Args:
        address: the server, or any node of a cluster.
        is_cluster: whether it is one, if that is known.
        is_observer: whether what it reads is not used thereby; servers before 7.2 do not know that.
    """

    def __init__(
        self,
        address: RedisAddress,
        is_cluster: bool | None = None,
        *,
        is_observer: bool = False,
    ) -> None:
        self._address = address
        self._is_cluster = is_cluster
        self._is_observer = is_observer
        self._pool = _Pool(
            connection_class=redis.SSLConnection if address.tls else redis.Connection,
            host=address.host,
            port=address.port,
            db=address.database,
            retry=Retry(NoBackoff(), 0),
            **_options(address),
        )
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            client: Any = redis.Redis(connection_pool=self._pool)
            if self._is_cluster is None:
                self._is_cluster = _is_cluster(client)
            self._made = self._cluster() if self._is_cluster else client
            if self._is_observer:
                self._observe()
        return self._made

    def _observe(self) -> None:
        # It holds for a connection, and who looks after a cache asks one thing at a time: the pool
        # gives the same one out again.
        targets: list[dict[str, Any]] = [{}]
        if self._is_cluster:
            targets = [{"target_nodes": node} for node in self._made.get_nodes()]
        for target in targets:
            with suppress(RedisError):
                self._made.execute_command("CLIENT", "NO-TOUCH", "ON", **target)

    def _cluster(self) -> Any:
        return RedisCluster(
            url=str(self._address),  # of an address, and not a host, it takes the class of pools
            connection_pool_class=_Pool,
            require_full_coverage=False,
            # Whoever waits gives up sooner than a cluster recovers.
            retry=Retry(NoBackoff(), 0),
            **_options(self._address),
        )

    def entry(self, key: str, file: Path | None = None) -> Entry | None:
        """The entry of a key; see `read_value`."""

        def value_of(name: str) -> InMemory | None:
            try:
                # A compile reads such a value no further than its time goes.
                if self._is_observer and self._client.strlen(name) > MOST_VALUE:
                    raise BadEntry("it is too large")
                data = self._client.get(name)
            except ResponseError as error:
                if _is_of_another_type(error):
                    raise BadEntry("it is no string") from None
                raise
            return None if data is None else InMemory(data)

        return read_value(value_of, key, file)

    def has(self, key: str) -> bool:
        """Whether there is an entry, sound or not."""
        return bool(self._client.exists(value_name(key)))

    def store(self, key: str, values: Iterator[bytes], expiry: int | None) -> None:
        """Stores what `redis_value.values` gives: as the value itself, or as parts and their list.

        Args:
            key: the entry's.
            values: one or more.
            expiry: seconds; None: for ever.
        """
        client, name = self._client, value_name(key)
        value = next(values)
        second = next(values, None)
        parts: list[str] = []
        if second is not None:
            identity, size = secrets.token_hex(8), 0
            for data in chain((value, second), values):
                parts.append(part_name(key, identity, len(parts)))
                client.set(parts[-1], data, ex=PART_LEASE)
                size += len(data)
            value = PartList(identity, len(parts), size).encode()
        before = self._head(name)
        client.set(name, value, ex=expiry)
        for part in parts:
            # Only now that the list is there do its parts live as long as it does.
            client.persist(part) if expiry is None else client.expire(part, expiry)
        self._remove_parts(key, before)

    def remove(self, key: str) -> None:
        """Throws an entry away, if it is there."""
        name = value_name(key)
        before = self._head(name)
        self._client.delete(name)
        self._remove_parts(key, before)

    def remove_incomplete(self, key: str) -> None:
        """Throws an entry away that a part is missing of; a new one in its place stays."""
        with suppress(BadEntry):
            listed = part_list(self._head(value_name(key)))
            if listed and not all(self._client.exists(name) for name in listed.names(key)):
                self.remove(key)

    def _head(self, name: str) -> bytes:
        """The beginning of a value, which is all of a list; nothing of what is no string."""
        try:
            head = self._client.getrange(name, 0, MAX_LIST - 1)
        except ResponseError as error:
            if _is_of_another_type(error):
                return b""
            raise
        if not isinstance(head, bytes) or len(head) > MAX_LIST:
            raise InvalidResponse("not the bytes that were asked for")
        return head

    def _length(self, name: str) -> int:
        """Bytes of a value; 0 of what is no string."""
        try:
            size = self._client.strlen(name)
        except ResponseError as error:
            if _is_of_another_type(error):
                return 0
            raise
        return _number(size)

    def _remove_parts(self, key: str, value: bytes) -> None:
        with suppress(BadEntry):
            listed = part_list(value)
            for name in [] if listed is None else listed.names(key):
                self._client.delete(name)

    def lock(self, key: str) -> RedisLock:
        """The lock of a key, not held yet."""
        return RedisLock(self._client, key)

    def entries(self) -> list[StoredEntry]:
        """Every entry, with the sizes of its values."""
        found: list[StoredEntry] = []
        for key, rest in self._names():
            if rest:
                continue
            name = value_name(key)
            used = time.time() - self._idle(name)  # to read it is to use it
            head = self._head(name)
            size, created = self._length(name), time.time()
            with suppress(BadEntry):
                listed = part_list(head)
                if listed is not None:
                    size = listed.size
                    head = self._head(listed.names(key)[0])
                created = read_header(head).created
            found.append(StoredEntry(key, size, created, used))
        return sorted(found, key=lambda e: e.key)

    def _names(self) -> Iterator[tuple[str, str]]:
        """(key, what follows the entry's name) of the names of all that is ours."""
        seen: set[bytes] = set()
        for raw in self._client.scan_iter(match=f"{PREFIX}*", count=1000):
            match = _NAME.fullmatch(raw.decode("utf-8", "replace"))
            if match and raw not in seen:  # a scan may name a key twice
                seen.add(raw)
                if len(seen) > _MOST_NAMES:
                    raise RedisError(f"it has more than {_MOST_NAMES} names of ours")
                yield match[1], match[2]

    def _idle(self, name: str) -> float:
        """Seconds since a key was last used, as far as the server knows."""
        try:
            return _number(self._client.object("idletime", name) or 0)
        except ResponseError:  # it counts uses instead (maxmemory-policy *-lfu)
            return 0

    def remove_orphans(self, *, young: bool = False) -> list[tuple[str, int]]:
        """Throws away parts that no list names any more, and locks of others that never expire.

        Args:
            young: also parts that expire soon: those may be of somebody who is writing, and has
                not listed them yet.

        Returns:
            (name, bytes) of each.
        """
        removed: list[tuple[str, int]] = []
        for key, rest in [names for names in self._names() if names[1]]:
            name = value_name(key) + rest
            left = self._client.ttl(name)
            if rest in _EXPIRING:
                if left >= 0:
                    continue
            else:
                if not young and 0 <= left <= PART_LEASE:
                    continue
                with suppress(BadEntry):
                    listed = part_list(self._head(value_name(key)))
                    if listed is not None and name in listed.names(key):
                        continue
            size = self._length(name)
            if self._client.delete(name):
                removed.append((name, size))
        return removed

    def abandon(self) -> None:
        """Cuts the connections: a thread that nobody waits for any more comes to its end."""
        with suppress(Exception):
            self._pool.disconnect()
            if self._is_cluster and self._made is not None:
                self._made.disconnect_connection_pools()

    def close(self) -> None:
        """Gives the connections back."""
        with suppress(Exception):
            self._pool.disconnect()
            if self._made is not None:
                self._made.close()


class _Pool(redis.ConnectionPool):
    """Connections that read no more than an answer may have."""

    def __init__(self, **options: Any) -> None:
        super().__init__(parser_class=BoundedParser, **options)


def _number(answer: object) -> int:
    """A number of bytes or seconds.

    Raises:
        InvalidResponse: it is none.
    """
    if not isinstance(answer, int) or not 0 <= answer < 1 << 40:
        raise InvalidResponse("no number")
    return answer


def _is_cluster(client: Any) -> bool:
    """Whether a server says that it belongs to a cluster; false if it must not tell us."""
    try:
        return bool(client.info("cluster").get("cluster_enabled"))
    except NoPermissionError:
        return False


def _is_of_another_type(error: ResponseError) -> bool:
    """Whether what has a name is a list, a set or the like: others may put anything there."""
    return "WRONGTYPE" in str(error)


def _options(address: RedisAddress) -> dict[str, Any]:
    """What single connections and a cluster's have in common."""
    options: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "protocol": 2,  # one question less for each connection
        # Bounds for threads that nobody waits for any more.
        "socket_timeout": 5.0,
        "socket_connect_timeout": 2.0,
        "socket_read_size": 1 << 20,
    }
    if address.tls:
        options |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": None if address.ca_file is None else str(address.ca_file),
        }
    return options


def reason(error: Exception) -> str:
    """Why a server cannot be used, in a clause without secrets."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {_line(cause.verify_message)}"
    match error:
        case NoPermissionError():
            return "its user may not do that"
        case AuthenticationError() | AuthorizationError():
            return "it does not let us in: is the password right?"
        case ReadOnlyError():
            return "it is read-only"
        case OutOfMemoryError():
            return "its memory is full"
        case ClusterDownError():
            return "its cluster is down"
        case redis.TimeoutError():
            return "it does not answer in time"
        case InvalidResponse():
            return f"its answers make no sense: {_line(str(error))}"
        case RedisError() | OSError():
            for cause in causes:
                if isinstance(cause, OSError) and cause.strerror:
                    return _line(cause.strerror).lower()
            return _line(str(error)) or type(error).__name__
        case _:
            return f"its answers make no sense ({type(error).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _line(text: str) -> str:
    line = next(iter(text.splitlines()), "")
    return "".join(c if c.isprintable() else "?" for c in line)[:200]
