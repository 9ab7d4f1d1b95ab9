"""Compiled programs in a directory: one file an entry, written beside its place and renamed.

    ROOT/CACHEDIR.TAG
    ROOT/1/3f/3f9a...e1.entry      an entry (`cache.entry`); 1 is the entry format's version
    ROOT/1/3f/.3f9a...e1.x8k2      one that is being written
    ROOT/1/3f/3f9a...e1.lock       held by whoever compiles it

Readers need nothing but whole files, which renaming gives on local and on network file systems.
Locks are `flock`: the kernel takes them back from a process that dies. Where a file system has
none, everybody compiles.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from furiosa_ir.cache.entry import (
    VERSION,
    BadEntry,
    Entry,
    Metadata,
    Payload,
    entry_chunks,
    read_entry,
    read_header,
)
from furiosa_ir.cache.store import (
    LONGEST_WAIT,
    Pruned,
    StoredEntry,
    StoreFailure,
    is_valid,
    least_recently_used,
)
from furiosa_ir.files import umask

_LOG = logging.getLogger(__name__)

_POLL = 0.02
"""Seconds between two tries to get a lock; they grow to ten times that."""
ORPHAN_AGE = 3600.0
"""Seconds after which a file that is being written counts as left behind."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Neither a symbolic link nor a FIFO in place of an entry leads anywhere."""
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Compiled programs of furiosa-ir (https://bford.info/cachedir/).\n"
)


class DirectoryStore:
    """A store in a directory, which is made when something is first written.

    Args:
        root: the directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries = root / str(VERSION)

    def __str__(self) -> str:
        return str(self._root)

    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / f"{key}.entry"

    def get(self, key: str, lifetime: int, file: Path | None = None) -> Entry | None:
        """See `Store.get`. The time of the last use is noted, if the file system lets us."""
        path = self._path(key)
        try:
            handle = os.open(path, _READ)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(error) from None
        try:
            with open(handle, "rb", buffering=0) as source:  # noqa: PTH123  # a descriptor
                try:
                    entry = read_entry(source, _size(handle), key, file)
                except BadEntry as error:
                    _throw_away(path, handle, error)
                    return None
                if is_valid(entry.created, lifetime):
                    with suppress(OSError):
                        os.utime(handle, ns=(time.time_ns(), os.fstat(handle).st_mtime_ns))
                    return entry
                with suppress(OSError):
                    _unlink(path, handle)
        except OSError as error:
            raise _failure(error) from None
        return None

    def put(self, key: str, metadata: Metadata, program: Payload, lifetime: int) -> None:
        """See `Store.put`."""
        path = self._path(key)
        try:
            self._make_folder(path.parent)
            handle, name = tempfile.mkstemp(prefix=f".{key}.", dir=path.parent)
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    for chunk in entry_chunks(key, metadata, program):
                        file.write(chunk)
                    file.flush()
                    os.fsync(handle)
                    # Whoever may read the directory may read the entry, as far as the umask goes.
                    mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o666
                    os.fchmod(handle, mode & ~umask())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except OSError as error:
            raise _failure(error) from None

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        # What we make is ours alone; a directory that is there keeps its permissions, and those
        # below take them over.
        if not self._root.is_dir():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(self._root.stat().st_mode)
        for inner in (self._entries, folder):
            with suppress(FileExistsError):
                inner.mkdir()
                inner.chmod(mode)
        with suppress(OSError), (self._root / "CACHEDIR.TAG").open("x") as tag:
            tag.write(_TAG)

    @contextmanager
    def compiling(self, key: str, lifetime: int) -> Generator[bool]:
        """See `Store.compiling`."""
        path = self._path(key).with_suffix(".lock")
        handle, waited = None, False
        try:
            self._make_folder(path.parent)
            handle, waited = self._lock(path, key, lifetime)
        except OSError as error:
            # Read-only directories have no locks, nor do some network file systems.
            _LOG.debug("no lock in %s: %s", path.parent, error)
        try:
            yield waited
        finally:
            if handle is not None:
                with suppress(OSError):
                    path.unlink()  # while it is held: who waits for it sees that it is gone
                os.close(handle)

    def _lock(self, path: Path, key: str, lifetime: int) -> tuple[int | None, bool]:
        """(the lock's descriptor, whether it had to be waited for).

        No descriptor if an entry came first, or the wait was too long.

        Raises:
            OSError: there are no locks here.
        """
        deadline, poll, waited = time.monotonic() + LONGEST_WAIT, _POLL, False
        while time.monotonic() < deadline:
            handle = _open_lock(path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(handle, path):
                    return handle, waited
            except BlockingIOError:
                pass
            except OSError:
                os.close(handle)
                raise
            os.close(handle)
            waited = True
            if self._is_there(key, lifetime):
                return None, True
            time.sleep(poll)
            poll = min(poll * 1.5, 10 * _POLL)
        _LOG.warning("another process has been compiling for %d s; not waiting", LONGEST_WAIT)
        return None, True

    def _is_there(self, key: str, lifetime: int) -> bool:
        header = self._header(self._path(key))
        return header is not None and is_valid(header[0], lifetime)

    @staticmethod
    def _header(path: Path) -> tuple[float, os.stat_result] | None:
        """(when an entry was made, its file's state); None if it has no sound header.

        Raises:
            OSError: it cannot be read.
        """
        try:
            handle = os.open(path, _READ)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(handle)
            try:
                return read_header(file.read(256)).created, state
            except (BadEntry, BlockingIOError):
                return None

    def _files(self, pattern: str) -> Iterator[Path]:
        try:
            yield from sorted(self._entries.glob(f"[0-9a-f][0-9a-f]/{pattern}"))
        except OSError as error:
            raise _failure(error) from None

    def entries(self) -> Iterator[StoredEntry]:
        """See `Store.entries`."""
        for path in self._files("*.entry"):
            try:
                header = self._header(path)
                state = header[1] if header else path.lstat()
            except FileNotFoundError:  # another process threw it away
                continue
            except OSError as error:
                raise _failure(error) from None
            created = header[0] if header else state.st_mtime
            used = max(state.st_atime, state.st_mtime)
            yield StoredEntry(path.stem, state.st_size, created, used)

    def damage(self, key: str) -> str | None:
        """See `Store.damage`."""
        try:
            handle = os.open(self._path(key), _READ)
            with open(handle, "rb", buffering=0) as source:  # noqa: PTH123  # a descriptor
                read_entry(source, _size(handle), key, Path(os.devnull))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(error) from None
        except BadEntry as error:
            return str(error)
        return None

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise _failure(error) from None

    def prune(self, lifetime: int, max_size: int | None = None) -> Pruned:
        """See `Store.prune`. Locks that nobody holds go, and files an hour after their writing."""
        stored = list(self.entries())
        expired = [e for e in stored if lifetime > 0 and not is_valid(e.created, lifetime)]
        gone = {e.key for e in expired}
        kept = [e for e in stored if e.key not in gone]
        evicted = [] if max_size is None else least_recently_used(kept, max_size)
        for entry in (*expired, *evicted):
            self.delete(entry.key)
        orphans = [*self._remove_unfinished(), *self._remove_locks()]
        return Pruned(
            [e.key for e in expired],
            [e.key for e in evicted],
            [name for name, _ in orphans],
            sum(e.size for e in (*expired, *evicted)) + sum(size for _, size in orphans),
        )

    def _remove_unfinished(self) -> Iterator[tuple[str, int]]:
        for path in self._files(".*"):
            try:
                state = path.lstat()
                if time.time() - state.st_mtime > ORPHAN_AGE:
                    path.unlink()
                    yield path.name, state.st_size
            except FileNotFoundError:  # it was renamed, or another process threw it away
                continue
            except OSError as error:
                raise _failure(error) from None

    def _remove_locks(self) -> Iterator[tuple[str, int]]:
        for path in self._files("*.lock"):
            with suppress(OSError):
                handle = _open_lock(path)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_at(handle, path):
                        path.unlink()
                        yield path.name, 0
                finally:
                    os.close(handle)

    def close(self) -> None:
        """Nothing is open."""


def _open_lock(path: Path) -> int:
    """A descriptor of a lock file, which is made if it is not there.

    Raises:
        OSError: it can neither be made nor opened.
    """
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o666
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, mode)
    except PermissionError:  # another user's: local file systems lock what can be read
        return os.open(path, os.O_RDONLY | flags)


def _size(handle: int) -> int:
    """Bytes of an open file.

    Files are read rather than mapped: a mapped file that somebody cuts short kills the process.

    Raises:
        BadEntry: it is no regular file.
    """
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode):
        raise BadEntry("it is no file")
    return state.st_size


def _throw_away(path: Path, handle: int, error: BadEntry) -> None:
    """Throws a damaged entry away.

    Raises:
        StoreFailure: that is impossible, and it will be met again.
    """
    try:
        _unlink(path, handle)
    except OSError as obstacle:
        raise StoreFailure(
            f"an entry is damaged ({error}) and cannot be thrown away: {_failure(obstacle)}"
        ) from None
    _LOG.warning("the cache entry %s is thrown away: %s", path, error)


def _unlink(path: Path, handle: int) -> None:
    """Removes a file, unless another process has put a new one in its place."""
    if _is_at(handle, path):
        path.unlink(missing_ok=True)


def _is_at(handle: int, path: Path) -> bool:
    """Whether a descriptor's file is still the one at a path."""
    mine = os.fstat(handle)
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last through a power cut; not every file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _failure(error: OSError) -> StoreFailure:
    if error.errno == errno.ELOOP:
        return StoreFailure("an entry is a symbolic link")
    return StoreFailure((error.strerror or str(error)).lower())
