"""What redis-py does for the compiler cache: writing, locks, administration, reading in a cluster.

Nothing here is bounded in time: `cache.redis_store` stops waiting, and calls `abandon`.
"""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import redis
from redis._parsers import _RESP2Parser  # pyright: ignore[reportPrivateUsage]
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from furiosa_ir.cache.entry import BadEntry, Entry, read_header
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
from furiosa_ir.cache.store import StoredEntry

PART_LEASE = 3600
"""Seconds that parts live until the value that lists them is written."""


class RedisClient:
    """A server or a cluster, which is connected to when it is first asked something.

    Every method may raise what redis-py raises, and `OSError`; `reason` puts it into words.

    Args:
        address: the server, or any node of a cluster.
        is_cluster: whether it is one, if that is known.
    """

    def __init__(self, address: RedisAddress, is_cluster: bool | None = None) -> None:
        self._address = address
        self._is_cluster = is_cluster
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
        return self._made

    def _cluster(self) -> Any:
        return RedisCluster(
            url=str(self._address),  # of an address, and not a host, it takes the class of pools
            connection_pool_class=_Pool,
            require_full_coverage=False,
            # Whoever waits gives up sooner than a cluster recovers.
            retry=Retry(NoBackoff(), 0),
            **_options(self._address),
        )

    def entry(self, key: str) -> Entry | None:
        """The entry of a key; see `read_value`."""

        def value_of(name: str) -> InMemory | None:
            data = self._client.get(name)
            return None if data is None else InMemory(data)

        return read_value(value_of, key)

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
        before = client.getrange(name, 0, MAX_LIST - 1)
        client.set(name, value, ex=expiry)
        for part in parts:
            # Only now that the list is there do its parts live as long as it does.
            client.persist(part) if expiry is None else client.expire(part, expiry)
        self._remove_parts(key, before)

    def remove(self, key: str) -> None:
        """Throws an entry away, if it is there."""
        name = value_name(key)
        before = self._client.getrange(name, 0, MAX_LIST - 1)
        self._client.delete(name)
        self._remove_parts(key, before)

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
        for name, rest in self._names():
            if rest:
                continue
            head = self._client.getrange(name, 0, MAX_LIST - 1)
            size, created, key = self._client.strlen(name), time.time(), _key(name)
            with suppress(BadEntry):
                listed = part_list(head)
                if listed is not None:
                    size = listed.size
                    head = self._client.getrange(listed.names(key)[0], 0, MAX_LIST - 1)
                created = read_header(head).created
            found.append(StoredEntry(key, size, created, time.time() - self._idle(name)))
        return sorted(found, key=lambda e: e.key)

    def _names(self) -> Iterator[tuple[str, str]]:
        """(the name of an entry, what follows it in another key's name) of all that is ours."""
        seen: set[bytes] = set()
        for raw in self._client.scan_iter(match=f"{PREFIX}*", count=1000):
            name, brace, rest = raw.decode("utf-8", "replace").partition("}")
            key = _key(name + brace)
            # A scan may name a key twice.
            if raw not in seen and len(key) == 64 and name + brace == value_name(key):
                seen.add(raw)
                yield name + brace, rest

    def _idle(self, name: str) -> float:
        """Seconds since a key was last used, as far as the server knows."""
        try:
            return self._client.object("idletime", name) or 0
        except ResponseError:  # it counts uses instead (maxmemory-policy *-lfu)
            return 0

    def remove_orphans(self) -> list[tuple[str, int]]:
        """Throws away parts that no list names any more; (name, bytes) of each.

        Parts that have not been listed yet expire soon: those may be of somebody who is writing.
        """
        parts = [(name, rest) for name, rest in self._names() if rest.count(":") == 2]
        removed: list[tuple[str, int]] = []
        for name, rest in parts:
            part = name + rest
            if 0 <= self._client.ttl(part) <= PART_LEASE:
                continue
            with suppress(BadEntry):
                listed = part_list(self._client.getrange(name, 0, MAX_LIST - 1))
                if listed is not None and part in listed.names(_key(name)):
                    continue
            size = self._client.strlen(part)
            if self._client.delete(part):
                removed.append((part, size))
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
    """Connections that read with redis-py's own parser, also where hiredis is installed.

    hiredis takes memory for as many elements as an array claims to have.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(parser_class=_RESP2Parser, **options)


def _is_cluster(client: Any) -> bool:
    """Whether a server says that it belongs to a cluster; false if it must not tell us."""
    try:
        return bool(client.info("cluster").get("cluster_enabled"))
    except NoPermissionError:
        return False


def _key(name: str) -> str:
    """The key in the name of its entry."""
    return name.removeprefix(PREFIX).strip("{}")


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
