"""Many runs in many threads: `benchmarks/soak.py` on small networks, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from furiosa_ir.compiler import compile_model
from tests.conftest import ROOT
from tests.runtime.test_host import remainder_network


@pytest.mark.slow
@pytest.mark.parametrize(
    # Isolated, each worker starts a process a host segment.
    ("isolation", "runs", "workers"),
    [("0", 3000, 8), ("1", 1000, 2)],
    ids=["in the process", "isolated"],
)
def test_results_stay_the_same_and_memory_stays_flat(
    isolation: str,
    runs: int,
    workers: int,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FURIOSA_HOST_ISOLATION", isolation)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    on_the_host = tmp_path / "remainder.enf"
    on_the_host.write_bytes(compile_model(remainder_network()))
    files = [digits / "digits_int8.tflite", digits / "digits_qdq_int8.onnx", on_the_host]
    command = ["benchmarks/soak.py", f"--runs={runs}", f"--workers={workers}", *map(str, files)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    counts, wrong = zip(*re.findall(r": (\d+) runs, (\d+) with", done.stdout), strict=True)
    assert sum(map(int, counts)) == runs
    assert set(wrong) == {"0"}
    assert f"{runs} runs on 8 threads" in done.stdout
