"""Output files: whole or not at all, and private until they are whole."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from furiosa_ir.errors import FuriosaError


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error.

    Nobody else can open it until then (its name cannot be foreseen, its permissions are 0600);
    then it has those that the umask gives a new file. The block may write it or replace it.

    Raises:
        OSError: the folder cannot be written to.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def umask() -> int:
    """The permissions that new files of this process do not get.

    Read from where Linux shows it: setting it to ask for it would change it for other threads.
    """
    try:
        status = Path("/proc/self/status").read_bytes()
    except OSError:  # no /proc: private is never wrong
        return 0o077
    found = re.search(rb"^Umask:\s*([0-7]+)$", status, re.MULTILINE)
    return 0o077 if found is None else int(found[1], 8)


def write_whole(data: bytes | memoryview, path: Path) -> None:
    """Writes a file by renaming a complete one, so that nobody ever sees half of it.

    Raises:
        FuriosaError: the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise FuriosaError(f"cannot be written: {error.strerror}", file=str(path)) from None


def check_writable(path: Path) -> None:
    """Whether a file can be written there, before anything expensive is done for it.

    Raises:
        FuriosaError: it is a directory, or its directory is missing or read only.
    """
    folder = path.parent
    reason = None
    if path.is_dir():
        reason = "it is a directory"
    elif not folder.is_dir():
        reason = f"there is no directory {folder}"
    elif not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        reason = "permission denied"
    if reason is not None:
        raise FuriosaError(f"cannot be written: {reason}", file=str(path))
