"""Whoever listens on the port: no answer takes for ever, or the memory; locks that nobody holds."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from click.testing import CliRunner

from furiosa_ir.cache import redis_answers
from furiosa_ir.cache.entry import Metadata
from furiosa_ir.cache.redis_store import RedisStore
from furiosa_ir.cache.redis_value import PREFIX, value_name
from furiosa_ir.cache.settings import RedisAddress
from furiosa_ir.tools.furiosa import main
from tests.cache.servers import HOST, RedisServer
from tests.conftest import ROOT

pytestmark = [pytest.mark.redis]

KEY = "ab" * 32
NAME = value_name(KEY).encode()


@contextmanager
def listening(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """The URL of a server that answers whatever comes as it likes."""
    with socket.create_server((HOST, 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while command := connection.recv(1 << 16):
                    answer(connection, command)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"redis://{HOST}:{server.getsockname()[1]}"


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def page(cursor: bytes, *names: bytes) -> bytes:
    return b"*2\r\n" + bulk(cursor) + b"*%d\r\n" % len(names) + b"".join(map(bulk, names))


def polite(command: bytes) -> bytes | None:
    """What a server says before anything is asked of it."""
    if b"INFO" in command and b"SETINFO" not in command:
        return bulk(b"cluster_enabled:0\r\n")
    if b"CLIENT" in command:
        return b"+OK\r\n" * max(1, command.count(b"CLIENT"))
    return None


def with_manners(answer: Callable[[socket.socket, bytes], None]):
    def respond(connection: socket.socket, command: bytes) -> None:
        said = polite(command)
        if said is not None:
            connection.sendall(said)
        else:
            answer(connection, command)

    return respond


def drip(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"*2\r\n$1\r\n0\r\n*1\r\n$1000\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def endless_line(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"+")
    while True:
        connection.sendall(b"x" * (1 << 20))


def huge_value(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"$5000000000\r\n")
    while True:
        connection.sendall(b"x" * (1 << 20))


def endless_array(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"*2\r\n$1\r\n0\r\n*1000000000\r\n")
    while True:
        connection.sendall(b"*0\r\n" * (1 << 18))


def many_large_values(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"*2\r\n$1\r\n0\r\n*1000\r\n")
    while True:
        connection.sendall(bulk(bytes(60 << 20)))


def deep(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"*1\r\n" * 200_000)


def endless_pages(connection: socket.socket, command: bytes) -> None:
    if b"SCAN" not in command:
        connection.sendall(bulk(b"") if b"GETRANGE" in command else b":0\r\n")
        return
    number = next(PAGES)
    names = [b"%b{%064x}" % (PREFIX.encode(), 1000 * number + i) for i in range(1000)]
    connection.sendall(page(b"%d" % number, *names))


PAGES = itertools.count(1)


def odd_numbers(connection: socket.socket, command: bytes) -> None:
    """An entry whose length is a text, or has 100 digits."""
    if b"SCAN" in command:
        connection.sendall(page(b"0", NAME))
    elif b"GETRANGE" in command:
        connection.sendall(bulk(b""))
    elif b"STRLEN" in command:
        connection.sendall(b":" + b"9" * 100 + b"\r\n")
    else:
        connection.sendall(bulk(b"text"))


FLOODS = [drip, endless_line, huge_value, endless_array, many_large_values, deep, odd_numbers]


@pytest.mark.parametrize("manners", [True, False])
@pytest.mark.parametrize("flood", FLOODS)
def test_cache_list_ends(
    flood: Callable[..., None], manners: bool, monkeypatch: pytest.MonkeyPatch
):
    """One sentence, soon."""
    monkeypatch.setattr(redis_answers, "SECONDS", 1.0)
    started = time.monotonic()
    with listening(with_manners(flood) if manners else flood) as url:
        environment = {"FC_CACHE_ENABLED": "1", "FC_CACHE_STORE_URL": url}
        result = CliRunner().invoke(main, ["cache", "list"], env=environment)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith("ERROR: the compiler cache redis://")
    assert time.monotonic() - started < 120


@pytest.mark.parametrize("flood", [huge_value, endless_array, many_large_values, endless_line])
def test_floods_take_little_memory(flood: Callable[..., None]):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "sys.argv = ['furiosa', 'cache', 'list'];"
        "from furiosa_ir.tools.furiosa import main; main()"
    )
    with listening(with_manners(flood)) as url:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PYTHONPATH": str(ROOT),
                "FC_CACHE_ENABLED": "1",
                "FC_CACHE_STORE_URL": url,
                "OPENBLAS_NUM_THREADS": "1",
            },
        )
    assert done.returncode == 1, done.stderr
    assert "out of memory" not in done.stderr
    assert done.stderr.startswith("ERROR: the compiler cache redis://"), done.stderr


def test_names_without_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("furiosa_ir.cache.redis_client._MOST_NAMES", 5000)
    with listening(with_manners(endless_pages)) as url:
        environment = {"FC_CACHE_ENABLED": "1", "FC_CACHE_STORE_URL": url}
        result = CliRunner().invoke(main, ["cache", "stats"], env=environment)
    assert result.exit_code == 1
    assert "more than 5000 names of ours" in result.stderr


# Locks that are none.


@pytest.mark.parametrize(
    "command",
    [
        ("SET", f"{value_name(KEY)}:lock", "x"),
        ("SET", f"{value_name(KEY)}:lock", "x", "EX", "86400"),
        ("LPUSH", f"{value_name(KEY)}:lock", "x"),
        ("HSET", f"{value_name(KEY)}:lock", "a", "b"),
    ],
    ids=["for ever", "for a day", "a list", "a hash"],
)
def test_a_lock_of_nobody_is_not_waited_for(server: RedisServer, command: tuple[str, ...]):
    with server.client() as client:
        client.execute_command(*command)
        store = RedisStore(RedisAddress(HOST, server.port))
        started = time.monotonic()
        with store.compiling(KEY, 60) as waited:
            assert not waited
            assert time.monotonic() - started < 60
            store.put(KEY, Metadata(cycles=3), b"program", 60)
        store.close()
        assert client.exists(value_name(KEY))
        assert client.exists(f"{value_name(KEY)}:lock")  # somebody's; `cache prune` takes it away


def test_a_large_value_of_another_s_is_damage(server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("furiosa_ir.cache.redis_client.MOST_VALUE", 1000)
    store = RedisStore(RedisAddress(HOST, server.port), is_patient=True)
    with server.client() as client:
        client.set(value_name(KEY), bytes(2000))
        assert store.damage(KEY) == "it is too large"
    store.close()
