"""Files that are read: regular ones. A pipe keeps its reader waiting, and a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_input(path: Path) -> BinaryIO:
    """A regular file for reading, through whatever links.

    Raises:
        OSError: it is something else, or is not there, or may not be read.
    """
    # Nobody waits for a pipe's writer; of a file the flag means nothing.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def bytes_on_disk(handle: int, size: int) -> int:
    """How many bytes of an open file are on the disk; all of them where nobody can tell.

    The others are holes: 4 KiB can claim gigabytes of zeros. `st_blocks` would not do: it is late
    on ZFS and btrfs, and counts compressed bytes there. Those file systems also make holes of zeros
    that were written.

    Args:
        handle: its descriptor, which stands at the first byte afterwards.
        size: of the file.
    """
    count = end = 0
    try:
        while end < size:
            begin = os.lseek(handle, end, os.SEEK_DATA)
            end = os.lseek(handle, begin, os.SEEK_HOLE)
            count += end - begin
    except OSError as error:
        if error.errno != errno.ENXIO:  # there is no more data
            return size
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
    return count
