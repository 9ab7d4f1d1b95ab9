"""A Redis server that dies, hangs, is slow or talks nonsense: one warning, and the right program.

After every fault the server is well again: the next compile stores, and the one after it hits.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from furiosa_ir import driver
from furiosa_ir.cache import redis_store
from furiosa_ir.cache.bounded import OutOfTime, TimeBudget
from furiosa_ir.cache.compilation import compile_program
from furiosa_ir.cache.redis_store import PATIENCE, RedisStore
from furiosa_ir.cache.settings import CacheSettings, RedisAddress
from furiosa_ir.cache.store import StoreFailure
from tests.cache.conftest import TFLITE, Command
from tests.cache.proxy import Fault, FullBacklog, Proxy
from tests.cache.servers import HOST, RedisServer, redis_server

pytestmark = pytest.mark.redis

NOISE = 20.0
"""Seconds that a busy machine may add; what waits longer hangs."""
"""Seconds that a busy machine may add to a bound; without one the tests here wait for 5 s."""


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that may be killed."""
    with redis_server(tmp_path / "server") as server:
        yield server


@pytest.fixture
def proxy(own_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(own_server.port) as proxy:
        yield proxy


def url_of(port: int) -> str:
    return f"redis://{HOST}:{port}"


def stored_size(server: RedisServer) -> int:
    with server.client() as client:
        [name] = client.keys()
        return client.strlen(name)


def recovers(command: Command, url: str, patience: pytest.MonkeyPatch) -> None:
    """The server is well again: the next compile stores, and the one after it hits."""
    with patience.context() as patched:
        patched.setattr(redis_store, "PATIENCE", 60.0)
        assert command(url) in ("compiled", "hit")
        assert command(url) == "hit"


@pytest.mark.parametrize("kill", [False, True])
def test_cut_in_the_middle_of_a_read(
    own_server: RedisServer,
    proxy: Proxy,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    kill: bool,
):
    recovers(command, url_of(proxy.port), monkeypatch)
    half = stored_size(own_server) // 2
    proxy.fault = Fault(answer=half, at_cut=own_server.kill if kill else lambda: None)
    assert "is not used" in command(url_of(proxy.port))
    assert proxy.connections >= 4
    if kill:
        own_server.start()
    proxy.fault = Fault()
    recovers(command, url_of(proxy.port), monkeypatch)


@pytest.mark.parametrize("kill", [False, True])
def test_cut_in_the_middle_of_a_write(
    own_server: RedisServer,
    proxy: Proxy,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    kill: bool,
):
    recovers(command, url_of(own_server.port), monkeypatch)
    half = stored_size(own_server) // 2
    with own_server.client() as client:
        client.flushall()
    proxy.fault = Fault(question=half, at_cut=own_server.kill if kill else lambda: None)
    monkeypatch.setattr(redis_store, "PATIENCE", 60.0)  # a cut is noticed, not waited for
    assert "is not used" in command(url_of(proxy.port))
    if kill:
        own_server.start()
    proxy.fault = Fault()
    with own_server.client() as client:
        assert not [n for n in client.keys("*") if not n.endswith(b":failed")]
    recovers(command, url_of(proxy.port), monkeypatch)


def test_restarted_during_the_compile(own_server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    """The connection from before the compile is dead; a new one does it."""
    monkeypatch.setattr(redis_store, "PATIENCE", 60.0)
    settings = CacheSettings(RedisAddress(HOST, own_server.port))
    compile_source = driver.compile_source

    def compile_(*arguments: object, **options: object) -> object:
        own_server.kill()
        own_server.start()
        return compile_source(*arguments, **options)

    monkeypatch.setattr("furiosa_ir.driver.compile_source", compile_)
    first = compile_program(TFLITE, target="warboy-2pe", settings=settings)
    second = compile_program(TFLITE, target="warboy-2pe", settings=settings)
    assert (first.from_cache, second.from_cache) == (False, True)
    assert first.program == second.program


SLOW = {
    "5 s of latency": (Fault(delay=5.0), True),
    "silent": (Fault(silent=True), True),
    "drips": (Fault(drip=0.5), True),
    "5 s of latency, nothing stored": (Fault(delay=5.0), False),
    "half a second for each of many answers": (Fault(delay=0.5), False),
}


@pytest.mark.parametrize(("fault", "stored"), SLOW.values(), ids=SLOW)
def test_slow(
    own_server: RedisServer,
    proxy: Proxy,
    command: Command,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    stored: bool,
):
    if stored:
        recovers(command, url_of(own_server.port), monkeypatch)
        waited.clear()
    proxy.fault = fault
    assert "it does not answer in time" in command(url_of(proxy.port))
    assert sum(waited) < PATIENCE + NOISE
    proxy.fault = Fault()
    recovers(command, url_of(proxy.port), monkeypatch)


def test_slow_enough_to_be_used(
    own_server: RedisServer, proxy: Proxy, command: Command, patience: None
):
    """A tenth of a second of latency: what is stored is used."""
    assert command(url_of(own_server.port)) == "compiled"
    proxy.fault = Fault(delay=0.1)
    assert command(url_of(proxy.port)) == "hit"


def test_it_hangs_only_when_something_is_written(
    own_server: RedisServer,
    proxy: Proxy,
    command: Command,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
):
    """The read takes a part of the patience, the write the rest."""
    with own_server.client() as client:
        compile_source = driver.compile_source

        def compile_(*arguments: object, **options: object) -> object:
            client.client_pause(600_000, all=False)  # writes hang
            return compile_source(*arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr("furiosa_ir.driver.compile_source", compile_)
            assert "it does not answer in time" in command(url_of(own_server.port))
        assert sum(waited) < PATIENCE + NOISE
        client.client_unpause()
        client.flushall()  # the lock, which would be free after 10 s
    recovers(command, url_of(own_server.port), monkeypatch)


def test_a_connect_that_hangs(command: Command, waited: list[float]):
    with FullBacklog() as port:
        assert "it does not answer in time" in command(url_of(port))
    assert sum(waited) < PATIENCE + NOISE


def test_a_name_server_that_hangs(
    command: Command, waited: list[float], monkeypatch: pytest.MonkeyPatch
):
    end = threading.Event()

    def hang(*_: object, **__: object) -> None:
        end.wait(600)
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", hang)
        assert "it does not answer in time" in command("redis://cache.example.org")
    end.set()
    assert sum(waited) < PATIENCE + NOISE


def test_names_that_do_not_exist(command: Command):
    for host in ("cache.invalid", "a..b", "x" * 300):
        assert "is not used" in command(f"redis://{host}")


def test_nobody_listens(own_server: RedisServer, command: Command, monkeypatch: pytest.MonkeyPatch):
    own_server.kill()
    assert "connection refused" in command(url_of(own_server.port))
    own_server.start()
    recovers(command, url_of(own_server.port), monkeypatch)


NONSENSE = {
    "http": b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n",
    "a line without an end": b"+" * 100_000,
    "a negative length": b"$-5\r\n" * 100,
    "an enormous length": b"$99999999999999999999\r\n" * 100,
    "an endless array": b"*1000000000\r\n" * 100,
    "nested": b"*1\r\n" * 100_000,
    "no value": b":1\r\n" * 100,
    "ok": b"+OK\r\n" * 100,
    "a list": b"*2\r\n$1\r\na\r\n$1\r\nb\r\n" * 100,
    "a long value": b"$4294967296\r\n" + bytes(100_000),
    "redirected to itself": b"-MOVED 1 127.0.0.1:1\r\n" * 100,
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n" * 100,
    "control characters": b"-ERR \x1b[31mred\x07\r\n" * 100,
    "zeros": bytes(100_000),
}


@pytest.mark.parametrize("garbage", NONSENSE.values(), ids=NONSENSE)
def test_nonsense(proxy: Proxy, command: Command, garbage: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(redis_store, "PATIENCE", 0.5)
    proxy.fault = Fault(garbage=garbage)
    warning = command(url_of(proxy.port))
    assert "is not used" in warning
    assert warning.isprintable()
    assert len(warning) < 400


def test_what_nobody_waits_for_comes_to_its_end(proxy: Proxy, monkeypatch: pytest.MonkeyPatch):
    proxy.fault = Fault(drip=1.0)
    monkeypatch.setattr(redis_store, "PATIENCE", 0.5)
    store = RedisStore(RedisAddress(HOST, proxy.port))
    with pytest.raises(StoreFailure, match="in time"):
        store.delete("ab" * 32)
    assert not threads_left(60.0)
    store.close()


def threads_left(seconds: float) -> list[threading.Thread]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = [t for t in threading.enumerate() if t.name.startswith("furiosa-cache")]
        if not left:
            return []
        time.sleep(0.05)
    return left


# The bound itself, on a clock that only waiting moves.


def test_the_bound(monkeypatch: pytest.MonkeyPatch):
    assert PATIENCE < 2
    assert TimeBudget(60.0).call(lambda: 3) == 3
    budget, end = TimeBudget(0.3), threading.Event()
    with pytest.raises(OutOfTime):
        budget.call(lambda: end.wait(600))
    end.set()
    assert budget.left <= 0
    with pytest.raises(OutOfTime):
        budget.call(lambda: 3)
