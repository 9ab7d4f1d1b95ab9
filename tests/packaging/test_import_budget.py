"""What a compile imports: half of the time that a small network takes goes into it.

What fails here is imported where it is used instead, or the lists below get the better of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DIGITS

SCRIPT = """
import json, os, sys
def end(code):
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    blas = os.environ.get("OPENBLAS_NUM_THREADS")
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    print(json.dumps([code, dict(sorted(files.items())), threads, blas]), flush=True)
    leave(code)
leave, os._exit = os._exit, end
from furiosa_ir.tools.launch import furiosa
furiosa()
"""

NEVER = [
    *("asyncio", "cProfile", "concurrent.futures", "curses", "doctest", "html", "http"),
    *("rich", "pygments", "redis", "dask", "distributed", "networkx", "onnxruntime", "hypothesis"),
    *("ai_edge_litert", "ai_edge_quantizer", "numpy.random", "numpy.ma", "numpy.fft", "sqlite3"),
    "xdsl.utils.dialect_loader",
    # What looks at networks, and what runs them.
    *("furiosa_ir.api", "furiosa_ir.compiler", "furiosa_ir.debugging", "furiosa_ir.interpreter"),
    *("furiosa_ir.ir.text", "furiosa_ir.ir.text_printer", "furiosa_ir.layer_sensitivity"),
    *("furiosa_ir.notebook", "furiosa_ir.quantization", "furiosa_ir.reports.profiling"),
    *("furiosa_ir.reproducer", "furiosa_ir.runtime", "furiosa_ir.tools.catalogue"),
    *("furiosa_ir.tools.language_server", "furiosa_ir.verification", "furiosa_ir.workers"),
    "furiosa_ir.backends.warboy.dialect.command_text",
    "furiosa_ir.backends.warboy.passes.fusion_remarks",
    "furiosa_ir.backends.warboy.passes.schedule_remarks",
    "furiosa_ir.backends.warboy.simulator.simulator",
    "furiosa_ir.backends.warboy.vector_engine.float_rescale",
    "furiosa_ir.backends.warboy.verification",
]
"""Modules, with all below them, that no compile of a quantised network imports."""
OF_TFLITE = [
    *("google.protobuf", "importlib.metadata", "ml_dtypes", "multiprocessing", "onnx"),
    *("numpy._typing", "socket", "subprocess", "tempfile", "xml"),
    *("decimal", "flatbuffers.flexbuffers", "fractions"),
    *("furiosa_ir.dialects.graph.onnx_geometry", "furiosa_ir.dialects.graph.onnx_quantization"),
    *("furiosa_ir.importers.tflite.sparsity", "furiosa_ir.importers.tflite.unpacking"),
    *("furiosa_ir.passes.integer_types", "furiosa_ir.passes.quantized_operators"),
    *("furiosa_ir.exporters.onnx", "furiosa_ir.importers.onnx", "furiosa_ir.lowering.exact"),
    "furiosa_ir.native_process",
]
"""What one of TFLite does not import, either."""
OF_ONNX = ["tflite", "furiosa_ir.importers.tflite", "furiosa_ir.lowering.litert"]


@pytest.mark.parametrize(
    ("source", "others", "most"),
    [("digits_int8.tflite", OF_TFLITE, 640), ("digits_qdq_int8.onnx", OF_ONNX, 780)],
    ids=["tflite", "onnx"],
)
def test_a_compile_imports_what_it_needs(
    source: str, others: list[str], most: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SCRIPT, "compile", "--no-cache", str(DIGITS / source)]
    command += ["-o", str(tmp_path / "a.enf")]
    given = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "OPENBLAS_"))}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=given)
    status, modules, threads, blas = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    # One besides waits for signals; those of numpy would keep a processor busy.
    assert (threads <= 2, blas) == (True, None)
    unwanted = (*NEVER, *others)
    found = [m for m in modules if any(m == u or m.startswith(f"{u}.") for u in unwanted)]
    assert not found
    schema = [m for m in modules if m.startswith("tflite.")]
    assert len(schema) < 40  # of 187
    # numpy's docstrings: modules that are there in name only.
    assert modules.get("numpy._core._add_newdocs") is None
    assert len(modules) <= most, "import what few networks need where they need it"
