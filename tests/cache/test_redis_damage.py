"""What others may have written to a Redis server, or taken away from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from furiosa_ir.cache.entry import BadEntry
from furiosa_ir.cache.redis_store import RedisStore
from furiosa_ir.cache.redis_value import value_name
from furiosa_ir.cache.store import Pruned
from tests.cache.conftest import Command
from tests.cache.servers import RedisServer
from tests.cache.test_redis import FOREVER, KEY, foreign, get, names, put, store_at

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("patience")]


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    store = store_at(server.url)
    yield store
    store.close()


def zstd(data: bytes, size: int) -> bytes:
    import zstandard

    frame = zstandard.ZstdCompressor().compress(data)
    return b"FIRZSTD1" + size.to_bytes(8, "little") + frame


def parts(identity: object, count: object, size: object) -> bytes:
    return b"FIRPARTS" + json.dumps({"id": identity, "parts": count, "bytes": size}).encode()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        os.urandom(1000),
        b"FIRCACHE",
        b"FIRZSTD1",
        b"FIRZSTD1" + bytes(8),
        b"FIRZSTD1" + b"\xff" * 100,
        zstd(bytes(1 << 28), 1 << 28),  # a bomb
        zstd(bytes(1 << 28), 1000),
        zstd(bytes(1000), 2000),
        b"FIRPARTS",
        b"FIRPARTS[]",
        b"FIRPARTS" + b"[" * 100_000,
        parts("abc", 10**18, 100),
        parts("abc", -1, 100),
        parts("abc", 1e400, 100),
        parts("abc", "x", 100),
        parts("abc", 2, 10**18),
        parts("../../etc", 2, 100),
        parts("ä", 2, 100),
        parts("x" * 65, 2, 100),
    ],
)
def test_garbage_is_a_warning_and_a_miss(
    store: RedisStore, server: RedisServer, value: bytes, caplog: pytest.LogCaptureFixture
):
    foreign(server, value)
    assert store.damage(KEY) is not None
    assert get(store) is None
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "thrown away" in caplog.text
    assert names(server) == []
    put(store, b"program")
    assert get(store) == b"program"


def test_parts_that_are_not_as_listed(store: RedisStore, server: RedisServer):
    sizes = {"larger": (50, 50), "smaller": (200, 50), "endless": (100, 101)}
    for listed, each in sizes.values():
        foreign(server, parts("abc", 2, listed))
        for n in range(2):
            foreign(server, bytes(each), f"{value_name(KEY)}:abc:{n}")
        with pytest.raises(BadEntry):
            store._ask(lambda client: client.entry(KEY))
        assert get(store) is None
        assert names(server) == []


def test_another_key_s_entry(store: RedisStore, server: RedisServer):
    put(store, b"another program", "cd" * 32)
    with server.client() as client:
        client.rename(value_name("cd" * 32), value_name(KEY))
    assert get(store) is None


def test_a_value_of_another_type_is_thrown_away(command: Command, server: RedisServer):
    assert command(server.url) == "compiled"
    [name] = names(server)
    with server.client() as client:
        client.delete(name)
        client.rpush(name, "a", "b")
    assert "thrown away: it is no string" in command(server.url)
    assert command(server.url) == "hit"


def another_type(server: RedisServer, name: str) -> None:
    with server.client() as client:
        client.delete(name)
        client.rpush(name, "a", "b")


OTHER = "cd" * 32


def test_a_value_of_another_type_is_in_nobody_s_way(store: RedisStore, server: RedisServer):
    put(store, b"program", OTHER)
    name = value_name(KEY)
    another_type(server, name)
    assert store.damage(KEY) == "it is no string"
    assert [e.key for e in store.entries()] == [KEY, OTHER]
    store.delete(KEY)
    assert [e.key for e in store.entries()] == [OTHER]
    another_type(server, name)
    put(store, b"another")
    assert get(store) == b"another"
    another_type(server, name)
    assert store.prune(FOREVER) == Pruned()
    assert sorted(store.clear().evicted) == [KEY, OTHER]
    assert names(server) == []


@pytest.mark.usefixtures("small_parts")
def test_parts_and_locks_of_another_type(store: RedisStore, server: RedisServer):
    put(store, os.urandom(3000))
    part, lock = names(server)[-1], f"{value_name(KEY)}:lock"
    another_type(server, part)
    another_type(server, lock)
    assert store.damage(KEY) == "it is no string"
    assert store.prune(FOREVER).orphans == [lock]
    assert get(store) is None
    assert names(server) == []


def test_other_names_are_not_ours(store: RedisStore, server: RedisServer):
    put(store, b"program")
    name = value_name(KEY)
    others = [
        value_name("\x1b[31m" + "x" * 59),
        value_name("g" * 64),
        value_name(KEY.upper()),
        f"{name}:\x1b[31m:1",
        f"{name}:abc:\x1b",
        f"{name}:abc:1:2",
        f"{name}x",
        f"{name}\n",
    ]
    for other in others:
        foreign(server, b"not ours", other)
    assert [e.key for e in store.entries()] == [KEY]
    assert store.prune(FOREVER).orphans == []
    pruned = store.clear()
    assert (pruned.evicted, pruned.orphans) == ([KEY], [])
    assert names(server) == sorted(others)


# Evicted parts.


@pytest.mark.usefixtures("small_parts")
def test_an_entry_without_one_of_its_parts_is_a_quiet_miss(
    store: RedisStore, server: RedisServer, caplog: pytest.LogCaptureFixture
):
    put(store, os.urandom(3000))
    with server.client() as client:
        client.delete(names(server)[-1])
    assert store.damage(KEY) == "a part of it is missing"
    assert get(store) is None
    assert names(server) == []  # else those who wait for a compile would take it for an entry
    assert caplog.records == []
    put(store, b"again")
    assert get(store) == b"again"


@pytest.mark.usefixtures("small_parts")
def test_a_new_entry_is_not_taken_for_the_incomplete_one(store: RedisStore):
    put(store, program := os.urandom(3000))
    store._ask(lambda client: client.remove_incomplete(KEY))
    assert get(store) == program


@pytest.mark.usefixtures("small_parts")
def test_clearing_leaves_no_parts(store: RedisStore, server: RedisServer):
    put(store, os.urandom(3000))
    put(store, os.urandom(3000), OTHER)
    with server.client() as client:
        client.delete(value_name(KEY))
        lock = f"{value_name(KEY)}:lock"
        client.set(lock, "somebody's", ex=10)
        client.set("somebody's", "else")
    orphans = [name for name in names(server) if KEY in name and name != lock]
    assert sorted(store.prune(FOREVER).orphans) == []  # somebody may be writing them
    pruned = store.clear()
    assert (pruned.evicted, sorted(pruned.orphans)) == ([OTHER], orphans)
    assert names(server) == sorted([lock, "somebody's"])
