"""Each script of benchmarks/ that needs no corpus and no other compiler runs, and prints its row.

What `make bench` runs, test_bench.py does; the types of all of them `make lint` checks.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

NETWORK = ROOT / "examples/digits/digits_qdq_int8.onnx"
SCRIPTS = {
    "batch_sizes": ([NETWORK], "never worse"),
    "epilogue_options": ([], "ByKernels: first"),
    "memory": ([NETWORK], "greatest peak of SRAM over its bound: 1.000"),
    "mlir_conversion": (["--runs", "1", NETWORK], "digits_qdq_int8.onnx"),
    "schedule_quality": ([NETWORK], "geometric mean"),
    "schedule_search": ([NETWORK, "--seconds", "1"], "| digits_qdq_int8 |"),
    "simulate": ([NETWORK], "GMAC/s"),
    "simulate_vs_cpu": (["--no-native", "--runs", "1", NETWORK], "simulator over onnxruntime"),
    "soak": (["--runs", "200", NETWORK], "200 runs, 0 with other outputs"),
}
"""By name: arguments, and what is printed."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_it_runs(name: str) -> None:
    arguments, printed = SCRIPTS[name]
    script = ROOT / "benchmarks" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


OF_NETWORKS = sorted({*SCRIPTS, "cache_hit", "compile_vs_vela"} - {"epilogue_options"})


@pytest.mark.parametrize("name", OF_NETWORKS)
def test_a_file_that_is_not_there_is_a_sentence(name: str) -> None:
    script = ROOT / "benchmarks" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, script, "nothing.onnx"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.endswith("there is no file 'nothing.onnx'\n")
    assert "Traceback" not in done.stderr
