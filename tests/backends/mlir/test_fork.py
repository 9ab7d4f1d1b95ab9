"""A session of native code that is made before a fork runs in the child."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")

# A process of its own: what pytest holds would be in its children.
SCRIPT = """
import os, signal, sys, threading, warnings
import numpy as np
from furiosa.runtime import session
from furiosa_ir.backends.mlir import executor

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12's, of forks beside threads
running = session.create(sys.argv[1], device="iree-cpu")
x = np.load(sys.argv[2])["tflite_images"][:1]
expected = running.run([x])[0].numpy()

def right():
    return np.array_equal(running.run([x])[0].numpy(), expected)

computing, ended = threading.Event(), threading.Event()

def compute():
    (module,) = executor._MODULES
    with module._lock:
        computing.set()
        ended.wait()

thread = threading.Thread(target=compute)
thread.start()
computing.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    os._exit(0 if right() and right() else 1)
status = os.waitpid(pid, 0)[1]
ended.set()
thread.join()
assert status == 0, status
assert right()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_while_another_thread_computes(tmp_path: Path) -> None:
    """What that thread had locked, nobody unlocks in the child."""
    digits = ROOT / "examples" / "digits"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, digits / "digits_int8.tflite", digits / "digits_inputs.npz"],
        env={**os.environ, "FC_CACHE_STORE_URL": f"file://{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
