"""Redis clusters: found out by asking, and what is left when masters die."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from furiosa_ir.cache import redis_store, redis_value
from furiosa_ir.cache.entry import Metadata
from furiosa_ir.cache.redis_store import PATIENCE, RedisStore
from furiosa_ir.cache.redis_value import PREFIX
from furiosa_ir.cache.settings import RedisAddress, parse_store_url
from tests.cache.conftest import Command
from tests.cache.servers import RedisCluster, make_certificates, redis_cluster, until

pytestmark = pytest.mark.redis

NOISE = 20.0
"""Seconds that a busy machine may add; what waits longer hangs."""
FOREVER = -1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters that stay alive."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def names(cluster: RedisCluster) -> list[str]:
    """Of all that is stored, on any master."""
    found: list[str] = []
    for node in cluster.masters:
        with node.client() as client:
            found += [name.decode() for name in client.keys("*")]
    return sorted(found)


def flush(cluster: RedisCluster) -> None:
    for node in cluster.masters:
        with node.client() as client:
            client.flushall()


@pytest.mark.usefixtures("patience")
def test_any_node_is_the_cluster(cluster: RedisCluster, command: Command):
    flush(cluster)
    urls = [node.url for node in cluster.masters]
    assert command(urls[0]) == "compiled"
    assert [command(url) for url in urls] == ["hit"] * 3
    assert len(names(cluster)) == 1
    assert [command(url, 0) for url in urls] == ["compiled"] * 3
    assert "SELECT is not allowed in cluster mode" in command(f"{urls[0]}/1")


@pytest.mark.usefixtures("patience")
def test_parts_lie_beside_their_list(cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch):
    flush(cluster)
    monkeypatch.setattr(redis_value, "PART", 1000)
    address = parse_store_url(cluster.masters[0].url)
    assert isinstance(address, RedisAddress)
    store = RedisStore(address)
    keys = [f"{n:02x}" * 32 for n in range(8)]
    programs = {key: bytes(range(256)) * 20 + key.encode() for key in keys}
    for key, program in programs.items():
        with store.compiling(key, FOREVER) as waited:
            assert not waited
            store.put(key, Metadata(), program, FOREVER)
    masters = {cluster.master_of(redis_value.value_name(key)) for key in keys}
    assert masters == {0, 1, 2}
    for key, program in programs.items():
        entry = store.get(key, FOREVER)
        assert entry is not None
        assert bytes(entry.program) == program
        assert store.damage(key) is None
    assert sorted(e.key for e in store.entries()) == keys
    assert sorted(store.prune(FOREVER, 0).evicted) == keys
    assert names(cluster) == []
    store.close()


@pytest.mark.usefixtures("patience", "small_parts")
def test_administration(cluster: RedisCluster):
    flush(cluster)
    address = parse_store_url(cluster.masters[0].url)
    assert isinstance(address, RedisAddress)
    store = RedisStore(address, is_patient=True)
    keys = [f"{n:02x}" * 32 for n in range(8)]
    for key in keys:
        store.put(key, Metadata(), os.urandom(3000), FOREVER)
    for lost, key in (("0", keys[0]), ("1", keys[1])):
        [part] = [n for n in names(cluster) if key in n and n.endswith(f":{lost}")]
        with cluster.masters[cluster.master_of(part)].client() as client:
            client.delete(part)
    assert store.get(keys[0], FOREVER) is None
    assert not [n for n in names(cluster) if keys[0] in n]
    assert store.damage(keys[1]) == "a part of it is missing"
    assert [e.key for e in store.entries()] == keys[1:]
    assert sorted(store.clear().evicted) == keys[1:]
    assert names(cluster) == []
    store.close()


@pytest.mark.usefixtures("patience")
def test_who_must_not_ask_what_a_server_is(cluster: RedisCluster, command: Command):
    """A node of a cluster shows what it is by sending us on."""
    flush(cluster)
    for node in cluster.masters:
        with node.client() as client:
            client.acl_setuser(
                "reader",
                enabled=True,
                passwords=["+secret"],
                commands=["+get", "+cluster|slots", "+cluster|shards", "+command"],
                keys=["furiosa:*"],
            )
    assert command(cluster.masters[0].url) == "compiled"
    for node in cluster.masters:
        assert command(node.url.replace("://", "://reader:secret@"), FOREVER) == "hit"


@pytest.mark.usefixtures("patience")
def test_tls(command: Command, tmp_path: Path):
    certificates = make_certificates(tmp_path / "ca", "127.0.0.1")
    with redis_cluster(tmp_path / "cluster", certificates=certificates) as cluster:
        urls = [node.url for node in cluster.masters]
        assert [command(url) for url in urls] == ["compiled", "hit", "hit"]
        assert "its certificate is not trusted" in command(urls[0].partition("?")[0])


def slot_s_master(cluster: RedisCluster) -> int:
    [name] = names(cluster)
    return cluster.master_of(name)


def test_failover(
    command: Command, waited: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The master of an entry dies; its replica takes over, and has the entry."""
    with redis_cluster(tmp_path / "cluster", replicas=3) as cluster:
        with monkeypatch.context() as patched:
            patched.setattr(redis_store, "PATIENCE", 60.0)
            assert command(cluster.masters[0].url) == "compiled"
        victim = slot_s_master(cluster)
        with cluster.masters[victim].client() as client:
            assert client.wait(1, 10_000) == 1
        url = cluster.masters[(victim + 1) % 3].url
        cluster.masters[victim].kill()
        waited.clear()
        assert command(url) == "hit" or "is not used" in command(url)
        assert sum(waited) < 2 * (PATIENCE + NOISE)
        monkeypatch.setattr(redis_store, "PATIENCE", 60.0)
        with cluster.replicas[victim].client() as client:
            until(lambda: client.info("replication")["role"] == "master")
        until(lambda: command(url) == "hit")
        flush_alive(cluster, victim)
        until(lambda: command(url) == "compiled")
        assert command(url) == "hit"
        cluster.masters[victim].start()  # it comes back as a replica
        with cluster.masters[victim].client() as client:
            until(lambda: client.info("replication")["role"] == "slave")
        assert command(cluster.masters[victim].url) == "hit"


def flush_alive(cluster: RedisCluster, dead: int) -> None:
    for n, node in enumerate(cluster.nodes):
        if n != dead:
            with node.client() as client:
                if client.info("replication")["role"] == "master":
                    client.flushall()


@pytest.mark.parametrize("full_coverage", ["yes", "no"])
def test_slots_that_nobody_serves(
    command: Command,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    full_coverage: str,
):
    options = ("--cluster-require-full-coverage", full_coverage)
    with redis_cluster(tmp_path / "cluster", *options) as cluster:
        with monkeypatch.context() as patched:
            patched.setattr(redis_store, "PATIENCE", 60.0)
            assert command(cluster.masters[0].url) == "compiled"
        victim = slot_s_master(cluster)
        other = cluster.masters[(victim + 1) % 3]
        cluster.masters[victim].kill()
        waited.clear()
        assert "is not used" in command(other.url)
        with other.client() as client:
            until(lambda: client.cluster("info")["cluster_slots_fail"] != "0")
        assert "is not used" in command(other.url)
        assert sum(waited) < 2 * (PATIENCE + NOISE)
        cluster.masters[victim].start()
        monkeypatch.setattr(redis_store, "PATIENCE", 60.0)
        with other.client() as client:
            until(lambda: client.cluster("info")["cluster_state"] == "ok")
        until(lambda: command(other.url) == "compiled")
        assert command(other.url) == "hit"
        assert all(name.startswith(PREFIX) for name in names(cluster))
