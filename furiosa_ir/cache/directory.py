"""Compiled programs in a directory: one file an entry, written beside its place and renamed.

    ROOT/CACHEDIR.TAG
    ROOT/1/3f/3f9a...e1.entry      an entry (`cache.entry`); 1 is the entry format's version
    ROOT/1/3f/.3f9a...e1.x8k2      one that is being written
    ROOT/1/3f/3f9a...e1.lock       held by whoever compiles it

Readers need nothing but whole files, which renaming gives on local and on network file systems. A
file's time of modification says when its entry was last used; when it was made, its header says.
Times of access would not do: whatever lists entries reads them.

Locks are `flock`: the kernel takes them back from a process that dies. Who ends alive removes the
file, and those who wait for it all go on at once: what failed for one fails for the next one too,
and one behind the other they would wait for each failure. Where a file system has no locks,
everybody compiles.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import stat
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
    TooLarge,
    entry_chunks,
    read_entry,
    read_header,
)
from furiosa_ir.cache.store import (
    KEY,
    LONGEST_WAIT,
    Pruned,
    StoredEntry,
    StoreFailure,
    is_valid,
    pruned,
    superfluous,
)
from furiosa_ir.files import umask
from furiosa_ir.input_files import bytes_on_disk
from furiosa_ir.leftovers import leftover

_LOG = logging.getLogger(__name__)

_POLL = 0.02
"""Seconds between two tries to get a lock; they grow to ten times that."""
ORPHAN_AGE = 3600.0
"""Seconds after which a file that is being written counts as left behind."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Neither a symbolic link nor a FIFO in place of an entry leads anywhere."""
_FREE_HOLES = 64 << 20
_EXPANSION = 100
"""What is larger than the first may be no more than so many times as large as the bytes of it that
are on the disk: 4 KiB can claim 4 GiB, which take half a minute to check and to copy."""
_ENTRY = re.compile(rf"({KEY})\.entry")
_UNFINISHED = re.compile(rf"\.({KEY})\.[A-Za-z0-9_]+")
_LOCK = re.compile(rf"({KEY})\.lock")
"""Whoever may write to the directory may give files any names: others are not ours."""
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
        """See `Store.get`. The time of the use is noted, if the file system lets us."""
        path = self._path(key)
        try:
            with _opened(path) as (handle, state):
                try:
                    entry = _read(handle, state, key, file)
                except BadEntry as error:
                    _throw_away(path, state, error)
                    return None
                if is_valid(entry.created, lifetime):
                    with suppress(OSError):
                        os.utime(path, follow_symlinks=False)
                    return entry
                with suppress(OSError):
                    _remove(path, state)
        except _NothingThere:
            return None
        except OSError as error:
            raise _failure(error) from None
        return None

    def put(self, key: str, metadata: Metadata, program: Payload, lifetime: int) -> None:
        """See `Store.put`."""
        path = self._path(key)
        try:
            self._make_folder(path.parent)
            temporary = path.parent / f".{key}.{secrets.token_hex(8)}"
            # Known before it is there: a signal between the two leaves nothing.
            with leftover(lambda: temporary.unlink(missing_ok=True)):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                handle = os.open(temporary, flags, 0o600)
                with os.fdopen(handle, "wb") as file:
                    for chunk in entry_chunks(key, metadata, program):
                        file.write(chunk)
                    file.flush()
                    os.fsync(handle)
                    # Whoever may read the directory may read the entry, as far as the umask goes.
                    mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o666
                    os.fchmod(handle, mode & ~umask())
                try:
                    temporary.replace(path)
                except IsADirectoryError:
                    _remove(path)
                    temporary.replace(path)
            _sync_folder(path.parent)
        except TooLarge as error:
            raise StoreFailure(str(error)) from None
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
        if handle is None:
            yield waited
            return
        try:
            with leftover(lambda: _remove_held(path, handle)):
                yield waited
        finally:
            os.close(handle)

    def _lock(self, path: Path, key: str, lifetime: int) -> tuple[int | None, bool]:
        """(the lock's descriptor, whether it had to be waited for).

        No descriptor if an entry came first, or the holder ended without one, or the wait was too
        long. A holder who ended has removed the file that is waited for, a dead one has not.

        Raises:
            OSError: there are no locks here.
        """
        deadline, poll, waited = time.monotonic() + LONGEST_WAIT, _POLL, False
        handle = _open_lock(path)
        lock = None
        try:
            while time.monotonic() < deadline:
                with suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if not _is_at(os.fstat(handle), path):
                        return None, True
                    lock = handle
                    return lock, waited
                waited = True
                if self._is_there(key, lifetime):
                    return None, True
                time.sleep(poll)
                poll = min(poll * 1.5, 10 * _POLL)
        finally:
            if lock is None:
                os.close(handle)
        _LOG.warning("another process has been compiling for %d s; not waiting", LONGEST_WAIT)
        return None, True

    def _is_there(self, key: str, lifetime: int) -> bool:
        try:
            with _opened(self._path(key)) as (handle, _):
                created = _created(handle)
        except _NothingThere:
            return False
        return created is not None and is_valid(created, lifetime)

    def _files(self, names: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
        """(path, key) of what has such a name, in the folder where it belongs."""
        if self._root.exists() and not self._root.is_dir():
            raise StoreFailure("not a directory")
        try:
            for path in sorted(self._entries.glob("[0-9a-f][0-9a-f]/*")):
                match = names.fullmatch(path.name)
                if match and path.parent.name == match[1][:2]:
                    yield path, match[1]
        except OSError as error:
            raise _failure(error) from None

    def entries(self) -> Iterator[StoredEntry]:
        """See `Store.entries`."""
        for path, key in self._files(_ENTRY):
            try:
                with _opened(path) as (handle, state):
                    created = _created(handle)
            except _NothingThere:  # another process threw it away
                continue
            except OSError as error:
                raise _failure(error) from None
            used = state.st_mtime
            yield StoredEntry(key, state.st_size, used if created is None else created, used)

    def damage(self, key: str, file: Path | None = None) -> str | None:
        """See `Store.damage`."""
        try:
            with _opened(self._path(key)) as (handle, state):
                _read(handle, state, key, file or Path(os.devnull))
        except _NothingThere:
            return None
        except OSError as error:
            raise _failure(error) from None
        except BadEntry as error:
            return str(error)
        return None

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        try:
            _remove(self._path(key))
        except OSError as error:
            raise _failure(error) from None

    def prune(self, lifetime: int, max_size: int | None = None) -> Pruned:
        """See `Store.prune`. Locks that nobody holds go, and files an hour after their writing."""
        expired, evicted = superfluous(list(self.entries()), lifetime, max_size)
        for entry in (*expired, *evicted):
            self.delete(entry.key)
        orphans = [*self._remove_unfinished(), *self._remove_locks()]
        return pruned(expired, evicted, orphans)

    def clear(self) -> Pruned:
        """See `Store.clear`. What is being written now, and locks that are held, stay."""
        return self.prune(-1, -1)  # not even an empty file fits into less than nothing

    def _remove_unfinished(self) -> Iterator[tuple[str, int]]:
        for path, _ in self._files(_UNFINISHED):
            try:
                state = path.lstat()
                if time.time() - state.st_mtime > ORPHAN_AGE:
                    _remove(path)
                    yield path.name, state.st_size
            except FileNotFoundError:  # it was renamed, or another process threw it away
                continue
            except OSError as error:
                raise _failure(error) from None

    def _remove_locks(self) -> Iterator[tuple[str, int]]:
        for path, _ in self._files(_LOCK):
            with suppress(OSError):
                if not stat.S_ISREG(path.lstat().st_mode):
                    _remove(path)
                    yield path.name, 0
                    continue
                handle = _open_lock(path)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_at(os.fstat(handle), path):
                        path.unlink()
                        yield path.name, 0
                finally:
                    os.close(handle)

    def close(self) -> None:
        """Nothing is open."""


def _remove_held(path: Path, handle: int) -> None:
    """Removes a lock file while it is held: see `DirectoryStore._lock`."""
    with suppress(OSError):
        _remove(path, os.fstat(handle))


def _open_lock(path: Path) -> int:
    """A descriptor of a lock file, which is made if it is not there.

    Raises:
        OSError: it can neither be made nor opened.
    """
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o666
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, mode)
    except PermissionError:  # another user's: local file systems lock what can be read
        return os.open(path, os.O_RDONLY | flags)


class _NothingThere(Exception):
    """There is nothing at a path."""


@contextmanager
def _opened(path: Path) -> Generator[tuple[int | None, os.stat_result]]:
    """(a descriptor, its state) of what is at a path.

    No descriptor if it is anything but a file, or a file that others must not read: whoever may
    write to the directory can put that there.

    Raises:
        _NothingThere: there is nothing.
        OSError: it cannot be opened.
    """
    handle = None
    try:
        try:
            handle = os.open(path, _READ)
            state = os.fstat(handle)
        except FileNotFoundError:
            raise
        except OSError as error:
            state = path.lstat()
            if stat.S_ISREG(state.st_mode) and not isinstance(error, PermissionError):
                raise
    except FileNotFoundError:
        raise _NothingThere from None
    try:
        yield handle if stat.S_ISREG(state.st_mode) else None, state
    finally:
        if handle is not None:
            os.close(handle)


def _read(handle: int | None, state: os.stat_result, key: str, file: Path | None = None) -> Entry:
    """The entry in what `_opened` gives; see `read_entry`.

    Files are read rather than mapped: a mapped file that somebody cuts short kills the process.
    """
    if stat.S_ISLNK(state.st_mode):
        raise BadEntry("it is a symbolic link")
    if not stat.S_ISREG(state.st_mode):
        raise BadEntry("it is no file")
    if handle is None:
        raise BadEntry("it must not be read")
    if state.st_size > max(_FREE_HOLES, _EXPANSION * bytes_on_disk(handle, state.st_size)):
        raise BadEntry("it is mostly holes")
    with open(handle, "rb", buffering=0, closefd=False) as source:
        return read_entry(source, state.st_size, key, file)


def _created(handle: int | None) -> float | None:
    """When the entry in what `_opened` gives was made; None if it has no sound header."""
    try:
        return None if handle is None else read_header(os.pread(handle, 256, 0)).created
    except (BadEntry, OSError):
        return None


def _throw_away(path: Path, state: os.stat_result, error: BadEntry) -> None:
    """Throws a damaged entry away.

    Raises:
        StoreFailure: that is impossible, and it will be met again.
    """
    try:
        _remove(path, state)
    except OSError as obstacle:
        raise StoreFailure(
            f"an entry is damaged ({error}) and cannot be thrown away: {_failure(obstacle)}"
        ) from None
    _LOG.warning("the cache entry %s is thrown away: %s", path, error)


def _remove(path: Path, state: os.stat_result | None = None) -> None:
    """Removes what is at a path, if anything; a folder with all that is in it.

    Args:
        path: of a name that only entries and locks have.
        state: of what has to go; what another process has put in its place stays.
    """
    if state is not None and not _is_at(state, path):
        return
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_at(state: os.stat_result, path: Path) -> bool:
    """Whether something is still what there is at a path."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return (state.st_dev, state.st_ino) == (there.st_dev, there.st_ino)


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last through a power cut; not every file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _failure(error: OSError) -> StoreFailure:
    return StoreFailure((error.strerror or str(error)).lower())
