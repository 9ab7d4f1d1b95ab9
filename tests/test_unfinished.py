"""What a killed process leaves beside its output, the next one removes; a living one's stays."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from furiosa_ir import unfinished
from furiosa_ir.files import replacing, write_whole
from furiosa_ir.leftovers import take_away_leftovers
from furiosa_ir.python_process import python_command
from furiosa_ir.unfinished import remove_unfinished, unfinished_file

WRITER = """
import sys, time
from pathlib import Path
from furiosa_ir.files import replacing
with replacing(Path({path!r})) as file:
    file.write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        python_command(WRITER.format(path=str(path))),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def hidden(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("name", ["x", "another"])
def test_of_a_killed_writer_nothing_is_left_after_the_next(tmp_path: Path, name: str) -> None:
    process = writer(tmp_path / "x")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(hidden(tmp_path)) == 1
    write_whole(b"data", tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    """Even one that is stopped, or a fork of which lives on."""
    process = writer(tmp_path / "x")
    (file,) = hidden(tmp_path)
    process.send_signal(signal.SIGSTOP)
    write_whole(b"data", tmp_path / "x")
    remove_unfinished(tmp_path)
    assert hidden(tmp_path) == [file]
    process.send_signal(signal.SIGCONT)
    process.communicate()
    assert process.returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"half"


def test_many_at_once(tmp_path: Path) -> None:
    """Writers that look for dead ones' files find each other's, at every moment of their lives."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(100):
                with replacing(tmp_path / f"{number % 2}") as file:
                    file.write_bytes(b"%d" % number * 9)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]


def test_only_our_own_files_go(tmp_path: Path) -> None:
    ours = ".x.0123456789abcdef.furiosa.tmp"
    others = (
        ".x.tmp",
        ".x.0123456789abcdef.tmp",
        "x.0123456789abcdef.furiosa.tmp",
        "..furiosa.tmp",
    )
    for name in (ours, *others):
        (tmp_path / name).touch()
    (tmp_path / ".a.0123456789abcdef.furiosa.tmp").mkdir()
    (tmp_path / ".b.0123456789abcdef.furiosa.tmp").symlink_to("x.0123456789abcdef.furiosa.tmp")
    os.mkfifo(tmp_path / ".c.0123456789abcdef.furiosa.tmp")
    if os.geteuid() == 0:
        (tmp_path / ".d.0123456789abcdef.furiosa.tmp").touch()
        os.chown(tmp_path / ".d.0123456789abcdef.furiosa.tmp", 12345, 12345)
    before = {p.name for p in tmp_path.iterdir()}
    remove_unfinished(tmp_path)
    assert before - {p.name for p in tmp_path.iterdir()} == {ours}


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems may have none; then nobody can tell who is alive."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    left = tmp_path / ".x.0123456789abcdef.furiosa.tmp"
    left.touch()
    write_whole(b"data", tmp_path / "x")
    assert sorted(tmp_path.iterdir()) == [left, tmp_path / "x"]


def test_one_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, removed = fcntl.flock, []

    def late(handle: int, operation: int) -> None:
        if not removed:
            (file,) = hidden(tmp_path)
            removed.append(file)
            file.unlink()
        flock(handle, operation)

    monkeypatch.setattr(unfinished.fcntl, "flock", late)
    write_whole(b"data", tmp_path / "x")
    assert removed
    assert (tmp_path / "x").read_bytes() == b"data"


@pytest.mark.parametrize("letter", ["a", "ü", "한", "🙂", "e\u0301"])
def test_every_name_that_a_file_can_have(tmp_path: Path, letter: str) -> None:
    for length in (60, 200, 249, 255):
        name = letter * (length // len(letter.encode()))
        write_whole(b"data", tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"data"


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff" * 200)
    write_whole(b"data", path)
    assert path.read_bytes() == b"data"


def test_leftovers_go_at_any_moment(tmp_path: Path) -> None:
    with unfinished_file(tmp_path, "x") as path:
        take_away_leftovers()
        assert not path.exists()
    take_away_leftovers()
    assert not list(tmp_path.iterdir())
