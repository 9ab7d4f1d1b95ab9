"""Files appear whole, with the process's permissions, and under no name that can be guessed."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from furiosa_ir import files
from furiosa_ir.files import replacing, write_whole
from furiosa_ir.ir.constant_file import write_constants
from furiosa_ir.ir.constants import Constant


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_private_while_written_then_as_the_umask_says(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "out"
    old = os.umask(mask)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(b"x")
            assert [temporary] == list(tmp_path.iterdir())
            assert mode(temporary) == 0o600
            assert not path.exists()
    finally:
        os.umask(old)
    assert mode(path) == 0o666 & ~mask
    assert path.read_bytes() == b"x"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with suppress(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b"new" + bytes(1 // 0))
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_whole(b"data", path),
        lambda path: write_constants([Constant(np.arange(99))], path),
    ],
)
def test_a_link_laid_for_the_temporary_file_is_not_followed(tmp_path: Path, write) -> None:
    """The name used to be that of the file and the process."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f".out.{os.getpid()}.tmp").symlink_to(victim)
    write(folder / "out")
    assert victim.read_bytes() == b"precious"
    assert (folder / "out").is_file()


def test_a_link_in_place_of_the_file_is_replaced(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "out"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)
    write_whole(b"data", path)
    assert victim.read_bytes() == b"precious"
    assert not path.is_symlink()


def test_the_umask_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    before = files.umask()

    def refuse(*_args: object, **_kwargs: object) -> bytes:
        raise OSError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert files.umask() == before
    assert files.umask() == before
