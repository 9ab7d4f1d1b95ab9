"""Files appear whole, with the process's permissions, and under no name that can be guessed."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from furiosa_ir import files
from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_writable, replacing, write_whole
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


@pytest.mark.parametrize("made", ["pipe", "a link to a pipe"])
def test_devices_and_pipes_are_not_replaced(tmp_path: Path, made: str) -> None:
    """As root, `-o /dev/null` would take the device away from everybody."""
    path = pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if made != "pipe":
        path = tmp_path / "link"
        path.symlink_to(pipe)
    with pytest.raises(FuriosaError, match="cannot be written: it is a device, a pipe"):
        check_writable(path)
    with pytest.raises(FuriosaError, match="cannot be written: it is a device, a pipe"):
        write_whole(b"data", path)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int) -> None:
    old = os.umask(mask)
    try:
        write_whole(b"x", tmp_path / "ours")
        (tmp_path / "any").touch()
        assert files.umask() == mask
    finally:
        os.umask(old)
    assert mode(tmp_path / "ours") == mode(tmp_path / "any") == 0o666 & ~mask


def test_asking_for_the_umask_sets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads would meet it; and two that set it at once may leave it set for good."""

    def refuse(mask: int) -> int:
        raise AssertionError(mask)

    monkeypatch.setattr(os, "umask", refuse)
    write_whole(b"x", tmp_path / "file")
    assert files.umask() >= 0
