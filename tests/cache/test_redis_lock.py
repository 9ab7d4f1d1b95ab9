"""Locks on a real Redis server: given back whatever happened, and nobody waits for two failures."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from furiosa_ir.cache import redis_store
from furiosa_ir.cache.entry import Metadata
from furiosa_ir.cache.redis_client import RedisClient
from furiosa_ir.cache.redis_lock import LEASE, RedisLock
from furiosa_ir.cache.redis_store import PATIENCE, RELEASE, RedisStore
from furiosa_ir.cache.redis_value import value_name
from furiosa_ir.cache.settings import RedisAddress
from furiosa_ir.cache.store import StoreFailure
from tests.cache.servers import HOST, RedisServer, until

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("patience")]

KEY = "ab" * 32
LOCK = f"{value_name(KEY)}:lock"


@pytest.fixture
def new_store(server: RedisServer) -> Iterator[Callable[[], RedisStore]]:
    """A store as a process of its own has it."""
    with ExitStack() as stack:

        def new() -> RedisStore:
            store = RedisStore(RedisAddress(HOST, server.port))
            stack.callback(store.close)
            return store

        yield new


def put(store: RedisStore) -> None:
    store.put(KEY, Metadata(), os.urandom(100_000), 60)


def names(server: RedisServer) -> list[str]:
    with server.client() as client:
        return [name.decode() for name in client.keys("*")]


def slow_store(*_: object) -> None:
    time.sleep(0.5)


def test_given_back_by_a_server_that_is_full(
    server: RedisServer, new_store: Callable[[], RedisStore]
):
    store = new_store()
    with server.client() as client, store.compiling(KEY, 60):
        assert client.exists(LOCK)
        client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(StoreFailure, match="memory is full"):
                put(store)
        finally:
            client.config_set("maxmemory", "0")
    assert LOCK not in names(server)


def test_news_of_a_failure_reach_who_waits_for_a_full_server(
    server: RedisServer, new_store: Callable[[], RedisStore]
):
    with server.client() as client:
        try:
            with new_store().compiling(KEY, 60):
                client.config_set("maxmemory", "1mb")
            failed = f"{value_name(KEY)}:failed"
            assert names(server) == [failed]
            assert 0 < client.pttl(failed) <= LEASE * 1000
        finally:
            client.config_set("maxmemory", "0")


def test_given_back_when_the_patience_is_spent(
    server: RedisServer, new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(RedisClient, "store", slow_store)
    monkeypatch.setattr(redis_store, "RELEASE", 30.0)  # this machine may be busy
    store = new_store()
    with store.compiling(KEY, 60):
        assert LOCK in names(server)
        store._budget.left = 0.1
        with pytest.raises(StoreFailure, match="in time"):
            put(store)
    assert LOCK not in names(server)
    assert PATIENCE + RELEASE < 2


def test_given_back_if_the_answer_was_lost(
    server: RedisServer, new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
):
    acquire = RedisLock.acquire

    def lose_the_answer(lock: RedisLock) -> bool:
        assert acquire(lock)
        raise ConnectionError

    monkeypatch.setattr(RedisLock, "acquire", lose_the_answer)
    with new_store().compiling(KEY, 60) as waited:
        assert not waited
        assert LOCK not in names(server)


def test_what_is_somebody_else_s_is_not_given_back(
    server: RedisServer, new_store: Callable[[], RedisStore]
):
    with server.client() as client:
        with new_store().compiling(KEY, 60):
            client.set(LOCK, "another")  # ours has expired
        assert client.get(LOCK) == b"another"
        assert names(server) == [LOCK]


class Waiting:
    """Threads that want to compile a key, each in a store of its own.

    Attributes:
        inside: how many compile at the moment.
        most: how many did so at the same time.
    """

    def __init__(
        self,
        new_store: Callable[[], RedisStore],
        count: int,
        monkeypatch: pytest.MonkeyPatch,
        *,
        together: int = 1,
    ) -> None:
        asked: set[int] = set()
        has = RedisClient.has

        def recorded(client: RedisClient, key: str) -> bool:
            asked.add(id(client))
            return has(client, key)

        monkeypatch.setattr(RedisClient, "has", recorded)
        self.inside = self.most = 0
        self._together = together
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._compile, args=(new_store(),)) for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()
        until(lambda: len(asked) == count)

    def _compile(self, store: RedisStore) -> None:
        with store.compiling(KEY, 60) as waited:
            assert waited
            if store.get(KEY, 60) is not None:
                return
            with self._changed:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self.most >= self._together, 60)
            time.sleep(0.3)  # for those who should not come in
            put(store)
            with self._changed:
                self.inside -= 1

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()


def test_after_a_compile_that_was_not_stored_all_compile(
    new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
):
    with new_store().compiling(KEY, 60):
        waiting = Waiting(new_store, 3, monkeypatch, together=3)
    waiting.join()
    assert waiting.most == 3


def test_after_a_dead_process_one_compiles(
    server: RedisServer, new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
):
    with server.client() as client:
        client.set(LOCK, "of a process that has died", px=int(LEASE * 1000))
        waiting = Waiting(new_store, 3, monkeypatch)
        client.delete(LOCK)
    waiting.join()
    assert waiting.most == 1


def test_an_older_failure_is_no_news(
    new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
):
    with new_store().compiling(KEY, 60):
        pass
    store = new_store()
    with store.compiling(KEY, 60) as waited:
        assert not waited
        waiting = Waiting(new_store, 2, monkeypatch)
        time.sleep(0.5)
        assert waiting.inside == 0
        put(store)
    waiting.join()
    assert waiting.most == 0


def test_without_a_thread_to_renew_it_there_is_no_lock(
    server: RedisServer, new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
):
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "furiosa-cache-lock":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with new_store().compiling(KEY, 60) as waited:
        assert not waited
        assert LOCK not in names(server)


def test_without_threads_there_is_no_store(
    new_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    store = new_store()
    with pytest.raises(StoreFailure, match="no thread"):
        store.get(KEY, 60)
    with store.compiling(KEY, 60) as waited:
        assert not waited
