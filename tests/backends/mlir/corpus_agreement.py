"""Networks of ../shared/models natively: results as the simulator's, values as the interpreter's.

    python -m tests.backends.mlir.corpus_agreement [-n INPUTS] [--values] [--json FILE] [NETWORK...]

A line a network: seconds to convert and for iree-compile, elements that were compared, and
(medians, milliseconds) what a run takes natively and on the simulator, in turn. What iree-opt
refuses, or a constant of `INLINE_ELEMENTS` or more in the text, ends the run.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from iree.compiler.tools import binaries

from furiosa_ir.backends import read_program
from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.upstream_module import device_functions
from furiosa_ir.compiler import compile_model
from furiosa_ir.driver import compile_source
from furiosa_ir.ir.constants import INLINE_ELEMENTS
from furiosa_ir.numerics.array import Array
from furiosa_ir.runtime import session
from tests.backends.mlir.lowering_cases import TOGETHER, inputs_of
from tests.backends.mlir.native_functions import NativeFunctions, single_operations
from tests.corpus.table import networks


def random_input(tensor: Any, rng: np.random.Generator) -> Array:
    """Elements of the whole range of integers, or reals from -1 to 1."""
    dtype = tensor.numpy_dtype
    if dtype.kind == "f":
        return rng.uniform(-1, 1, tensor.shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, tensor.shape).astype(dtype)


def seconds(call: Any) -> tuple[float, Any]:
    """How long a call takes, and what it gives."""
    begin = time.perf_counter()
    made = call()
    return time.perf_counter() - begin, made


def verify_texts(program: bytes) -> int:
    """How many texts of a program iree-opt has verified, none of which holds a long constant."""
    texts = [s.text for s in read_program(program).segments if isinstance(s, MlirSegment)]
    tool = binaries.find_tool("iree-opt")
    for text in texts:
        done = subprocess.run(
            [tool, "-o", "/dev/null"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[:2000]
        for elements in re.findall(r"(?:dense|array)<([^>]*)>", text):
            assert elements.count(",") < INLINE_ELEMENTS, elements[:200]
            assert '"0x' not in elements
    return len(texts)


def compare_results(path: Path, count: int) -> dict[str, Any]:
    """A program of each backend on the same inputs."""
    convert, program = seconds(lambda: compile_model(path, target="mlir"))
    texts = verify_texts(program)
    other = compile_model(path, target="warboy-2pe")
    begin, native = seconds(lambda: session.create(program))
    times: dict[str, list[float]] = {"native": [], "simulator": []}
    different = elements = 0
    rng = np.random.default_rng(0)
    with native, session.create(other) as simulated:
        for _ in range(count):
            inputs = [random_input(t, rng) for t in native.inputs()]
            results: list[Any] = []
            for name, running in (("native", native), ("simulator", simulated)):
                took, made = seconds(lambda r=running, i=inputs: [t.numpy() for t in r.run(i)])
                times[name].append(took)
                results.append(made)
            for a, b in zip(*results, strict=True):
                elements += a.size
                different += int((a != b).sum())
    return {
        "texts": texts,
        "convert_s": round(convert, 2),
        "iree_compile_s": round(begin, 1),
        "elements": elements,
        "different": different,
        **{f"{name}_ms": round(statistics.median(t) * 1e3, 3) for name, t in times.items()},
    }


def compare_values(path: Path) -> dict[str, Any]:
    """Every value of every device segment on one input, operation by operation."""
    module = compile_source(path, target="mlir", target_ir="ftensor").module
    alone = [
        one
        for i, function in enumerate(device_functions(module))
        for one in single_operations(function, inputs_of(function, i))
    ]
    different = elements = 0
    for begin in range(0, len(alone), TOGETHER):
        native = NativeFunctions()
        for function, inputs in alone[begin : begin + TOGETHER]:
            native.add(function, inputs)
        different += len(native.differing())
        elements += native.elements
    return {"values": elements, "operations": len(alone), "operations_that_differ": different}


def main() -> None:
    """Prints a line a network; exits 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--inputs", type=int, default=20)
    parser.add_argument("--values", action="store_true", help="values inside of segments as well")
    parser.add_argument("--json", type=Path, help="a file that lines are appended to")
    parser.add_argument("networks", nargs="*")
    given = parser.parse_args()
    is_wrong = False
    for path in networks(given.networks):
        row = {"network": path.name, **compare_results(path, given.inputs)}
        if given.values:
            row |= compare_values(path)
        is_wrong |= bool(row["different"] or row.get("operations_that_differ"))
        print(json.dumps(row), flush=True)
        if given.json:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        gc.collect()
    sys.exit(is_wrong)


if __name__ == "__main__":
    main()
