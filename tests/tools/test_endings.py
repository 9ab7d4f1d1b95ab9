"""The end of a process: signals at any moment, streams that are closed or full, poor locales.

`python -m tests.tools.test_endings` sweeps the first two seconds of every command.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from furiosa_ir.compiler import compile_model
from tests.conftest import DIGITS
from tests.draws import ALL
from tests.quantization.networks import convolutions

COMMANDS = {
    "furiosa": [
        sys.executable,
        "-P",
        "-c",
        "from furiosa_ir.tools.launch import furiosa as f; f()",
    ],
    "furiosa-opt": [
        *(sys.executable, "-P", "-c"),
        "from furiosa_ir.tools.launch import furiosa_opt as f; f()",
    ],
}
LINES = (
    "furiosa compile n.tflite -o out.enf",
    "furiosa compile n.onnx -o out.enf --verify",
    "furiosa compile n.tflite --target-ir ftensor -o out.mlir",
    "furiosa run n.tflite --inputs x.npy --outputs out.npz",
    "furiosa run n.enf --inputs x.npy",
    "furiosa run float.onnx --inputs data/x.npy -b 40",
    "furiosa quantize float.onnx --calibration data -o out.onnx --report out.json",
    "furiosa inspect n.enf",
    "furiosa inspect n.enf --json",
    "furiosa inspect n.enf --disassemble",
    "furiosa cache stats",
    "furiosa cache list --json",
    "furiosa cache verify",
    "furiosa cache prune",
    "furiosa --help",
    "furiosa --version",
    "furiosa compile --help",
    "furiosa nonsense",
    "furiosa-opt n.tflite",
    "furiosa-opt n.mlir -o out.mlir",
    "furiosa-opt n.onnx --to ftensor -o -",
    "furiosa-opt --list-passes",
    "furiosa-opt --help",
)
pytestmark = pytest.mark.usefixtures("signals_of_a_terminal")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


def prepare(folder: Path) -> Path:
    """A folder of everything that the commands read."""
    shutil.copy(DIGITS / "digits_int8.tflite", folder / "n.tflite")
    shutil.copy(DIGITS / "digits_qdq_int8.onnx", folder / "n.onnx")
    (folder / "n.enf").write_bytes(compile_model(folder / "n.tflite"))
    np.save(folder / "x.npy", np.zeros((1, 8, 8, 1), np.int8))
    onnx.save(convolutions(), folder / "float.onnx")
    (folder / "data").mkdir()
    np.save(folder / "data" / "x.npy", np.ones((40, 3, 12, 12), np.float32))
    (folder / "tmp").mkdir()
    done = run("furiosa-opt n.tflite -o n.mlir", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("endings"))


def environment(folder: Path, **changes: str | None) -> dict[str, str]:
    given = os.environ | {
        "FC_CACHE_ENABLED": "1",
        "FC_CACHE_STORE_URL": str(folder / "cache"),
        "FC_CACHE_LIFETIME": "0",  # everything is compiled
        "TMPDIR": str(folder / "tmp"),
        "FURIOSA_HOST_ISOLATION": "1",
    }
    given |= {name: value for name, value in changes.items() if value is not None}
    return {name: value for name, value in given.items() if changes.get(name, "") is not None}


def words_of(line: str) -> list[str]:
    name, *words = line.split()
    return [*COMMANDS[name], *words]


def run(
    line: str, folder: Path, *, shell: str = "", **changes: str | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *words_of(line)],
        cwd=folder,
        env=environment(folder, **changes),
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # in a poor locale it is none
        check=False,
        timeout=250,
    )


def left_behind(folder: Path) -> list[str]:
    """What nobody wants to find after a command that was ended."""
    hidden = [p for p in folder.rglob("*") if p.name.startswith(".") or p.suffix == ".lock"]
    found = {*hidden, *(folder / "tmp").iterdir()}
    return [str(p.relative_to(folder)) for p in found if p.name != ".ses"]  # onnxruntime's own


# Python itself, before it comes to our first line, answers Ctrl-C with a traceback. This tells when
# it has come there.
READY = "import os; os.write(3, b'.'); "


def end(line: str, folder: Path, number: signal.Signals, delay: float) -> tuple[int, str]:
    """(exit code, stderr) of a command that gets a signal so many seconds after it began."""
    read, write = os.pipe()
    python, flag, option, code, *words = words_of(line)
    start, _, call = code.partition("; ")
    command = [python, flag, option, f"{start}; {READY}{call}", *words]
    process = subprocess.Popen(
        ["bash", "-c", f'exec 3>&{write}; exec "$@"', "bash", *command],
        cwd=folder,
        env=environment(folder),
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(write)
    os.read(read, 1)
    os.close(read)
    time.sleep(delay)
    os.killpg(process.pid, number)  # as a terminal does: to its children too
    _, errors = process.communicate(timeout=250)
    return process.returncode, errors


def what_is_wrong(
    code: int, errors: str, folder: Path, number: signal.Signals, usual: int
) -> str | None:
    """None if the signal ended the command in order, or came when everything was done."""
    left = left_behind(folder)
    if left:
        return f"left behind: {left}"
    if code == usual and WORDS[number] not in errors:
        return None
    lines = [s for s in errors.splitlines() if "ERROR" in s or "Error" in s or "Traceback" in s]
    ended = lines == [f"ERROR: {WORDS[number]}"] and errors.endswith(f"{lines[0]}\n")
    return None if code == 128 + number and ended else f"exit code {code}: {errors[-1500:]}"


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_signal_at_any_moment(folder: Path, number: signal.Signals) -> None:
    """Drawn anew in each run: the moments and the commands."""
    ended = 0
    for _ in range(6):
        line, delay = random.choice(LINES[:9]), random.uniform(0, 0.6)
        code, errors = end(line, folder, number, delay)
        wrong = what_is_wrong(code, errors, folder, number, 0)
        assert wrong is None, f"{line!r}, after {delay:.3f} s: {wrong}"
        ended += code == 128 + number
    assert ended


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("trick", ["lost", "another error", "native code", "a finaliser"])
def test_whatever_becomes_of_the_exception(
    folder: Path, number: signal.Signals, trick: str
) -> None:
    """numpy's import makes an ImportError of it; native code may not come back for minutes."""
    plugin = folder / "plugin.py"
    plugin.write_text(
        "import os, signal, time\n"
        "class Late:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), {int(number)}); time.sleep(0.2)\n"
        "def me():\n"
        f"    os.kill(os.getpid(), {int(number)}); time.sleep(0.2)\n"
        + {
            "lost": "try:\n    me()\nexcept BaseException:\n    time.sleep(600)",
            "another error": "try:\n    me()\nexcept BaseException:\n    raise ImportError('no')",
            "native code": "import ctypes\nctypes.CDLL(None).usleep.restype = None\n"
            "import threading\n"
            f"threading.Timer(0.2, lambda: os.kill(os.getpid(), {int(number)})).start()\n"
            "for _ in range(60): ctypes.CDLL(None).sleep(600)",
            "a finaliser": "late = Late(); del late; time.sleep(600)",
        }[trick]
    )
    done = run("furiosa compile n.tflite -o out.enf --load plugin.py", folder)
    assert done.returncode == 128 + number
    assert done.stderr.splitlines()[-1] == f"ERROR: {WORDS[number]}"
    assert "Traceback" not in done.stderr
    assert done.stderr.count("ERROR") == 1
    assert not left_behind(folder)


def test_a_signal_that_is_ignored_stays_so(folder: Path) -> None:
    """`nohup`, and what a shell starts in the background."""
    done = run(
        "furiosa compile n.tflite -o out.enf",
        folder,
        shell="& (sleep 0.3; kill -INT $!; kill -INT $!); wait $!",
    )
    assert done.returncode == 0, done.stderr


PLACES = (">/dev/full", "| head -c 1", ">&-", "2>/dev/full", "2>&-", "<&-")


@pytest.mark.draws
@pytest.mark.parametrize("place", PLACES)
def test_streams_that_take_nothing(folder: Path, place: str) -> None:
    for line in random.sample(LINES, 4 if ALL else 2):
        check_stream(folder, line, place)


def check_stream(folder: Path, line: str, place: str) -> None:
    usual = 2 if line.endswith("nonsense") else 0
    done = run(line, folder, shell=place)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "internal error" not in done.stderr
    assert not left_behind(folder)
    silent = " -o out" in line or "nonsense" in line or "--outputs" in line
    if place.startswith("2") or place == "<&-" or (silent and "quantize" not in line):
        assert done.returncode in ((usual, 1) if place == "2>/dev/full" else (usual,)), done.stderr
    elif place.startswith(">"):
        assert done.returncode == 1
        reason = "No space left on device" if "full" in place else "Bad file descriptor"
        assert done.stderr.splitlines()[-1].startswith("ERROR: standard output: ")
        assert reason in done.stderr
    else:
        assert done.returncode in (0, 1)
        assert done.stdout[:1]


def test_work_is_done_that_cannot_be_reported(folder: Path) -> None:
    expected = (folder / "n.enf").read_bytes()
    for shell, code in (("2>/dev/full", 1), ("2>&-", 0)):
        (folder / "out.enf").unlink(missing_ok=True)
        assert run("furiosa compile n.tflite -o out.enf", folder, shell=shell).returncode == code
        assert (folder / "out.enf").read_bytes() == expected


def test_a_closed_stream_is_not_what_is_opened_next(folder: Path) -> None:
    """A descriptor that is free goes to the first file that is opened, which prints would spoil."""
    expected = (folder / "n.enf").read_bytes()
    for shell in (">&-", "<&-", "2>&-", "<&- >&- 2>&-"):
        (folder / "out.enf").unlink(missing_ok=True)
        assert run("furiosa compile n.tflite -o out.enf", folder, shell=shell).returncode == 0
        assert (folder / "out.enf").read_bytes() == expected


POOR = {
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "ASCII, strictly": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "Latin 1": {"PYTHONIOENCODING": "latin-1"},
    "POSIX": {"LC_ALL": "POSIX", "LANG": None},
}


@pytest.mark.parametrize("locale", POOR)
def test_poor_locales(folder: Path, locale: str) -> None:
    for line in random.sample([s for s in LINES if "nonsense" not in s], 2):
        done = run(line, folder, **POOR[locale])
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_text_is_utf_8_in_every_locale(folder: Path) -> None:
    text = 'func.func @main() attributes {name = "é한"} {\n  func.return\n}\n'
    (folder / "é.mlir").write_text(text, encoding="utf-8")
    results = set[bytes]()
    for changes in ({}, *POOR.values()):
        done = subprocess.run(
            words_of("furiosa-opt é.mlir"),
            cwd=folder,
            env=environment(folder, **changes),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results.add(done.stdout)
    (result,) = results
    assert b"\\C3\\A9" in result or "é".encode() in result


NOBODY = "12345"
AS_NOBODY = [
    *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"),
    # May read everything, since this Python may be root's alone, and write nowhere.
    *(f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
]
"""A user of a container's, whom nobody has heard of: no name, and no home."""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="another user is needed, which only root can become",
)
@pytest.mark.draws
@pytest.mark.parametrize("home", ["", "/root", "/proc", "/dev/null", "/nowhere", None])
def test_homes_of_others(folder: Path, home: str | None) -> None:
    folder.chmod(0o777)
    (folder / "tmp").chmod(0o777)
    for parent in folder.parents[:-1]:
        parent.chmod(parent.stat().st_mode | 0o111)
    for line in random.sample(LINES[:7], 2 if ALL else 1):
        for output in folder.glob("out.*"):
            output.unlink()
        done = subprocess.run(
            [*AS_NOBODY, *words_of(line)],
            cwd=folder,
            env=environment(folder, HOME=home, FC_CACHE_STORE_URL=None),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"


def sweep(folder: Path, end_of_sweep: float = 2.0, step: float = 0.02) -> None:
    """Prints how each command ended at each moment, and what was wrong."""
    for line in LINES:
        usual = 2 if line.endswith("nonsense") else 0
        for number in SIGNALS:
            seen = Counter[str]()
            for index in range(round(end_of_sweep / step)):
                code, errors = end(line, folder, number, index * step)
                wrong = what_is_wrong(code, errors, folder, number, usual)
                seen["wrong" if wrong else "done" if code == usual else "ended"] += 1
                if wrong:
                    print(f"  {index * step:.3f} s: {wrong}")
                if code == usual:
                    break
            print(f"{line:60} {number.name:8} {dict(seen)}", flush=True)
        for place in PLACES:
            check_stream(folder, line, place)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        sweep(prepare(Path(name)), *map(float, sys.argv[1:]))
