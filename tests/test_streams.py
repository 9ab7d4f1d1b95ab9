"""What is written to is never replaced: standard output, descriptors, devices, links to them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from furiosa_ir import streams
from furiosa_ir.arrays import read_arrays, write_arrays
from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.writer import save_program
from furiosa_ir.compiler import compile_model
from furiosa_ir.errors import FuriosaError
from furiosa_ir.files import check_distinct, check_writable, refuse_terminal, write_whole
from furiosa_ir.importers import load
from furiosa_ir.ir.constant_file import write_constants
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.text import print_module, write_module
from tests.conftest import DIGITS

DEVICE = (stat.S_IFCHR | 0o666, os.makedev(1, 3))
ENF = compile_model(DIGITS / "digits_int8.tflite")
MODULE = load(DIGITS / "digits_int8.tflite")

WRITERS: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "bytes": (lambda path: write_whole(b"data", path), b"data"),
    "program": (lambda path: save_program(read_program(ENF), path), ENF),
    "text": (lambda path: write_module(MODULE, path), print_module(MODULE).encode() + b"\n"),
}


@contextmanager
def names_of(descriptor: int, folder: Path) -> Iterator[list[Path]]:
    """Everything that an open descriptor can be called."""
    link, far, beside = folder / "link", folder / "far", folder / "beside"
    link.symlink_to(f"/dev/fd/{descriptor}")
    far.symlink_to("link")
    beside.symlink_to("/proc/self/fd")
    yield [
        Path(f"/dev/fd/{descriptor}"),
        Path(f"/proc/self/fd/{descriptor}"),
        Path(f"/proc/{os.getpid()}/fd/{descriptor}"),
        Path(f"/proc/thread-self/fd/{descriptor}"),
        Path(f"/dev/../dev/fd/{descriptor}"),
        *(link, far, beside / str(descriptor)),
    ]
    assert link.is_symlink()
    assert far.is_symlink()


@pytest.mark.parametrize("kind", WRITERS)
def test_a_descriptor_is_written_to(tmp_path: Path, kind: str) -> None:
    write, expected = WRITERS[kind]
    target = tmp_path / "target"
    for flags in (os.O_TRUNC, os.O_APPEND):
        handle = os.open(target, os.O_CREAT | os.O_WRONLY | flags)
        before = os.fstat(handle).st_ino
        folder = tmp_path / str(flags)
        folder.mkdir()
        with names_of(handle, folder) as names:
            for number, name in enumerate(names):
                assert check_writable(name) is not None
                os.truncate(target, 0)
                os.lseek(handle, 0, os.SEEK_SET)
                os.write(handle, b"first ")
                write(name)
                os.write(handle, b" last")
                assert target.read_bytes() == b"first " + expected + b" last", number
        assert target.stat().st_ino == before
        os.close(handle)
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".")]


def test_a_pipe_that_is_open_is_written_to() -> None:
    read, write = os.pipe()
    write_whole(b"data", Path(f"/dev/fd/{write}"))
    os.close(write)
    assert os.read(read, 100) == b"data"
    os.close(read)


def test_standard_output_is_what_the_process_takes_for_it(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    print("before", end="")
    write_whole(b"\xff\x00", Path("/dev/stdout"))
    assert capsysbinary.readouterr().out == b"before\xff\x00"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices, or replace them")
@pytest.mark.parametrize("kind", WRITERS)
def test_devices_are_written_to(tmp_path: Path, kind: str) -> None:
    null, link = tmp_path / "null", tmp_path / "link"
    try:
        os.mknod(null, *DEVICE)
        null.write_bytes(b"")
    except OSError as error:
        pytest.skip(f"no devices here: {error}")
    link.symlink_to("null")
    for path in (null, link):
        assert check_writable(path) is not None
        WRITERS[kind][0](path)
    assert stat.S_ISCHR(null.stat().st_mode)
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "null"]


def test_a_full_device_is_an_error() -> None:
    for kind, (write, _) in WRITERS.items():
        with pytest.raises((FuriosaError, OSError), match="No space left on device"):
            write(Path("/dev/full"))
        assert stat.S_ISCHR(Path("/dev/full").stat().st_mode), kind


def test_arrays_and_constants_too(tmp_path: Path) -> None:
    target = tmp_path / "target"
    x = np.arange(99)
    with target.open("wb") as file:
        write_arrays([("x", x)], Path(f"/dev/fd/{file.fileno()}"))
    np.testing.assert_array_equal(read_arrays(target)["x"], x)
    with target.open("wb") as file:
        write_constants([Constant(x)], Path(f"/dev/fd/{file.fileno()}"))
    write_constants([Constant(x)], tmp_path / "other")
    assert target.read_bytes() == (tmp_path / "other").read_bytes()


def test_what_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(write)
    closed = Path(f"/dev/fd/{write}")
    (tmp_path / "loop").symlink_to("loop")
    child = os.fork()
    if not child:
        os.read(read, 1)
        os._exit(0)
    for path, reason in (
        (Path(f"/dev/fd/{read}"), "it is open for reading only"),
        (closed, "nothing is open there"),
        (Path(f"/proc/{child}/fd/1"), "another process has it open"),
        (tmp_path / "loop", "too many levels of symbolic links"),
    ):
        with pytest.raises(FuriosaError, match=f"cannot be written: {reason}"):
            check_writable(path)
        with pytest.raises(FuriosaError, match=r"(?i)cannot be written: "):
            write_whole(b"data", path)
    os.close(read)
    os.kill(child, 9)
    os.waitpid(child, 0)


def test_programs_are_not_shown_by_terminals() -> None:
    leader, follower = os.openpty()
    name = Path(os.ttyname(follower))
    for path in (Path(f"/dev/fd/{follower}"), name):
        with pytest.raises(FuriosaError, match="cannot be written: it is a terminal"):
            refuse_terminal(check_writable(path))
    refuse_terminal(check_writable(Path("/dev/null")))
    refuse_terminal(None)
    os.close(leader)
    os.close(follower)


def test_a_stream_is_an_input_too(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        output = Path(f"/dev/fd/{file.fileno()}")
        with pytest.raises(FuriosaError, match="would replace an input"):
            check_distinct([output], [path])
        with pytest.raises(FuriosaError, match="it is the name of two outputs"):
            check_distinct([output, path], [])
    check_distinct([Path("/dev/null"), Path("/dev/null")], [Path("/dev/null")])


def test_where_nothing_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have neither /dev nor /proc."""

    def nothing(path: Path, *_: object) -> Path:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "readlink", nothing)
    found = streams.stream_at(Path("/dev/stdout"))
    assert found is not None
    assert found.descriptor == 1
