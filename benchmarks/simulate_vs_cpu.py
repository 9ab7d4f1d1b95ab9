"""How long a warm simulation takes beside the same network on the host's processor.

Usage: python benchmarks/simulate_vs_cpu.py [--json] [--runs N] [--kernels 0|generic|v3|vnni|amx]
       [--no-native] FILE [FILE ...]

Each FILE is a TFLite network, beside LiteRT with one thread, or an ONNX one, beside onnxruntime
with one thread; and beside itself in native code (`iree-cpu`, one thread), where IREE is installed.
They run in turn; of each the median of N runs (7), of wall and of processor time. Of LiteRT the
call of `invoke` alone is timed, of a session the whole of `run`. Behind the rows stand geometric
means: the simulator over the host's runtime, and native code over each of the two.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter
from networks import network_file

from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.simulator.native.library import SWITCH
from furiosa_ir.compiler import compile_model
from furiosa_ir.runtime.session import Session

Run = Callable[[], object]


def random_array(rng: np.random.Generator, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Uniform over an integer type, or within 0 and 1."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def peer(path: Path, arrays: Sequence[np.ndarray]) -> Run:
    """The host's own run of the network on these inputs, in order."""
    if path.suffix == ".tflite":
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        return interpreter.invoke
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {i.name: array for i, array in zip(session.get_inputs(), arrays, strict=True)}
    return lambda: session.run(None, given)


def timed(run: Run) -> tuple[float, float]:
    """(wall, processor) time of a call in ms."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - processor) * 1e3


def native_session(path: Path) -> Session | None:
    """The network in native code; None without IREE."""
    if importlib.util.find_spec("iree") is None:
        return None
    return Session(read_program(compile_model(path, target="iree-cpu")))


def row(path: Path, runs: int, *, native: bool = True) -> dict[str, Any]:
    """One file's figures."""
    program = read_program(compile_model(path))
    start = time.perf_counter()
    session = Session(program)
    setup = (time.perf_counter() - start) * 1e3
    rng = np.random.default_rng(0)
    tensors = [program.tensors[t] for t in program.inputs]
    arrays = [random_array(rng, t.shape, t.dtype) for t in tensors]
    compared = {"simulator": lambda: session.run(arrays), "host": peer(path, arrays)}
    other = native_session(path) if native else None
    if other is not None:
        compared["native"] = lambda: other.run(arrays)
    for run in compared.values():
        run()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in compared}
    for _ in range(runs):
        for name, run in compared.items():
            times[name].append(timed(run))
    wall, processor = (
        {name: statistics.median(t[i] for t in taken) for name, taken in times.items()}
        for i in range(2)
    )
    return {
        "file": path.name,
        "setup_ms": setup,
        "simulator_ms": wall["simulator"],
        "host_ms": wall["host"],
        "ratio": wall["simulator"] / wall["host"],
        "processor_ratio": processor["simulator"] / processor["host"],
        **native_figures(wall),
    }


def native_figures(wall: dict[str, float]) -> dict[str, float]:
    """What a row says of native code, from medians in ms; nothing where it was not run."""
    if "native" not in wall:
        return {}
    return {
        "native_ms": wall["native"],
        "native_over_simulator": wall["native"] / wall["simulator"],
        "native_over_host": wall["native"] / wall["host"],
    }


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Geometric means of ratios: name -> mean, of TFLite networks and of ONNX networks apart."""
    found: dict[str, float] = {}
    for suffix, host in ((".tflite", "LiteRT"), (".onnx", "onnxruntime")):
        for figure, name in (
            ("ratio", f"simulator over {host}"),
            ("native_over_host", f"native over {host}"),
            ("native_over_simulator", f"native over simulator ({suffix[1:]})"),
        ):
            ratios = [r[figure] for r in rows if r["file"].endswith(suffix) and figure in r]
            if ratios:
                found[name] = statistics.geometric_mean(ratios)
    return found


def main() -> None:
    """Prints a row a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--kernels", default="")
    parser.add_argument("--no-native", action="store_true")
    parser.add_argument("files", nargs="+", type=network_file)
    asked = parser.parse_args()
    os.environ[SWITCH] = asked.kernels
    rows = [row(path, asked.runs, native=not asked.no_native) for path in asked.files]
    if asked.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    print(
        f"{'network':44}{'set-up ms':>10}{'run ms':>10}{'host ms':>10}{'ratio':>8}{'by CPU':>8}"
        f"{'native ms':>11}{'/run':>6}{'/host':>7}"
    )
    for r in rows:
        print(
            f"{r['file'][:43]:44}{r['setup_ms']:10.0f}{r['simulator_ms']:10.3f}"
            f"{r['host_ms']:10.3f}{r['ratio']:8.2f}{r['processor_ratio']:8.2f}"
            + (
                f"{r['native_ms']:11.3f}{r['native_over_simulator']:6.2f}"
                f"{r['native_over_host']:7.2f}"
                if "native_ms" in r
                else ""
            )
        )
    for name, mean in means(rows).items():
        print(f"{name}: {mean:.2f} (geometric mean)")


if __name__ == "__main__":
    main()
