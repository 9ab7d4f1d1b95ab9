"""Output files: whole or not at all, and private until they are whole."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from furiosa_ir.errors import FuriosaError

_SPECIAL = "it is a device, a pipe or a socket, which a file would replace"


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error.

    Nobody else can open it until then (its name cannot be foreseen, its permissions are 0600);
    then it has those that the umask gives a new file. The block may write it or replace it.

    Raises:
        OSError: the folder cannot be written to, or something else than a file is at `path`.
    """
    if _is_special(path):
        raise OSError(errno.EINVAL, _SPECIAL, str(path))
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Generator[BinaryIO]:
    """As `replacing`, the temporary file being open for writing.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file


def umask() -> int:
    """The process's umask, where the system tells without changing it: threads share it."""
    try:
        status = Path("/proc/self/status").read_bytes()
        return int(status.partition(b"\nUmask:")[2].split()[0], 8)
    except (OSError, IndexError, ValueError):
        mask = os.umask(0o077)
        os.umask(mask)
        return mask


def write_whole(data: bytes | memoryview, path: Path) -> None:
    """Writes a file by renaming a complete one, so that nobody ever sees half of it.

    Raises:
        FuriosaError: the file cannot be written.
    """
    try:
        with whole_file(path) as file:
            file.write(data)
    except OSError as error:
        raise FuriosaError(f"cannot be written: {error.strerror}", file=str(path)) from None


def check_writable(path: Path) -> None:
    """Whether a file can be written there, before anything expensive is done for it.

    Raises:
        FuriosaError: it is a directory, a device or a pipe, or its directory is missing or read
            only.
    """
    folder = path.parent
    reason = None
    if path.is_dir():
        reason = "it is a directory"
    elif _is_special(path):
        reason = _SPECIAL
    elif not folder.is_dir():
        reason = f"there is no directory {folder}"
    elif not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        reason = "permission denied"
    if reason is not None:
        raise FuriosaError(f"cannot be written: {reason}", file=str(path))


def check_distinct(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Whether no output takes the place of an input or of another output, under whatever names.

    Raises:
        FuriosaError: one does; links of both kinds to one file are that file.
    """
    taken = [(path, "the output would replace an input") for path in inputs]
    for output in outputs:
        for other, reason in taken:
            if _is_same(output, other):
                alias = "" if str(other) == str(output) else f", {other}"
                raise FuriosaError(
                    f"cannot be written: {reason}{alias}",
                    file=str(output),
                    hint="give another name",
                )
        taken.append((output, "it is the name of two outputs"))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one is not there yet
        return one.resolve() == other.resolve()


def _is_special(path: Path) -> bool:
    """Whether something else than a file or a directory is there, such as /dev/null."""
    return path.exists() and not path.is_file() and not path.is_dir()
