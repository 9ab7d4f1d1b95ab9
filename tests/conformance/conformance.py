"""Drawn one-operator networks through importer, compiler, ENF, simulator and session.

Two tables drive it, and an operator is in them by one line: `tests/lowering/exact_cases.py` (ONNX
QDQ, int8 and uint8 at random; as quantised operators too, where `qlinear.py` writes them) and
`tests/lowering/litert_*.py` (TFLite int8 and uint8). References: exact arithmetic (the interpreter,
float64) with onnxruntime as second witness within one step, and LiteRT's kernels, byte for byte.
`python -m tests.conformance.conformance -n 200` prints the table.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr

from furiosa_ir.backends.warboy.host.onnx_export import export_onnx
from furiosa_ir.compiler import compile_model
from furiosa_ir.interpreter import run_function
from furiosa_ir.onnxruntime_session import onnx_session
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from tests.conformance.qlinear import FORMS as QLINEAR_FORMS
from tests.conformance.qlinear import WITHOUT_KERNEL, as_dtype, qlinear_model
from tests.lowering import litert_convolutions, litert_movement, litert_operators
from tests.lowering.exact_cases import CASES as EXACT_CASES
from tests.lowering.network import CASES as LITERT_CASES
from tests.lowering.network import Network, as_int8
from tests.lowering.network import forms as litert_forms
from tests.lowering.test_exact import draw
from tests.oracle.litert import build_model

LITERT_MODULES = (litert_convolutions, litert_operators, litert_movement)
"""Importing them registers their cases."""

SEEDS_APART = 100_003
"""From a draw that has no operator of a form to the next one tried."""

DTYPES = {"int8": np.int8, "uint8": np.uint8}


@dataclass
class Count:
    """Results over the drawn networks of an operator and form.

    Attributes:
        cases: networks run.
        elements: of their results.
        different: elements that differ from the reference.
        beyond_one_step: elements more than one step from onnxruntime's (ONNX).
        on_host: networks of which an operator ran on the host.
    """

    cases: int = 0
    elements: int = 0
    different: int = 0
    beyond_one_step: int = 0
    on_host: int = 0


def run(model: bytes, inputs: list[Any], count: Count) -> list[Any]:
    """The outputs of the compiled model on the simulator."""
    program = compile_model(model)
    count.on_host += bool(summary(program)["summary"]["host_operators"])
    with session.create(program) as running:
        return [t.numpy() for t in running.run(inputs)]


def onnx_case(name: str, seed: int, count: Count) -> None:
    """One drawn ONNX network: exact arithmetic to the element, onnxruntime within one step."""
    function, op, inputs = draw(name, seed)
    function.arg_attrs = _names("x", len(inputs))
    function.res_attrs = _names("y", len(op.results))
    model = export_onnx(function)
    want = run_function(function, inputs)
    got = run(model, inputs, count)
    witness = onnx_session(model).run(None, {f"x{i}": x for i, x in enumerate(inputs)})
    _compare(want, got, witness, count)


def qlinear_case(name: str, seed: int, count: Count) -> None:
    """One drawn network as a QLinear or com.microsoft operator; references as in `onnx_case`."""
    for attempt in itertools.count(seed, SEEDS_APART):
        function, op, inputs = draw(name, attempt)
        written = qlinear_model(function, op)
        if written is not None:
            break
    else:
        raise AssertionError
    model, dtype = written
    given = [as_dtype(x, dtype) for x in inputs]
    want = [as_dtype(y, dtype) for y in run_function(function, inputs)]
    got = run(model, given, count)
    if isinstance(op, WITHOUT_KERNEL):
        function.arg_attrs = _names("x", len(inputs))
        function.res_attrs = _names("y", len(op.results))
        model, given = export_onnx(function), inputs
    witness = onnx_session(model).run(None, {f"x{i}": x for i, x in enumerate(given)})
    _compare(want, got, [as_dtype(y, dtype) for y in witness], count)


def _compare(want: list[Any], got: list[Any], witness: list[Any], count: Count) -> None:
    count.cases += 1
    for w, g, o in zip(want, got, witness, strict=True):
        count.elements += w.size
        count.different += int((w != g).sum())
        count.beyond_one_step += int((np.abs(g.astype(int) - o.astype(int)) > 1).sum())


def _names(prefix: str, number: int) -> ArrayAttr[DictionaryAttr]:
    names = [StringAttr(f"{prefix}{i}") for i in range(number)]
    return ArrayAttr([DictionaryAttr({"graph.name": name}) for name in names])


def tflite_case(name: str, dtype: str, seed: int, count: Count) -> None:
    """One drawn TFLite network: LiteRT's kernels, byte for byte."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {dtype} {seed}".encode()))
    net = Network(DTYPES[dtype], rng)
    LITERT_CASES[name](net)
    model = build_model(net.operators)
    want = net.reference()
    inputs = [net.stored(data) for _, data in net.inputs]
    (got,) = run(model, inputs, count)
    count.cases += 1
    count.elements += want.size
    count.different += int((as_int8(got) != want).sum())


def forms() -> dict[tuple[str, str], Callable[[int, Count], None]]:
    """(operator, form) -> what runs one drawn network of it."""
    table: dict[tuple[str, str], Callable[[int, Count], None]] = {}
    for name in EXACT_CASES:
        table[name, "onnx"] = lambda seed, count, name=name: onnx_case(name, seed, count)
        if type(draw(name, 0)[1]) in QLINEAR_FORMS:
            table[name, "qlinear"] = lambda seed, count, name=name: qlinear_case(name, seed, count)
    for name, dtype in litert_forms():
        table[name, f"tflite {dtype}"] = lambda seed, count, name=name, dtype=dtype: tflite_case(
            name, dtype, seed, count
        )
    return table


def main() -> None:
    """Prints a line for each operator and form; exits 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--cases", type=int, default=200)
    parser.add_argument("-k", "--only", default="")
    arguments = parser.parse_args()
    print(f"{'operator':40} {'form':13} {'cases':>6} {'elements':>9} {'differ':>7}", end=" ")
    print(f"{'> 1 step':>8} {'on host':>7}")
    total = Count()
    for (name, form), one in forms().items():
        if arguments.only not in f"{name} {form}":
            continue
        count = Count()
        for seed in range(arguments.cases):
            one(seed, count)
        print(
            f"{name:40} {form:13} {count.cases:6} {count.elements:9} {count.different:7} "
            f"{count.beyond_one_step:8} {count.on_host:7}",
            flush=True,
        )
        for field in vars(total):
            setattr(total, field, getattr(total, field) + getattr(count, field))
    print(f"{total.cases} cases, {total.elements} elements, {total.different} differ")
    sys.exit(total.different > 0)


if __name__ == "__main__":
    main()
