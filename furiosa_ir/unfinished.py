"""Files that are being written: under a name of their own, locked as long as their writer lives.

    .NAME.0123456789abcdef.furiosa.tmp

The kernel gives a lock (`flock`) back when its process dies, however it dies. So whoever comes next
can tell what a killed process left behind from what another one is writing, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from furiosa_ir.leftovers import leftover

_NAME = re.compile(r"\..*\.[0-9a-f]{16}\.furiosa\.tmp", re.DOTALL)
_LONGEST = 100
"""Bytes of the output's name that the temporary one has: 255 are the most that a name may have."""
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def unfinished_file(folder: Path, name: str) -> Generator[Path]:
    """A new, empty file that only this user may open, and that is gone when the block ends.

    The block may write it and rename it. It must not put another file in its place, which nobody
    would have locked.

    Args:
        folder: where it is.
        name: what it is to become.

    Raises:
        OSError: the folder cannot be written to.
    """
    remove_unfinished(folder)
    stem = os.fsencode(name)[:_LONGEST].decode(errors="ignore")
    while True:
        path = folder / f".{stem}.{os.urandom(8).hex()}.furiosa.tmp"
        # Known before it is there: a signal between the two leaves nothing.
        with leftover(lambda path=path: path.unlink(missing_ok=True)):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(handle, fcntl.LOCK_EX)
                if os.fstat(handle).st_nlink == 0:
                    continue  # taken for a dead process's before it was locked
                yield path
                return
            finally:
                os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Removes this user's unfinished files in a folder whose writers are dead."""
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208  # names alone: the folder may be large
            if name[0] == "." and _NAME.fullmatch(name):
                with suppress(OSError):
                    _remove_if_dead(folder / name)


def _remove_if_dead(path: Path) -> None:
    """Removes an unfinished file, if nobody has it locked.

    Raises:
        OSError: somebody has, or there are no locks here, or it is not there any more.
    """
    there = path.lstat()
    if not stat.S_ISREG(there.st_mode) or there.st_uid != os.geteuid():
        return
    handle = os.open(path, os.O_RDWR | _FLAGS)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.lstat()):
            path.unlink()
    finally:
        os.close(handle)
