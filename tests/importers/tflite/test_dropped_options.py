"""No option of a TFLite operator is dropped: it is imported, stays with the operator, or refused.

Each field of each operator's options gets values that the example does not have. Where the IR stays
as it was, LiteRT must make of both what it made, or refuse the other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, f64, i64
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, opt_prop_def

from furiosa_ir.dialects.graph import TFLITE_OPERATORS
from furiosa_ir.dialects.graph.base import TFLiteNode
from furiosa_ir.dialects.graph.elementwise import BinaryOp, LeakyReluOp, UnaryOp
from furiosa_ir.errors import FuriosaError
from furiosa_ir.importers.tflite import import_tflite
from furiosa_ir.ir.text import print_module
from tests.importers.tflite.single import RESOLVER, names_of, options, sample
from tests.importers.tflite.test_operators import CASES, MOVEMENT, float32, int8
from tests.oracle.litert import Operator, build_model, run_reference

EXAMPLES = [
    (c.values[0], c.id)
    for c in (*CASES, *MOVEMENT)
    # LiteRT ends the process on some masks; test_operators.py has each of them.
    if c.values[0].options is not None and c.values[0].builtin != "STRIDED_SLICE"
]


def imported(operator: Operator) -> tuple[str, bool] | None:
    """The IR as text, and whether something of it is carried whole; None if it is refused."""
    try:
        module = import_tflite(build_model([operator]))
    except FuriosaError:
        return None
    module.attributes.pop("graph.source_hash")
    whole = any(op.name == "graph.opaque" for op in module.walk())
    for op in module.walk():
        op.properties.pop("origin", None)
    return print_module(module), whole


def values(field: str, now: Any) -> Iterator[Any]:
    """Values of an option that an operator does not have."""
    match now:
        case bool():
            yield not now
        case int():
            # No zeros: LiteRT divides by strides.
            yield from (v for v in (1, 2, 3, 4) if v != now)
        case float():
            yield from (v for v in (0.25, 2.5) if v != now)
        case None if field in ("newShape", "squeezeDims"):
            yield from ([1], [2, 1], [0])
        case list():
            yield from ([1], [2, 1], [0])
        case _:
            return


def changed(operator: Operator, field: str, value: Any) -> Operator:
    table = copy.copy(operator.options)
    setattr(table, field, value)
    return replace(operator, options=table)


def run(operator: Operator) -> Sequence[Any] | None:
    """What LiteRT makes of it; None if it refuses it."""
    rng = np.random.default_rng(7)
    inputs = [t for t in operator.inputs if t is not None and t.data is None]
    arrays = [sample(t, rng) for t in inputs]
    try:
        return run_reference(build_model([operator]), arrays, RESOLVER)
    except (RuntimeError, ValueError):
        return None


@pytest.mark.parametrize("operator", [o for o, _ in EXAMPLES], ids=[i for _, i in EXAMPLES])
def test_no_option_is_dropped(operator: Operator):
    base = imported(operator)
    assert base is not None
    if base[1]:
        return
    before = run(operator)
    assert before is not None
    for field, now in vars(operator.options).items():
        for value in values(field, now):
            other = changed(operator, field, value)
            if imported(other) != base:
                continue
            after = run(other)
            same = after is not None and all(map(np.array_equal, before, after))
            assert after is None or same, f"{field} = {value}"


def test_an_import_function_that_drops_an_option_is_found(monkeypatch: pytest.MonkeyPatch):
    class Dropping(LeakyReluOp):
        """Test."""

        @classmethod
        def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
            return node.emit(LeakyReluOp, node.operands, alpha=0.25)

    monkeypatch.setitem(TFLITE_OPERATORS, "LEAKY_RELU", Dropping)
    x, y = float32("x", 2, 3), float32("y", 2, 3)
    model = build_model([Operator("LEAKY_RELU", [x], [y], options("LeakyRelu", alpha=0.5))])
    assert names_of(import_tflite(model)) == ["LEAKY_RELU"]  # on the host, with its alpha


def test_a_plug_ins_options_are_imported_by_their_names(monkeypatch: pytest.MonkeyPatch):
    @irdl_op_definition
    class Leaky(UnaryOp):
        """Test."""

        name = "graph.test_leaky"
        alpha = opt_prop_def(FloatAttr.constr(f64))

    @irdl_op_definition
    class Add(BinaryOp):
        """Test."""

        name = "graph.test_add"
        IGNORED: ClassVar = {"PotScaleInt16": "of int16"}
        fused_activation_function = opt_prop_def(IntegerAttr.constr(i64))

    monkeypatch.setitem(TFLITE_OPERATORS, "LEAKY_RELU", Leaky)
    monkeypatch.setitem(TFLITE_OPERATORS, "ADD", Add)
    x, y = float32("x", 2, 3), float32("y", 2, 3)
    model = build_model([Operator("LEAKY_RELU", [x], [y], options("LeakyRelu", alpha=0.5))])
    assert "alpha = 0.5" in print_module(import_tflite(model))
    a, b, c = (int8(n, 2, 3) for n in "abc")
    relu = options("Add", fusedActivationFunction=schema.ActivationFunctionType.RELU)
    module = import_tflite(build_model([Operator("ADD", [a, b], [c], relu)]))
    # The base class has read it: what is an operation of its own is no property as well.
    assert names_of(module) == ["test_add", "relu"]
    assert "fused_activation_function" not in print_module(module)
