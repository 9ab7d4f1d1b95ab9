"""The store on a real Redis server: ages, who may do what, large entries, `furiosa cache`."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from click.testing import CliRunner
from redis.exceptions import OutOfMemoryError

from furiosa_ir.cache import redis_store, redis_value
from furiosa_ir.cache.compilation import compile_program
from furiosa_ir.cache.entry import Metadata, entry_size
from furiosa_ir.cache.redis_client import PART_LEASE
from furiosa_ir.cache.redis_store import RedisStore
from furiosa_ir.cache.redis_value import PREFIX, value_name
from furiosa_ir.cache.settings import (
    DEFAULT_LIFETIME,
    CacheSettings,
    RedisAddress,
    parse_store_url,
)
from furiosa_ir.cache.store import StoreFailure
from furiosa_ir.tools.furiosa import main
from tests.cache.conftest import TFLITE, Command
from tests.cache.programs import padded
from tests.cache.servers import RedisServer, make_certificates, redis_server, until
from tests.conftest import ROOT

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("patience")]

KEY = "ab" * 32
FOREVER = -1


def store_at(url: str) -> RedisStore:
    address = parse_store_url(url)
    assert isinstance(address, RedisAddress)
    return RedisStore(address)


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    store = store_at(server.url)
    yield store
    store.close()


def names(server: RedisServer) -> list[str]:
    with server.client() as client:
        return sorted(name.decode() for name in client.keys("*"))


def get(store: RedisStore, key: str = KEY, lifetime: int = FOREVER) -> bytes | None:
    entry = store.get(key, lifetime)
    return None if entry is None else bytes(entry.program)


def test_miss_and_hit(server: RedisServer, command: Command):
    assert [command(server.url) for _ in range(3)] == ["compiled", "hit", "hit"]
    assert len(names(server)) == 1  # no lock is left
    with server.client() as client:
        assert DEFAULT_LIFETIME - 100 < client.ttl(names(server)[0]) <= DEFAULT_LIFETIME


def test_it_expires(server: RedisServer, command: Command):
    assert command(server.url, 300) == "compiled"
    with server.client() as client:
        assert 0 < client.pttl(names(server)[0]) <= 300_000
        assert command(server.url, 1000) == "hit"
        assert client.pttl(names(server)[0]) <= 300_000  # a hit does not lengthen it
        client.pexpire(names(server)[0], 1)
        until(lambda: not client.keys())
    assert command(server.url, 1000) == "compiled"


def test_what_is_too_old_for_one_is_not_for_another(server: RedisServer, command: Command):
    assert command(server.url, FOREVER) == "compiled"
    with server.client() as client:
        assert client.ttl(names(server)[0]) == -1
    time.sleep(1.1)
    assert command(server.url, 1000) == "hit"
    assert command(server.url, 1) == "compiled"


def test_a_lifetime_of_zero_compiles_anew(server: RedisServer, command: Command):
    assert [command(server.url, n) for n in (0, 0, 60, FOREVER, 0, 60)] == [
        *("compiled", "compiled", "hit", "hit", "compiled", "hit")
    ]


def test_threads_of_a_process_compile_once(server: RedisServer, fresh: bytes):
    """A service that makes sessions of the same model in several threads."""
    barrier = threading.Barrier(8)
    programs: list[tuple[bytes, bool]] = []

    def work() -> None:
        barrier.wait()
        result = compile_program(
            TFLITE, target="warboy-2pe", settings=CacheSettings(parse_store_url(server.url))
        )
        assert not isinstance(result.program, Path)
        programs.append((bytes(result.program), result.from_cache))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(hit for _, hit in programs) == [False] + [True] * 7
    assert {program for program, _ in programs} == {fresh}


def test_who_may_only_read_hits(server: RedisServer, command: Command):
    with server.client() as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=["+secret"], commands=["+get"], keys=["furiosa:*"]
        )
    url = server.url.replace("://", "://reader:secret@")
    assert "its user may not do that" in command(url)
    assert command(server.url) == "compiled"
    for lifetime in (FOREVER, 60):
        assert command(url, lifetime) == "hit"
    assert "its user may not do that" in command(url, 0)
    assert command(f"{server.url}/1") == "compiled"
    assert "its user may not do that" in command(f"{url}/1")
    with server.client() as client:
        client.acl_setuser("reader", enabled=True, commands=["+select"])
    assert command(f"{url}/1") == "hit"


def test_who_may_do_what_a_compile_needs(server: RedisServer, command: Command):
    """The commands that `docs/cache.md` names, and no others."""
    text = (ROOT / "docs" / "cache.md").read_text()
    allowed = re.findall(r"`([+]\S+)`", text.partition("For compiles")[2].partition("\n\n")[0])
    assert "+set" in allowed
    with server.client() as client:
        client.acl_setuser(
            "writer", enabled=True, passwords=["+secret"], commands=allowed, keys=["furiosa:*"]
        )
    url = server.url.replace("://", "://writer:secret@")
    assert [command(url, n) for n in (60, 60, 0, -1)] == ["compiled", "hit", "compiled", "hit"]
    assert len(names(server)) == 1  # the lock is given back
    for _ in range(2):
        put(store := store_at(url), os.urandom(200_000), lifetime=FOREVER)
        store.close()


def test_whom_nothing_is_allowed(server: RedisServer, command: Command):
    with server.client() as client:
        client.acl_setuser("nobody", enabled=True, passwords=["+secret"])
    assert "its user may not do that" in command(server.url.replace("://", "://nobody:secret@"))


def test_a_read_only_replica_gives_hits(server: RedisServer, command: Command, tmp_path: Path):
    options = ("--replicaof", f"127.0.0.1 {server.port}")
    with redis_server(tmp_path / "replica", *options) as replica, replica.client() as client:
        until(lambda: client.info("replication")["master_link_status"] == "up")
        assert "it is read-only" in command(replica.url)
        assert command(server.url) == "compiled"
        until(lambda: len(client.keys()) == 1)
        assert command(replica.url, FOREVER) == "hit"
        assert command(replica.url) == "hit"


def test_a_damaged_entry_on_a_replica_is_one_warning(
    server: RedisServer, command: Command, tmp_path: Path
):
    options = ("--replicaof", f"127.0.0.1 {server.port}")
    with redis_server(tmp_path / "replica", *options) as replica, replica.client() as client:
        assert command(server.url) == "compiled"
        until(lambda: len(client.keys()) == 1)
        with server.client() as writer:
            writer.setrange(names(server)[0], 3, b"!")
            assert writer.wait(1, 10_000) == 1
        warning = command(replica.url, FOREVER)
        assert "an entry is damaged" in warning
        assert "cannot be thrown away: it is read-only" in warning


PASSWORD = "p@ss:/w ö#%?rd"


def test_passwords(command: Command, tmp_path: Path):
    with redis_server(tmp_path / "server", password=PASSWORD) as server:
        assert [command(server.url) for _ in range(2)] == ["compiled", "hit"]
        named = server.url.replace("://:", "://default:")
        assert command(named) == "hit"
        for url in (
            server.url.replace(quote(PASSWORD, safe=""), "wrong-one"),
            server.url.replace(f":{quote(PASSWORD, safe='')}@", ""),
        ):
            warning = command(url)
            assert "is the password right?" in warning
            assert "wrong-one" not in warning
        assert command(server.url) == "hit"


def test_databases(server: RedisServer, command: Command):
    assert command(f"{server.url}/1") == "compiled"
    assert command(f"{server.url}/1") == "hit"
    assert command(server.url) == "compiled"
    assert "DB index is out of range" in command(f"{server.url}/99")


def test_ipv6(command: Command, tmp_path: Path):
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", 9)) not in (0, 111):  # 111: nobody listens, but it is there
            pytest.skip("this machine has no IPv6")
    with redis_server(tmp_path / "server", "--bind", "127.0.0.1", "::1") as server:
        url = f"redis://[::1]:{server.port}"
        assert [command(url) for _ in range(2)] == ["compiled", "hit"]


def test_tls(command: Command, tmp_path: Path):
    certificates = make_certificates(tmp_path / "ca", "localhost", "127.0.0.1")
    other = make_certificates(tmp_path / "other", "localhost", "127.0.0.1")
    with redis_server(tmp_path / "server", password="s", certificates=certificates) as server:
        assert [command(server.url) for _ in range(2)] == ["compiled", "hit"]
        by_name = server.url.replace("127.0.0.1", "localhost")
        assert command(by_name) == "hit"
        untrusted = server.url.replace(str(certificates.ca), str(other.ca))
        assert "its certificate is not trusted" in command(untrusted)
        assert "its certificate is not trusted" in command(server.url.partition("?")[0])
        assert "is not used" in command(server.url.partition("?")[0].replace("rediss", "redis"))
        assert command(server.url) == "hit"


def test_a_certificate_for_another_host(command: Command, tmp_path: Path):
    certificates = make_certificates(tmp_path / "ca", "cache.example.org")
    with redis_server(tmp_path / "server", certificates=certificates) as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            warning = command(url)
            assert "its certificate is not trusted" in warning
            assert "match" in warning


def test_a_full_server(command: Command, tmp_path: Path):
    with redis_server(tmp_path / "server", "--maxmemory", "1mb") as server:
        with server.client() as client:
            with suppress(OutOfMemoryError):
                for n in range(100):
                    client.set(f"filler{n}", bytes(100_000))
            # What its buffers took is free by now.
            client.config_set("maxmemory", client.info("memory")["used_memory"] - 100_000)
            assert "its memory is full" in command(server.url)
            client.config_set("maxmemory", "100mb")
        assert [command(server.url) for _ in range(2)] == ["compiled", "hit"]


# Large entries.


def put(store: RedisStore, program: bytes, key: str = KEY, lifetime: int = 60) -> None:
    store.put(key, Metadata(cycles=3), program, lifetime)


def foreign(server: RedisServer, value: bytes, name: str | None = None) -> None:
    with server.client() as client:
        client.set(name or value_name(KEY), value)


EXACT = 3000 - entry_size(Metadata(cycles=3), b"")
"""Bytes of a program whose entry fills its parts."""


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [0, 1, 1000, 5000, pytest.param(EXACT, id="exact")])
def test_parts(store: RedisStore, server: RedisServer, size: int, tmp_path: Path):
    program = os.urandom(size)
    put(store, program)
    assert get(store) == program
    entry = store.get(KEY, FOREVER, tmp_path / "program")
    assert entry is not None
    assert (tmp_path / "program").read_bytes() == program
    assert store._ask(lambda client: client.entry(KEY)).program == program
    assert store.damage(KEY) is None
    stored = names(server)
    whole = entry_size(Metadata(cycles=3), program)
    assert len(stored) == (1 if whole <= 1000 else 1 + -(-whole // 1000))
    with server.client() as client:
        assert all(0 < client.ttl(name) <= 60 for name in stored)
        assert all(client.strlen(name) <= 1000 for name in stored)
    store.delete(KEY)
    assert names(server) == []


@pytest.mark.usefixtures("small_parts")
def test_a_new_entry_takes_the_place_of_all_parts(store: RedisStore, server: RedisServer):
    put(store, os.urandom(5000))
    second = os.urandom(3000)
    put(store, second)
    assert get(store) == second
    assert len(names(server)) == 5
    put(store, b"small")
    assert get(store) == b"small"
    assert len(names(server)) == 1


@pytest.mark.usefixtures("small_parts")
def test_parts_live_as_long_as_their_list(store: RedisStore, server: RedisServer):
    put(store, os.urandom(3000), lifetime=FOREVER)
    with server.client() as client:
        assert {client.ttl(name) for name in names(server)} == {-1}
        assert store.prune(FOREVER).orphans == []
        assert get(store) is not None
        client.delete(value_name(KEY))
    orphans = names(server)
    pruned = store.prune(FOREVER)
    assert sorted(pruned.orphans) == orphans
    assert pruned.freed == entry_size(Metadata(cycles=3), bytes(3000))
    assert names(server) == []


@pytest.mark.usefixtures("small_parts")
def test_parts_of_a_writer_that_died_expire(store: RedisStore, server: RedisServer):
    put(store, os.urandom(3000), "cd" * 32)

    def dying():
        yield from (bytes(1000), bytes(1000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store._ask(lambda client: client.store(KEY, dying(), None))
    left = [name for name in names(server) if KEY in name]
    assert len(left) == 1 or len(left) == 2
    with server.client() as client:
        assert all(0 < client.ttl(name) <= PART_LEASE for name in left)
        assert store.prune(FOREVER).orphans == []  # it may be writing
    assert get(store) is None
    assert len(list(store.entries())) == 1


def test_more_than_64_megabytes(store: RedisStore, server: RedisServer, tmp_path: Path):
    program = os.urandom(1 << 20) * 70  # long repetitions: no window of zstd's sees them
    file = tmp_path / "program"
    file.write_bytes(program)
    store.put(KEY, Metadata(), file, 60)
    assert len(names(server)) == 3
    entry = store.get(KEY, 60, file)
    assert entry is not None
    assert file.read_bytes() == program
    [listed] = store.entries()
    assert listed.size > 70 << 20


@pytest.mark.parametrize("size", [100, 3000, 100_000, 1_000_000])
def test_noise_is_not_compressed(store: RedisStore, server: RedisServer, size: int):
    put(store, os.urandom(size))
    with server.client() as client:
        assert client.getrange(value_name(KEY), 0, 7) == b"FIRCACHE"


def test_what_shrinks_is_compressed(store: RedisStore, server: RedisServer, tmp_path: Path):
    program = b"".join(n.to_bytes(4, "little") for n in range(100_000))
    put(store, program)
    with server.client() as client:
        assert client.strlen(value_name(KEY)) < 0.7 * len(program)
    assert get(store) == program
    assert store.get(KEY, FOREVER, tmp_path / "program") is not None
    assert (tmp_path / "program").read_bytes() == program


def test_what_expands_too_much_is_not_compressed(
    store: RedisStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_value, "_FREE_EXPANSION", 1000)
    put(store, bytes(100_000))
    with server.client() as client:
        assert client.strlen(value_name(KEY)) == entry_size(Metadata(cycles=3), bytes(100_000))
    assert get(store) == bytes(100_000)


# Administration.


def cache(url: str, *arguments: str, code: int = 0) -> str:
    environment = {"FC_CACHE_ENABLED": "1", "FC_CACHE_STORE_URL": url}
    result = CliRunner().invoke(main, ["cache", *arguments], env=environment)
    assert result.exit_code == code, result.output
    return result.stdout if code < 1 else result.output


@pytest.mark.usefixtures("small_parts")
def test_administration(store: RedisStore, server: RedisServer, fresh: bytes):
    keys = [f"{n:02x}" * 32 for n in range(4)]
    program = padded(fresh, os.urandom(10 * len(fresh)))
    for key in keys:
        put(store, program, key)
    with server.client() as client:
        client.set("somebody's", "else")
        client.set(f"{PREFIX}no key of ours", "")
        client.setrange([n for n in names(server) if keys[1] in n][-1], 5, b"?!")
        client.set(value_name(keys[2]), b"garbage")
    figures = json.loads(cache(server.url, "stats", "--json"))
    assert (figures["entries"], figures["store"]) == (4, server.url)
    rows = {row["key"]: row for row in json.loads(cache(server.url, "list", "--json"))}
    assert rows[keys[0]]["bytes"] == entry_size(Metadata(cycles=3), program)
    assert abs(rows[keys[0]]["created"] - time.time()) < 60
    report = json.loads(cache(server.url, "verify", "--json", code=1).partition("ERROR")[0])
    assert sorted(report["damaged"]) == keys[1:3]
    assert "2 programs read, 0 damaged" in cache(server.url, "verify")
    assert "2 evicted" in cache(server.url, "prune", "--max-size", "1kB")
    put(store, b"one more")
    assert "1 programs thrown away" in cache(server.url, "clear")
    with server.client() as client:
        left = {n for n in names(server) if client.ttl(n) < 0}
    assert left == {"somebody's", f"{PREFIX}no key of ours"}


def test_administration_has_time(server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(redis_store, "PATIENCE", 0.0)
    foreign(server, b"garbage")
    assert "1 programs read, 1 damaged" in cache(server.url, "verify", code=1)
    assert names(server) == []
    foreign(server, b"garbage")
    assert "1 programs thrown away" in cache(server.url, "clear")


def age(server: RedisServer, key: str, seconds: int) -> None:
    """Makes an entry as old as if it had not been used for so many seconds."""
    with server.client() as client:
        dumped = client.dump(value_name(key))
        client.restore(value_name(key), 0, dumped, replace=True, idletime=seconds)


def test_the_least_recently_used_go_first(store: RedisStore, server: RedisServer):
    keys = [f"{n:02x}" * 32 for n in (1, 2, 3)]
    for key, seconds in zip(keys, (1000, 3000, 2000), strict=True):
        put(store, os.urandom(1000), key)
        age(server, key, seconds)
    now = time.time()
    used = {e.key: now - e.used for e in store.entries()}
    assert [round(used[key], -2) for key in keys] == [1000, 3000, 2000]
    for key, seconds in zip(keys, (1000, 3000, 2000), strict=True):
        age(server, key, seconds)
    assert store.prune(FOREVER, 2 * entry_size(Metadata(cycles=3), bytes(1000))).evicted == [
        keys[1]
    ]


def test_who_looks_after_a_cache_does_not_use_it(
    store: RedisStore, server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    """Servers from 7.2 on know the command; from others comes an error that does not matter."""
    put(store, b"program")
    asked: list[str] = []
    execute = redis.Redis.execute_command

    def recorded(client: redis.Redis, *command: object, **options: object) -> object:
        asked.append(" ".join(map(str, command)))
        return execute(client, *command, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", recorded)
    cache(server.url, "list")
    assert asked[1] == "CLIENT NO-TOUCH ON"  # the first one asks what the server is
    assert len(asked) > 3
    asked.clear()
    other = store_at(server.url)
    other.delete(KEY)
    other.close()
    assert len(asked) > 2
    assert "CLIENT NO-TOUCH ON" not in asked


def test_least_recently_used_and_lfu(store: RedisStore, server: RedisServer):
    put(store, b"program")
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lfu")
        try:
            assert [e.key for e in store.entries()] == [KEY]
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_administration_of_what_cannot_be_reached():
    for arguments in (("stats",), ("list",), ("prune",), ("verify",), ("clear",)):
        output = cache("redis://:secret@127.0.0.1:1", *arguments, code=1)
        assert "the compiler cache redis://127.0.0.1:1 cannot be used: connection refused" in output
        assert "secret" not in output


def test_after_a_failure_nothing_more_is_asked():
    store = RedisStore(RedisAddress("127.0.0.1", 1))
    for _ in range(2):
        with pytest.raises(StoreFailure, match="connection refused"):
            store.get(KEY, FOREVER)
        with pytest.raises(StoreFailure, match="connection refused"):
            put(store, b"program")
        with store.compiling(KEY, FOREVER) as waited:
            assert not waited
    store.close()
