"""Small files that may not grow: a command within the limits that docs/security.md promises."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 1 << 30
MOST_SECONDS = 10.0
"""Of processor time; the machine may be busy with other things."""
_PATIENCE = 120.0
_TOOL = """
import atexit, resource, sys
from pathlib import Path
import furiosa_ir.tools.{tool} as tool

def write():
    # Not the parent's getrusage: that counts what the parent held when it forked.
    lines = Path("/proc/self/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    peak.write_text(str(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)))

peak = Path(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
atexit.register(write)  # tools end by os._exit, which runs these only
tool.main()
"""


@dataclass(frozen=True)
class Done:
    """What came of a command.

    Attributes:
        code: its exit code; negative for a signal.
        stdout, stderr: what it wrote.
        seconds: of processor time.
        peak: bytes of memory, of the process or of a child of it.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak: int


def furiosa(*arguments: object, tool: str = "furiosa") -> Done:
    """Runs `furiosa` (or `opt`) in a process of its own, and checks that it stays small.

    Raises:
        AssertionError: it takes more than 1 GiB or 10 s, or its answer is no answer.
    """
    environment = os.environ | {"FC_CACHE_ENABLED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        peak, out, err = (Path(folder) / name for name in ("peak", "out", "err"))
        command = [sys.executable, "-c", _TOOL.format(tool=tool), peak, *map(str, arguments)]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment
            )
            status, seconds = _end_of(process)
        done = Done(
            status,
            out.read_text(errors="replace"),
            err.read_text(errors="replace"),
            seconds,
            int(peak.read_text()) << 10 if peak.exists() else 0,
        )
    assert done.seconds < MOST_SECONDS, done
    assert done.code in (0, 1), done
    assert 0 < done.peak < MOST_BYTES, (done.peak >> 20, done.stderr)
    return done


def _end_of(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """(exit code, seconds of processor time) of a process, killed when it takes too long."""
    end = time.monotonic() + _PATIENCE
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        if time.monotonic() > end or _seconds(process.pid) > 2 * MOST_SECONDS:
            process.kill()
        time.sleep(0.02)


def refusal(*arguments: object, tool: str = "furiosa") -> str:
    """The one sentence with which a command refuses a file, within the limits.

    Raises:
        AssertionError: it does not refuse it, or in another way.
    """
    done = furiosa(*arguments, tool=tool)
    assert done.code == 1, done
    # Above it progress, below it the place in the text, with a caret.
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 8000
    assert line.isprintable()
    assert "internal error" not in line
    assert len(line) < 1200
    return line


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
