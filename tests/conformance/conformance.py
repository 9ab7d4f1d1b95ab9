"""Drawn one-operator networks through importer, compiler, ENF, simulator and session.

Two tables drive it, and an operator is in them by one line: `tests/lowering/exact_cases.py` (ONNX
QDQ, int8 and uint8 as drawn; as quantised operators too, where `qlinear.py` writes them) and
`tests/lowering/litert_*.py` (TFLite int8 and uint8). References: exact arithmetic (the interpreter,
float64) with onnxruntime as second witness within one step, and LiteRT's kernels, byte for byte.

`python -m tests.conformance.conformance -n 200` prints the table: hypothesis draws so many
different networks of every operator and form; of one that differs it prints the smallest it finds.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis.strategies import SearchStrategy
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr, TensorType, f32
from xdsl.rewriter import Rewriter

from furiosa_ir.compiler import compile_model
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.elementwise import DivOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.exporters.onnx.export import export_onnx
from furiosa_ir.interpreter import run_function
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.onnxruntime_session import onnx_session
from furiosa_ir.reports.inspect import summary
from furiosa_ir.runtime import session
from tests.conformance.qlinear import FORMS as QLINEAR_FORMS
from tests.conformance.qlinear import WITHOUT_KERNEL, as_dtype, qlinear_model
from tests.lowering import litert_convolutions, litert_movement, litert_operators
from tests.lowering.drawn import Drawn, drawn
from tests.lowering.exact_cases import CASES as EXACT_CASES
from tests.lowering.network import Network, as_int8, networks
from tests.lowering.network import forms as litert_forms
from tests.oracle.litert import build_model

LITERT_MODULES = (litert_convolutions, litert_operators, litert_movement)
"""Importing them registers their cases."""

DRAWING = settings(
    # Few at a time: after ten, hypothesis prefers variations of what it has drawn to new draws.
    max_examples=9,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Count:
    """Results over the drawn networks of an operator and form.

    Attributes:
        cases: different networks.
        failed: networks that do not compile or run.
        elements: of their results.
        different: elements that differ from the reference.
        beyond_one_step: elements more than one step from onnxruntime's (ONNX).
        on_host: networks of which an operator ran on the host.
        seen: digests of the networks and their inputs.
    """

    cases: int = 0
    failed: int = 0
    elements: int = 0
    different: int = 0
    beyond_one_step: int = 0
    on_host: int = 0
    seen: set[bytes] = field(default_factory=set)

    @property
    def conforms(self) -> bool:
        """All compile, and no element differs from the reference, or too far from onnxruntime."""
        return not (self.failed or self.different or self.beyond_one_step)

    def add(self, other: Count) -> None:
        """Adds the numbers of another one."""
        for item in fields(self):
            if item.name != "seen":
                total = getattr(self, item.name) + getattr(other, item.name)
                setattr(self, item.name, total)


@dataclass(frozen=True)
class Form:
    """An operator in one of its forms.

    Attributes:
        name: operator and form; the draws depend on it.
        networks: what draws it.
        run: compiles, runs and compares one drawn network.
    """

    name: str
    networks: SearchStrategy[Any]
    run: Callable[[Any, Count], None]


def run(model: bytes, inputs: list[Any], count: Count) -> list[Any] | None:
    """The outputs of the compiled model on the simulator; None if `count` has it already."""
    digest = hashlib.sha256(model)
    for array in inputs:
        digest.update(array.tobytes())
    if digest.digest() in count.seen:
        return None
    try:
        program = compile_model(model)
    finally:
        count.seen.add(digest.digest())
        count.cases += 1
    count.on_host += bool(summary(program)["summary"]["host_operators"])
    with session.create(program) as running:
        return [t.numpy() for t in running.run(inputs)]


def onnx_model(network: Drawn) -> bytes:
    """A drawn network between DequantizeLinear and QuantizeLinear; accumulators are float there."""
    function = network.function.clone()
    for op in function.body.block.ops:
        for result in op.results:
            q = quantization_of(result)
            if q is not None and q.storage == "i32" and not isinstance(op, ConstantOp):
                Rewriter.replace_value_with_new_type(result, TensorType(f32, shape_of(result)))
    function.arg_attrs = _names("x", len(network.inputs))
    function.res_attrs = _names("y", len(network.op.results))
    return export_onnx(function)


def onnx_case(network: Drawn, count: Count) -> None:
    """A drawn ONNX network: exact arithmetic to the element, onnxruntime within one step."""
    model, inputs = onnx_model(network), network.inputs
    got = run(model, inputs, count)
    if got is not None:
        want = run_function(network.function, inputs)
        _compare(network, want, got, _onnxruntime(model, inputs), count)


def qlinear_case(network: Drawn, count: Count) -> None:
    """A drawn network as a QLinear or com.microsoft operator; references as in `onnx_case`."""
    written = qlinear_model(network.function, network.op)
    assert written is not None
    model, dtype = written
    inputs = [as_dtype(x, dtype) for x in network.inputs]
    got = run(model, inputs, count)
    if got is None:
        return
    want = [as_dtype(y, dtype) for y in run_function(network.function, network.inputs)]
    if isinstance(network.op, WITHOUT_KERNEL):
        model, inputs = onnx_model(network), network.inputs
    witness = [as_dtype(y, dtype) for y in _onnxruntime(model, inputs)]
    _compare(network, want, got, witness, count)


def _onnxruntime(model: bytes, inputs: list[Any]) -> list[Any]:
    return onnx_session(model).run(None, {f"x{i}": x for i, x in enumerate(inputs)})


def _compare(
    network: Drawn, want: list[Any], got: list[Any], witness: list[Any], count: Count
) -> None:
    for w, g, o in zip(want, got, witness, strict=True):
        count.elements += w.size
        count.different += int((w != g).sum())
        beyond = np.abs(g.astype(int) - o.astype(int)) > 1
        count.beyond_one_step += int((beyond & ~_undefined(network)).sum())


def _undefined(network: Drawn) -> Any:
    """Where 0 is divided by 0: the standard leaves open what is stored, so nothing is a witness."""
    if not isinstance(network.op, DivOp):
        return np.array(False)
    stored = dict(zip(network.function.body.block.args, network.inputs, strict=True))
    zero = [stored[v] == quantization_of(v).zero_point for v in network.op.operands]
    return zero[0] & zero[1]


def _names(prefix: str, number: int) -> ArrayAttr[DictionaryAttr]:
    names = [StringAttr(f"{prefix}{i}") for i in range(number)]
    return ArrayAttr([DictionaryAttr({"graph.name": name}) for name in names])


def tflite_case(net: Network, count: Count) -> None:
    """A drawn TFLite network: LiteRT's kernels, byte for byte."""
    got = run(build_model(net.operators), [net.stored(data) for _, data in net.inputs], count)
    if got is not None:
        (result,), want = got, net.reference()
        count.elements += want.size
        count.different += int((as_int8(result) != want).sum())


def forms() -> dict[tuple[str, str], Form]:
    """(operator, form) -> what draws and runs networks of it."""
    table: dict[tuple[str, str], Form] = {}
    any_one = settings(DRAWING, max_examples=1, phases=[Phase.generate])
    for name, case in EXACT_CASES.items():
        exact = drawn(case)
        table[name, "onnx"] = Form(f"{name} onnx", exact, onnx_case)
        if type(find(exact, lambda _: True, settings=any_one).op) in QLINEAR_FORMS:
            written = exact.filter(lambda n: qlinear_model(n.function, n.op) is not None)
            table[name, "qlinear"] = Form(f"{name} qlinear", written, qlinear_case)
    for name, dtype in litert_forms():
        form = f"tflite {dtype}"
        table[name, form] = Form(f"{name} {form}", networks(name, dtype), tflite_case)
    return table


class NotConforming(Exception):
    """A network that does not compile or run, or of which the results differ.

    Attributes:
        network: that one.
        reason: of what kind it is.
    """

    def __init__(self, network: Any, reason: str) -> None:
        super().__init__(reason)
        self.network = network
        self.reason = reason


def run_one(form: Form, network: Any, count: Count) -> str:
    """Runs a drawn network; what is wrong with it, if anything."""
    one = Count(seen=count.seen)
    try:
        form.run(network, one)
    except Exception as error:  # noqa: BLE001 - a crash is a result, counted like any other
        one.failed += 1
        reason = f"{type(error).__name__}: {error}"
    else:
        reason = "" if one.conforms else f"{one.different} of {one.elements} elements differ"
    count.add(one)
    return reason


def check(form: Form, examples: int) -> Count:
    """Draws `examples` different networks of a form, or as many as there are, and runs them."""
    count = Count()

    def act(network: Any) -> None:
        if count.cases < examples:
            run_one(form, network, count)

    for turn in itertools.count():
        before = count.cases
        _draw(form, act, turn, Phase.generate)
        if count.cases in (before, examples):
            break
    return count


def smallest(form: Form, examples: int) -> NotConforming | None:
    """Draws the networks of `check` again up to one that does not conform, and shrinks that."""

    def act(network: Any) -> None:
        reason = run_one(form, network, Count())
        if reason:
            raise NotConforming(network, reason)

    try:
        for turn in range(examples):
            _draw(form, act, turn, Phase.generate, Phase.shrink)
    except NotConforming as found:
        return found
    return None


def _draw(form: Form, act: Callable[[Any], None], turn: int, *phases: Phase) -> None:
    """Calls `act` with some drawn networks: the same ones in the same turn."""
    drawing = settings(DRAWING, phases=phases)
    seed(f"{form.name} {turn}")(drawing(given(form.networks)(act)))()


def main() -> None:
    """Prints a line for each operator and form; exits 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--cases", type=int, default=200)
    parser.add_argument("-k", "--only", default="", help="operators and forms that contain this")
    arguments = parser.parse_args()
    print(f"{'operator':40} {'form':13} {'cases':>6} {'failed':>6} {'elements':>9}", end=" ")
    print(f"{'differ':>7} {'> 1 step':>8} {'on host':>7}")
    total, fewest = Count(), arguments.cases
    for (name, form), one in forms().items():
        if arguments.only not in one.name:
            continue
        count = check(one, arguments.cases)
        print(
            f"{name:40} {form:13} {count.cases:6} {count.failed:6} {count.elements:9} "
            f"{count.different:7} {count.beyond_one_step:8} {count.on_host:7}",
            flush=True,
        )
        if not count.conforms:
            found = smallest(one, arguments.cases)
            print(found and f"the smallest network: {found.reason}{found.network!r}")
        total.add(count)
        fewest = min(fewest, count.cases)
    print(
        f"{total.cases} different cases, at least {fewest} of each operator and form; "
        f"{total.failed} failed; {total.elements} elements, {total.different} differ, "
        f"{total.beyond_one_step} more than one step from onnxruntime"
    )
    sys.exit(not total.conforms)


if __name__ == "__main__":
    main()
