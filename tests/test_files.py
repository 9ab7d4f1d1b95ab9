"""Files appear whole, with the process's permissions, and under no name that can be guessed."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from furiosa_ir import files
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.writer import save_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_distinct, check_writable, replacing, write_whole
from furiosa_ir.importers import load
from furiosa_ir.ir.constant_file import write_constants
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.text import write_module
from tests.conftest import DIGITS


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


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("other", ["a", "b/../a", "soft"])
def test_outputs_are_no_inputs(tmp_path: Path, there: bool, other: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "soft").symlink_to("a")
    if there:
        (tmp_path / "a").touch()
    a, same = tmp_path / "a", tmp_path / other
    check_distinct([a, tmp_path / "c"], [tmp_path / "d", tmp_path / "b"])
    for one, two in ((a, same), (same, a)):
        with pytest.raises(FuriosaError, match="cannot be written: the output would replace an in"):
            check_distinct([tmp_path / "c", one], [two])
        with pytest.raises(FuriosaError, match="cannot be written: it is the name of two outputs"):
            check_distinct([one, two], [])


def test_hard_links_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.link(tmp_path / "a", tmp_path / "hard")
    with pytest.raises(FuriosaError, match=r"would replace an input, .*/a \("):
        check_distinct([tmp_path / "hard"], [tmp_path / "a"])


def test_every_writer_refuses_a_pipe(tmp_path: Path) -> None:
    """Constants and programs raise OSError, as their callers expect."""
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "x.safetensors")
    program = read_program(compile_model(DIGITS / "digits_int8.tflite"))
    module = load(DIGITS / "digits_int8.tflite")
    for name in ("pipe", "x.mlir"):
        with pytest.raises(FuriosaError, match="cannot be written: it is a device, a pipe"):
            write_module(module, tmp_path / name)
    for write in (
        lambda path: write_constants([Constant(np.arange(99))], path),
        lambda path: save_program(program, path),
    ):
        with pytest.raises(OSError, match="it is a device, a pipe or a socket"):
            write(tmp_path / "pipe")
    assert {p.name for p in tmp_path.iterdir()} == {"pipe", "x.safetensors"}
    assert (tmp_path / "pipe").is_fifo()
