"""A session made before a fork, by a server that preloads its application, runs in the children."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from furiosa_ir.compiler import compile_model

ROOT = Path(__file__).parents[2]

# Children exit with 0 if their results are right; one that hangs is killed by its alarm.
PREAMBLE = """
import os, signal, sys, threading, warnings
import numpy as np
from furiosa.runtime import errors, session
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12's, of forks beside threads

running = session.create(sys.argv[1], worker_num=2)
desc = running.input(0)
x = np.random.default_rng(0).integers(0, 100, desc.shape).astype(desc.numpy_dtype)
expected = [array.tobytes() for array in running.run(x).numpy()]

def child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            os._exit(0 if work() else 1)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(2)
    return pid

def right():
    return [array.tobytes() for array in running.run(x).numpy()] == expected

def several_threads_are_right():
    good = []
    threads = [threading.Thread(target=lambda: good.append(right())) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return good == [True] * 6

def statuses(pids):
    return [os.waitpid(pid, 0)[1] for pid in pids]
"""

IDLE = """
pids = [child(several_threads_are_right) for _ in range(2)]
assert statuses(pids) == [0] * 2
assert right()
running.close()
"""

BUSY = """
stop = threading.Event()
def keep_running():
    while not stop.is_set():
        assert right()
threads = [threading.Thread(target=keep_running) for _ in range(4)]
for thread in threads: thread.start()
found = []
for _ in range(10):
    found += statuses([child(several_threads_are_right)])
stop.set()
for thread in threads: thread.join()
assert found == [0] * 10, found
"""

ASYNCHRONOUS = """
submitting, queue = session.create_async(sys.argv[1], worker_num=2)
submitting.submit(x)
assert [a.tobytes() for a in queue.recv()[1].numpy()] == expected
def refused():
    count = 0
    for use in (lambda: submitting.submit(x), queue.recv):
        try:
            use()
        except errors.NativeException as error:
            assert "made by another process (make it after the fork)" in str(error)
            count += 1
    submitting.close()
    queue.close()
    return count == 2
assert statuses([child(refused)]) == [0]
submitting.submit(x)
assert [a.tobytes() for a in queue.recv()[1].numpy()] == expected
queue.close()
"""


@pytest.fixture(scope="module", params=["digits_int8.tflite", "digits_qdq_int8.onnx"])
def program(
    request: pytest.FixtureRequest, digits: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("fork") / "digits.enf"
    path.write_bytes(compile_model(digits / request.param))
    return path


def run_case(case: str, program: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + case, str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("case", [IDLE, BUSY, ASYNCHRONOUS], ids=["idle", "busy", "asynchronous"])
def test_children_run_it(program: Path, case: str) -> None:
    run_case(case, program)


def test_children_have_isolated_segments_of_their_own(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", "1")
    run_case(IDLE, program)
