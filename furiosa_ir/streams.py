"""Outputs that are written to, never replaced: standard output, open descriptors, devices.

`/dev/stdout`, `/dev/fd/N` and `/proc/self/fd/N` are links to what is open already, and a link to
one of them is one as well. To rename a file onto such a path would replace the device, for
everybody, where the process may do that.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

_MOST_LINKS = 40  # as Linux
_OPEN_FILE = re.compile(r"/proc/(self|thread-self|\d+)(?:/task/\d+)?/fd/(\d+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


@dataclass(frozen=True)
class Stream:
    """Something that is written to.

    Attributes:
        path: as it was given.
        descriptor: of this process; None for a device, which is opened.
    """

    path: Path
    descriptor: int | None

    @property
    def is_terminal(self) -> bool:
        """Whether what is written is shown, and acted upon, by a terminal."""
        if self.descriptor is not None:
            return os.isatty(self.descriptor)
        handle = os.open(self.path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.isatty(handle)
        finally:
            os.close(handle)

    @contextmanager
    def opened(self) -> Generator[BinaryIO]:
        """The stream for writing; it stays open if it was.

        Raises:
            OSError: it is not open, or cannot be written to.
        """
        # Whoever has put something else in the place of standard output means this too.
        buffer = getattr(sys.stdout, "buffer", None) if self.descriptor == 1 else None
        if buffer is not None:
            sys.stdout.flush()
            yield cast("BinaryIO", buffer)
            buffer.flush()
            return
        if self.descriptor is None:
            handle = os.open(self.path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        else:
            handle = os.dup(self.descriptor)
        with open(handle, "wb") as file:  # noqa: PTH123  # a descriptor
            yield file

    def copy(self, source: Path) -> None:
        """Writes the content of a file.

        Raises:
            OSError: as `opened`.
        """
        with source.open("rb") as content, self.opened() as file:
            while piece := content.read(1 << 20):
                file.write(piece)


def stream_at(path: Path) -> Stream | None:
    """What is at a path, if that is written to; None for a file, or nothing, which is replaced.

    Raises:
        OSError: it is a pipe, a socket, a disk, what another process has open, or a descriptor
            that is closed or for reading.
    """
    descriptor = descriptor_at(path)
    if descriptor is not None:
        try:
            mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError as error:
            raise OSError(error.errno, "nothing is open there", str(path)) from None
        if mode == os.O_RDONLY:
            raise OSError(errno.EBADF, "it is open for reading only", str(path))
        return Stream(path, descriptor)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    if not stat.S_ISCHR(mode):
        reason = "it is a device, a pipe or a socket, which a file would replace"
        raise OSError(errno.EINVAL, reason, str(path))
    return Stream(path, None)


def descriptor_at(path: Path) -> int | None:
    """The descriptor of this process that a path is a name of, through any links.

    Raises:
        OSError: it is one of another process.
    """
    for _ in range(_MOST_LINKS):
        known = _STANDARD.get(os.path.abspath(path))  # noqa: PTH100  # the link is what counts
        if known is not None:  # also where nobody has mounted /dev and /proc
            return known
        place = Path(os.path.realpath(path.parent), path.name)
        found = _OPEN_FILE.fullmatch(str(place))
        if found:
            if found[1].isdigit() and int(found[1]) != os.getpid():
                raise OSError(errno.EINVAL, "another process has it open", str(path))
            return int(found[2])
        try:
            path = place.parent / place.readlink()
        except OSError:
            return None
    return None
