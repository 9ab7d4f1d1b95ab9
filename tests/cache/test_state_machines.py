"""The two stores against a dictionary: whatever happens, what is got is what was put last, or none.

Nothing but `StoreFailure` may come out of a store, and here is no reason for it: so nothing may.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from furiosa_ir.cache import directory, redis_store, redis_value
from furiosa_ir.cache.directory import ORPHAN_AGE, DirectoryStore
from furiosa_ir.cache.entry import VERSION, Metadata
from furiosa_ir.cache.redis_store import RedisStore
from furiosa_ir.cache.redis_value import PartList, part_list, part_name, value_name
from furiosa_ir.cache.settings import RedisAddress
from furiosa_ir.cache.store import Store
from tests.cache.servers import HOST, RedisServer

KEYS = [f"{n:02x}" * 32 for n in (1, 2, 1 << 7)]
STEP = 10.0
"""Seconds that the clock is moved by, or a multiple: no lifetime below ends at such a moment."""
LIFETIMES = [5, 25, 95, 10_000, -1]
NOW = time.time

keys = st.sampled_from(KEYS)
lifetimes = st.sampled_from(LIFETIMES)
programs = st.one_of(
    st.binary(max_size=1500),
    st.integers(1, 3000).map(bytes),  # shrinks
    st.integers(0, 2**32).map(lambda n: n.to_bytes(8, "little") * 200),
)


@dataclass
class Stored:
    """What the model knows of an entry."""

    program: bytes
    created: float
    damaged: bool = False


class StoreMachine(RuleBasedStateMachine):
    """What both have in common; a subclass says how to harm its store."""

    store: Store
    other: Store

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, Stored] = {}
        self.offset = 0.0
        time.time = lambda: NOW() + self.offset

    def teardown(self) -> None:
        time.time = NOW
        self.store.close()
        self.other.close()

    def content(self, key: str) -> bytes:
        """What lies under a key, the first part of it at least."""
        raise NotImplementedError

    def overwrite(self, key: str, data: bytes) -> None:
        raise NotImplementedError

    def leave_behind(self, key: str) -> str:
        """Leaves what a killed process leaves, and names it."""
        raise NotImplementedError

    @rule(key=keys, program=programs, lifetime=st.sampled_from([10_000, -1, 0]))
    def put(self, key: str, program: bytes, lifetime: int) -> None:
        self.store.put(key, Metadata(cycles=len(program)), program, lifetime)
        self.model[key] = Stored(program, time.time())

    @rule(key=keys, lifetime=lifetimes, to_file=st.booleans())
    def get(self, key: str, lifetime: int, to_file: bool) -> None:
        with tempfile.TemporaryDirectory() as name:
            entry = self.store.get(key, lifetime, Path(name, "program") if to_file else None)
            known = self.model.get(key)
            valid = known is not None and (
                lifetime < 0 or abs(time.time() - known.created) < lifetime
            )
            if entry is None:
                assert not valid or (known is not None and known.damaged)
                self.model.pop(key, None)
                return
            assert valid
            assert known is not None
            program = entry.program
            content = program.read_bytes() if isinstance(program, Path) else bytes(program)
            assert content == known.program
            assert entry.metadata == Metadata(cycles=len(content))

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(steps=st.integers(-3, 5))
    def move_the_clock(self, steps: int) -> None:
        self.offset += steps * STEP

    @rule(key=keys, where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
    def flip_a_byte(self, key: str, where: float, flip: int) -> None:
        data = bytearray(self.content(key) if key in self.model else b"")
        if data:
            data[int(where * len(data))] ^= flip
            self.harm(key, bytes(data))

    @rule(key=keys, where=st.floats(0, 1, exclude_max=True))
    def cut(self, key: str, where: float) -> None:
        if key in self.model:
            data = self.content(key)
            self.harm(key, data[: int(where * len(data))])

    @rule(key=keys, data=st.binary(max_size=300))
    def write_garbage(self, key: str, data: bytes) -> None:
        self.overwrite(key, data)
        self.model[key] = Stored(b"", time.time(), damaged=True)

    @rule(key=keys, source=keys)
    def put_another_key_s_entry(self, key: str, source: str) -> None:
        if source in self.model and key != source:
            self.harm(key, self.content(source))

    def harm(self, key: str, data: bytes) -> None:
        self.overwrite(key, data)
        stored = self.model.setdefault(key, Stored(b"", time.time()))
        stored.damaged = True

    @rule(lifetime=lifetimes)
    def prune_by_age(self, lifetime: int) -> None:
        known = dict(self.model)
        gone = set(self.store.prune(lifetime).expired)
        for key, stored in known.items():
            if not stored.damaged:
                expired = lifetime > 0 and abs(time.time() - stored.created) >= lifetime
                assert (key in gone) == expired
        for key in gone:
            del self.model[key]

    @rule(max_size=st.integers(0, 5000))
    def prune_by_size(self, max_size: int) -> None:
        before = {e.key: e.size for e in self.store.entries()}
        pruned = self.store.prune(-1, max_size)
        left = {e.key: e.size for e in self.store.entries()}
        assert sum(left.values()) <= max_size
        assert set(before) == set(left) | set(pruned.evicted)
        # No more than was needed: without the last one thrown away there would be too much.
        if pruned.evicted:
            last = before[pruned.evicted[-1]]
            assert sum(left.values()) + last > max_size
        else:
            assert sum(before.values()) <= max_size
        for key in pruned.evicted:
            del self.model[key]

    @rule()
    def clear(self) -> None:
        assert set(self.store.clear().evicted) == set(self.model)
        self.model.clear()

    @rule(key=keys)
    def verify(self, key: str) -> None:
        why = self.store.damage(key)
        known = self.model.get(key)
        if known is None or not known.damaged:
            assert why is None

    @rule(key=keys)
    def leave_something_behind(self, key: str) -> None:
        name = self.leave_behind(key)
        assert name in self.store.prune(-1).orphans

    @rule(key=keys)
    def two_want_to_compile(self, key: str) -> None:
        self.store.delete(key)
        self.model.pop(key, None)
        with self.store.compiling(key, 60) as first:
            assert not first
            with self.other.compiling(key, 60) as waited:
                assert waited  # too long
            self.store.put(key, Metadata(cycles=1), b"x", 60)
            self.model[key] = Stored(b"x", time.time())
            with self.other.compiling(key, 60) as waited:
                assert waited  # and there is something now
            entry = self.other.get(key, 60)
            assert entry is not None
        with self.other.compiling(key, 60) as waited:
            assert not waited

    @rule(key=keys)
    def a_compile_fails(self, key: str) -> None:
        with pytest.raises(ZeroDivisionError), self.store.compiling(key, 60):
            raise ZeroDivisionError

    @invariant()
    def the_same_keys(self) -> None:
        assert {e.key for e in self.store.entries()} == set(self.model)


class DirectoryMachine(StoreMachine):
    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.store = DirectoryStore(self.root)
        self.other = DirectoryStore(self.root)
        super().__init__()

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.root)

    def path(self, key: str) -> Path:
        return self.root / str(VERSION) / key[:2] / f"{key}.entry"

    def content(self, key: str) -> bytes:
        return self.path(key).read_bytes()

    def overwrite(self, key: str, data: bytes) -> None:
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        self.path(key).write_bytes(data)

    def leave_behind(self, key: str) -> str:
        path = self.path(key).with_name(f".{key}.abc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half of it")
        os.utime(path, (time.time(), time.time()))
        assert path.name not in self.store.prune(-1).orphans
        then = time.time() - ORPHAN_AGE - STEP
        os.utime(path, (then, then))
        return path.name

    @invariant()
    def nothing_but_entries(self) -> None:
        names = {p.name for p in self.root.rglob("*") if p.is_file()} - {"CACHEDIR.TAG"}
        assert {n for n in names if not n.startswith(".")} == {f"{k}.entry" for k in self.model}


class RedisMachine(StoreMachine):
    server: RedisServer

    def __init__(self) -> None:
        address = RedisAddress(HOST, self.server.port)
        self.store = RedisStore(address, is_patient=True)
        self.other = RedisStore(address, is_patient=True)
        self.client: Any = self.server.client()
        self.client.flushall()
        super().__init__()

    def teardown(self) -> None:
        super().teardown()
        self.client.close()

    def listed(self, key: str) -> PartList | None:
        return part_list(self.client.get(value_name(key)))

    def content(self, key: str) -> bytes:
        return self.client.get(value_name(key))

    def overwrite(self, key: str, data: bytes) -> None:
        self.client.set(value_name(key), data)

    @rule(key=keys, part=st.integers(0, 9), flip=st.integers(1, 255), lose=st.booleans())
    def harm_a_part(self, key: str, part: int, flip: int, lose: bool) -> None:
        if key not in self.model or self.model[key].damaged:
            return
        listed = self.listed(key)
        if listed is not None:
            name = listed.names(key)[part % listed.parts]
            if lose:
                self.client.delete(name)
            else:
                self.client.setrange(name, 0, bytes([self.client.get(name)[0] ^ flip]))
            self.model[key].damaged = True

    def leave_behind(self, key: str) -> str:
        young = part_name(key, "00ff", 0)
        self.client.set(young, b"half of it", ex=1000)
        assert young not in self.store.prune(-1).orphans
        old = part_name(key, "ff00", 3)
        self.client.set(old, b"of a list that another one has replaced")
        return old

    @rule(key=keys)
    def parts_do_not_outlive_their_list(self, key: str) -> None:
        """Unless somebody else has harmed the list."""
        self.store.delete(key)
        known = self.model.pop(key, None)
        if known is not None and not known.damaged:
            left = self.client.keys(f"{value_name(key)}*")
            assert all(b":00ff:" in name or name.count(b":") < 5 for name in left)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(directory, "LONGEST_WAIT", 0.03)
    monkeypatch.setattr(redis_store, "LONGEST_WAIT", 0.03)
    monkeypatch.setattr(redis_value, "PART", 500)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def steps() -> settings:
    return settings(stateful_step_count=20, max_examples=max(3, settings().max_examples // 2))


@pytest.mark.draws
def test_directory():
    run_state_machine_as_test(DirectoryMachine, settings=steps())


@pytest.mark.draws
@pytest.mark.redis
def test_redis(server: RedisServer):
    RedisMachine.server = server
    run_state_machine_as_test(RedisMachine, settings=steps())
