"""What a process would leave behind if it ended now, and how that is taken away.

Whoever makes something that must not outlive the work (a file that is not whole yet, a lock) says
so for as long as it is there. A command that is told to end (`tools.signals`) and cannot wait for
the work to unwind calls `take_away_leftovers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_LEFTOVERS: dict[object, Callable[[], object]] = {}


@contextmanager
def leftover(take_away: Callable[[], object]) -> Generator[None]:
    """Something is there, or may be, while the block goes on, and is taken away behind it.

    Args:
        take_away: takes it away, if it is there; may be called twice, and from another thread.
    """
    key = object()
    _LEFTOVERS[key] = take_away
    try:
        yield
    finally:
        try:
            take_away()
        finally:
            del _LEFTOVERS[key]


@contextmanager
def temporary_folder() -> Generator[Path]:
    """A folder that is gone, with all that is in it, when the block ends."""
    import shutil  # noqa: PLC0415  # 3 ms that a plain compile does not need
    import tempfile  # noqa: PLC0415

    folder = Path(tempfile.gettempdir()) / f"furiosa.{os.urandom(8).hex()}"
    with leftover(lambda: shutil.rmtree(folder, ignore_errors=True)):
        folder.mkdir(0o700)
        yield folder


def take_away_leftovers() -> None:
    """Takes away what is there at this moment; what cannot be taken away stays."""
    for take_away in list(_LEFTOVERS.values()):
        with suppress(Exception):
            take_away()
