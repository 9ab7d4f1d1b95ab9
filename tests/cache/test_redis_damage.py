"""What others may have written to a Redis server, or taken away from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from furiosa_ir.cache.entry import BadEntry
from furiosa_ir.cache.redis_store import RedisStore
from furiosa_ir.cache.redis_value import value_name
from tests.cache.conftest import Command
from tests.cache.servers import RedisServer
from tests.cache.test_redis import KEY, foreign, get, names, put, store_at

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


def test_a_value_of_another_type(command: Command, server: RedisServer):
    assert command(server.url) == "compiled"
    [name] = names(server)
    with server.client() as client:
        client.delete(name)
        client.rpush(name, "a", "b")
    warning = command(server.url)
    assert "wrong kind of value" in warning
    with server.client() as client:
        client.delete(name)
    assert [command(server.url) for _ in range(2)] == ["compiled", "hit"]
