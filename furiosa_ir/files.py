"""Output files: whole or not at all, and private until they are whole.

A path that is standard output, an open descriptor or a device is written to (`streams`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from furiosa_ir.errors import FuriosaError
from furiosa_ir.streams import Stream, stream_at
from furiosa_ir.unfinished import unfinished_file


def _temporary_folder() -> Path:
    import tempfile  # noqa: PLC0415  # 3 ms that files which replace others do not need

    return Path(tempfile.gettempdir())


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error.

    Nobody else can open it until then (its name cannot be foreseen, its permissions are 0600);
    then it has those that the umask gives a new file. The block writes it, and puts no other file
    in its place. Of what is written to, rather than replaced, its content is a copy.

    Raises:
        OSError: the folder cannot be written to, or something else than a file is at `path`.
    """
    stream = stream_at(path)
    folder = path.parent if stream is None else _temporary_folder()
    with unfinished_file(folder, path.name) as temporary:
        yield temporary
        if stream is None:
            temporary.chmod(0o666 & ~umask())
            temporary.replace(path)
        else:
            stream.copy(temporary)


@contextmanager
def whole_file(path: Path) -> Generator[BinaryIO]:
    """As `replacing`, the temporary file being open for writing.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    with replacing(path) as temporary, temporary.open("r+b") as file:
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
        BrokenPipeError: it is a pipe that nobody reads any more.
    """
    try:
        with whole_file(path) as file:
            file.write(data)
    except OSError as error:
        raise write_failure(path, error) from None


def write_failure(path: Path, error: OSError) -> FuriosaError | BrokenPipeError:
    """What to raise where a file could not be written.

    A reader who has seen enough (`| head -1`) is nothing to complain about: that stays what it is.
    """
    if isinstance(error, BrokenPipeError):
        return error
    return FuriosaError(f"cannot be written: {error.strerror}", file=str(path))


def check_writable(path: Path) -> Stream | None:
    """Whether a file can be written there, before anything expensive is done for it.

    Returns:
        What is there, if that is written to rather than replaced.

    Raises:
        FuriosaError: it is a directory, a disk or a pipe, or its directory is missing or read
            only.
    """
    folder = path.parent
    reason = stream = None
    try:
        stream = stream_at(path)
        if stream is not None:
            if stream.descriptor is None and not os.access(path, os.W_OK):
                reason = "permission denied"
        elif path.is_dir():
            reason = "it is a directory"
        elif not folder.is_dir():
            reason = f"there is no directory {folder}"
        elif not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            reason = "permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is not None:
        raise FuriosaError(f"cannot be written: {reason[:1].lower()}{reason[1:]}", file=str(path))
    return stream


def refuse_terminal(stream: Stream | None) -> None:
    """Refuses to write what is no text to a terminal, which would act upon some of it.

    Raises:
        FuriosaError: the stream is one.
    """
    if stream is not None and stream.is_terminal:
        raise FuriosaError(
            "cannot be written: it is a terminal", file=str(stream.path), hint="redirect it"
        )


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
        state = one.stat()
        # A terminal may be input and output, and /dev/null takes everything.
        return os.path.samestat(state, other.stat()) and not stat.S_ISCHR(state.st_mode)
    except OSError:  # one is not there yet
        return os.path.realpath(one) == os.path.realpath(other)  # of a loop of links, too
