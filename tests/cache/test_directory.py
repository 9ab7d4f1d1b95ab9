"""The store in a directory: permissions, ages, sizes, and what others may put into it."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from furiosa_ir.cache import directory, entry
from furiosa_ir.cache.directory import ORPHAN_AGE, DirectoryStore
from furiosa_ir.cache.entry import (
    HEADER_BYTES,
    MAX_METADATA,
    VERSION,
    Metadata,
    entry_chunks,
    read_header,
)
from furiosa_ir.cache.store import StoreFailure

KEYS = [f"{n:02x}" * 32 for n in range(8)]
KEY = KEYS[7]
FOREVER = -1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


def put(store: DirectoryStore, key: str = KEY, program: bytes = b"program") -> Path:
    store.put(key, Metadata(cycles=3), program, FOREVER)
    return path_of(store, key)


def path_of(store: DirectoryStore, key: str = KEY) -> Path:
    return Path(str(store), str(VERSION), key[:2], f"{key}.entry")


def content(store: DirectoryStore, key: str = KEY, lifetime: int = FOREVER) -> bytes | None:
    found = store.get(key, lifetime)
    return None if found is None else bytes(found.program)


def files(root: Path) -> list[str]:
    return sorted(p.name for p in root.rglob("*") if p.is_file())


def test_what_is_put_is_got(store: DirectoryStore, root: Path):
    assert content(store) is None
    assert not root.exists()  # reading makes nothing
    put(store, program=b"first")
    put(store, program=b"second")
    found = store.get(KEY, 60)
    assert found is not None
    assert (bytes(found.program), found.metadata.cycles) == (b"second", 3)
    assert abs(found.created - time.time()) < 60
    assert files(root) == [f"{KEY}.entry", "CACHEDIR.TAG"]


def test_a_directory_that_we_make_is_private(store: DirectoryStore, root: Path):
    path = put(store)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("folder", "umask", "file"),
    [(0o770, 0o002, 0o660), (0o755, 0o022, 0o644), (0o777, 0o077, 0o600)],
)
def test_a_directory_that_is_there_decides_who_reads(
    store: DirectoryStore, root: Path, folder: int, umask: int, file: int
):
    root.mkdir()
    root.chmod(folder)
    before = os.umask(umask)
    try:
        path = put(store)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == file


def test_ages(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch):
    path = put(store)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    assert content(store, lifetime=FOREVER) == b"program"
    assert content(store, lifetime=200) == b"program"
    assert content(store, lifetime=50) is None
    assert not path.exists()
    put(store)
    monkeypatch.setattr(time, "time", lambda: now - 100_000)  # that clock went wrong
    assert content(store, lifetime=50) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "garbage", "foreign"])
def test_damage_is_a_warning_and_a_miss(
    store: DirectoryStore, damage: str, caplog: pytest.LogCaptureFixture
):
    path = put(store)
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut": data[:-1],
            "flip": data[:-1] + bytes([data[-1] ^ 1]),
            "empty": b"",
            "garbage": os.urandom(500),
            "foreign": b"".join(entry_chunks(KEYS[0], Metadata(), b"another program")),
        }[damage]
    )
    assert store.damage(KEY) is not None
    with caplog.at_level(logging.WARNING):
        assert content(store) is None
    assert len(caplog.records) == 1
    assert "thrown away" in caplog.text
    assert not path.exists()
    put(store)
    assert content(store) == b"program"
    assert store.damage(KEY) is None


def test_what_nobody_would_read_is_not_written(
    store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(StoreFailure, match="too long"):
        store.put(KEY, Metadata(warnings=("x" * (MAX_METADATA + 1),)), b"program", FOREVER)
    monkeypatch.setattr(entry, "MAX_ENTRY", 1000)
    put(store, program=bytes(500))
    with pytest.raises(StoreFailure, match="too large"):
        put(store, program=bytes(1000))
    assert content(store) == bytes(500)
    assert files(root) == [f"{KEY}.entry", "CACHEDIR.TAG"]


def test_a_hole_takes_no_memory(store: DirectoryStore):
    path = put(store)
    os.truncate(path, 1 << 40)
    assert content(store) is None


def link(path: Path) -> None:
    path.symlink_to(os.devnull)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


def socket_(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


ODD = [link, folder, socket_, os.mkfifo]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("make", ODD)
def test_what_is_no_file_is_thrown_away(
    store: DirectoryStore, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    path = put(store)
    path.unlink()
    make(path)
    before = descriptors()
    assert store.damage(KEY) in ("it is no file", "it is a symbolic link")
    assert [e.key for e in store.entries()] == [KEY]
    assert content(store) is None
    assert descriptors() == before
    assert "thrown away: it is" in caplog.text
    assert not os.path.lexists(path)
    put(store)
    assert content(store) == b"program"
    assert Path(os.devnull).exists()


@pytest.mark.parametrize("make", ODD)
def test_what_is_no_file_is_in_nobody_s_way(store: DirectoryStore, make: Callable[[Path], None]):
    for key in KEYS[:3]:
        put(store, key)
    path = put(store)
    path.unlink()
    make(path)
    put(store)
    assert content(store) == b"program"
    path.unlink()
    make(path)
    store.delete(KEY)
    assert [e.key for e in store.entries()] == KEYS[:3]
    make(path)
    assert sorted(store.clear().evicted) == [*KEYS[:3], KEY]
    assert list(store.entries()) == []


def test_what_must_not_be_read_is_thrown_away(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
):
    path, open_ = put(store), os.open

    def refuse(name: Path, *arguments: int) -> int:
        if name == path:  # whatever its mode: root reads everything
            raise PermissionError(13, "Permission denied")
        return open_(name, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    assert store.damage(KEY) == "it must not be read"
    assert [e.key for e in store.entries()] == [KEY]
    assert content(store) is None
    assert not path.exists()


def test_other_names_are_not_ours(store: DirectoryStore, root: Path):
    folder = put(store).parent
    others = [
        folder / "\x1b[31m.entry",
        folder / f"{KEY[:-1]}.entry",
        folder / f"{KEY[:-1].upper()}F.entry",
        folder / f"{KEYS[0]}.entry",  # in another key's folder
        folder / ".\x1b[31m",
        folder / f".{KEY}.\x1b",
        folder / "\x1b.lock",
    ]
    for path in others:
        path.write_bytes(b"not ours")
        os.utime(path, (0, 0))
    assert [e.key for e in store.entries()] == [KEY]
    pruned = store.prune(FOREVER, 0)
    assert (pruned.evicted, pruned.orphans) == ([KEY], [])
    assert store.clear().evicted == []
    assert all(path.exists() for path in others)


def test_a_file_in_place_of_the_directory_is_a_failure(store: DirectoryStore, root: Path):
    root.touch()
    with pytest.raises(StoreFailure):
        put(store)
    with pytest.raises(StoreFailure):
        store.get(KEY, FOREVER)
    with store.compiling(KEY, FOREVER) as waited:
        assert not waited


def test_the_least_recently_used_go_first(store: DirectoryStore, root: Path):
    for age, key in enumerate(KEYS):
        path = put(store, key, bytes(1000))
        os.utime(path, (0, time.time() - 1000 + age))
    assert content(store, KEYS[0]) is not None  # and is now the last one used
    for age, key in enumerate(KEYS):  # reading them, in the other direction, is no use
        path = path_of(store, key)
        os.utime(path, (time.time() - age, path.stat().st_mtime))
    size = path_of(store).stat().st_size
    pruned = store.prune(FOREVER, 3 * size + 10)
    assert sorted(pruned.evicted) == KEYS[1:6]
    assert pruned.freed == 5 * size
    assert [e.key for e in store.entries()] == [KEYS[0], *KEYS[6:]]
    assert store.prune(FOREVER, 3 * size + 10).evicted == []


def test_pruning_throws_away_what_is_expired_and_left_behind(store: DirectoryStore, root: Path):
    path = put(store)
    leftovers = [path.parent / f".{KEY}.{name}" for name in ("old", "young")]
    for file in leftovers:
        file.write_bytes(bytes(10))
    old = time.time() - ORPHAN_AGE - 1
    os.utime(leftovers[0], (old, old))
    lock = path.with_suffix(".lock")
    lock.touch()
    pruned = store.prune(3600)
    assert sorted(pruned.orphans) == sorted([leftovers[0].name, lock.name])
    assert files(root) == sorted([leftovers[1].name, path.name, "CACHEDIR.TAG"])
    time.sleep(1.1)
    assert store.prune(1).expired == [KEY]


def test_a_lock_that_is_held_stays(store: DirectoryStore):
    with store.compiling(KEY, FOREVER):
        assert store.prune(FOREVER).orphans == []
        assert path_of(store).with_suffix(".lock").exists()
    assert not path_of(store).with_suffix(".lock").exists()


def test_one_compiles_and_the_others_wait(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []
    inside, changed = threading.Event(), threading.Condition()
    refused: set[int] = set()
    flock = fcntl.flock

    def recorded(handle: int, operation: int) -> None:
        try:
            flock(handle, operation)
        except BlockingIOError:
            with changed:
                refused.add(threading.get_ident())
                changed.notify_all()
            raise

    monkeypatch.setattr(fcntl, "flock", recorded)

    def first():
        with store.compiling(KEY, FOREVER) as waited:
            order.append(f"first {waited}")
            inside.set()
            with changed:
                assert changed.wait_for(lambda: len(refused) == 2, 60)
            order.append("stored")  # before: who waits looks for the entry as well
            put(store)

    def second():
        inside.wait()
        with store.compiling(KEY, FOREVER) as waited:
            order.append(f"second {waited}")
            assert content(store) == b"program"

    threads = [threading.Thread(target=f) for f in (first, second, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert order == ["first False", "stored", "second True", "second True"]


def test_a_failed_compile_lets_the_next_one_try(store: DirectoryStore):
    with pytest.raises(ZeroDivisionError), store.compiling(KEY, FOREVER):
        raise ZeroDivisionError
    with store.compiling(KEY, FOREVER) as waited:
        assert not waited


class Waiting:
    """Threads that want to compile KEY, and compile unless there is an entry.

    Attributes:
        most: how many did so at the same time.
    """

    def __init__(
        self,
        store: DirectoryStore,
        count: int,
        monkeypatch: pytest.MonkeyPatch,
        *,
        together: int = 1,
    ) -> None:
        refused: set[int] = set()
        flock = fcntl.flock

        def recorded(handle: int, operation: int) -> None:
            try:
                flock(handle, operation)
            except BlockingIOError:
                refused.add(threading.get_ident())
                raise

        monkeypatch.setattr(fcntl, "flock", recorded)
        self.inside = self.most = 0
        self._store = store
        self._together = together
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._compile) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        while len(refused) < count:
            time.sleep(0.01)

    def _compile(self) -> None:
        with self._store.compiling(KEY, FOREVER) as waited:
            assert waited
            if content(self._store) is not None:
                return
            with self._changed:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self.most >= self._together, 60)
            time.sleep(0.3)  # for those who should not come in
            put(self._store)
            with self._changed:
                self.inside -= 1

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()


def test_after_a_compile_that_was_not_stored_all_compile(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
):
    with store.compiling(KEY, FOREVER):
        waiting = Waiting(store, 3, monkeypatch, together=3)
    waiting.join()
    assert waiting.most == 3


def test_after_a_dead_process_one_compiles(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch):
    lock = path_of(store).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:  # the kernel closes it, and nobody removes it
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = Waiting(store, 3, monkeypatch)
    waiting.join()
    assert waiting.most == 1
    assert not lock.exists()


def test_a_folder_in_place_of_a_lock_goes(store: DirectoryStore):
    lock = put(store).with_suffix(".lock")
    folder(lock)
    with store.compiling(KEY, FOREVER) as waited:
        assert not waited
    assert store.prune(FOREVER).orphans == [lock.name]
    assert not lock.exists()


def test_nobody_waits_for_ever(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(directory, "LONGEST_WAIT", 0.1)
    with store.compiling(KEY, FOREVER), store.compiling(KEY, FOREVER) as waited:
        assert waited
    assert "not waiting" in caplog.text


def test_without_locks_everybody_compiles(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with store.compiling(KEY, FOREVER) as one, store.compiling(KEY, FOREVER) as two:
        assert not one
        assert not two


def test_an_entry_of_holes_is_refused_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """4 GiB that take no room: half a minute of zeros to check, and as many to copy."""
    store = DirectoryStore(tmp_path)
    size = (4 << 30) - 4096
    head = b"".join(entry_chunks(KEY, Metadata(), b"enf"))[:HEADER_BYTES]
    head = head[:16] + head[16:32] + size.to_bytes(8, "little") + head[40:]
    assert read_header(head).program_bytes == size
    path = store._path(KEY)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(read_header(head).total)
    started = time.process_time()
    assert store.damage(KEY) == "it is mostly holes"
    assert store.get(KEY, -1, tmp_path / "out") is None
    assert time.process_time() - started < 1
    assert "it is mostly holes" in caplog.text
    assert not path.exists()


def test_some_holes_are_no_harm(tmp_path: Path):
    """File systems that compress make holes of zeros."""
    store = DirectoryStore(tmp_path)
    program = bytes(1 << 20) + b"data" + bytes(3 << 20)
    store.put(KEY, Metadata(), program, -1)
    path = store._path(KEY)
    data = path.read_bytes()
    with path.open("wb") as file:
        file.truncate(len(data))
        for at in range(0, len(data), 4096):
            if any(data[at : at + 4096]):
                file.seek(at)
                file.write(data[at : at + 4096])
    entry = store.get(KEY, -1)
    assert entry is not None
    assert entry.program == program
