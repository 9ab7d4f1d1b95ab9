"""Each operation on Arm's reference model against the operation's own definition, or refused.

All that are drawn are one function, which the model runs once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import FunctionType, i8, i32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from furiosa_ir.backends.mlir.segment import MlirSegment
from furiosa_ir.backends.mlir.tosa.lowering import rescale
from furiosa_ir.backends.mlir.tosa.lowering.conversion import convert_function
from furiosa_ir.backends.mlir.tosa.lowering.registry import LOWERINGS
from furiosa_ir.backends.mlir.tosa.text import function_text
from furiosa_ir.dialects.ftensor import (
    OPERATIONS,
    AddOp,
    ConstantOp,
    ConvOp,
    DivideOp,
    MatMulOp,
    MulOp,
    RescaleOp,
    SubOp,
)
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Binding
from tests.backends.mlir.native_functions import defined_results
from tests.backends.mlir.segments_of_one import DRAWS, Case, Draw, rescale_case
from tests.backends.mlir.tosa.reference_model import model_of, tools
from tests.draws import draws

needs_tools = pytest.mark.skipif(
    tools() is None, reason="tosa-tools is not installed (make tosa-tools)"
)


def drawn(draw: Draw, kind: Any) -> Case:
    """A case whose sums an i32 holds: TOSA does not define others, nor does LiteRT."""
    case = draw.case(kind)
    if kind in (ConvOp, MatMulOp) and case.operands[2] is not None:
        bias = draw.operand(case.operands[2][0].shape, i32, 28)
        return replace(case, operands=(*case.operands[:2], bias))
    if kind in (AddOp, SubOp, MulOp) and case.element == i32:
        operands = tuple(
            o if o is None or o[1] == i8 else draw.operand(o[0].shape, i32, 23)
            for o in case.operands
        )
        return replace(case, operands=operands)
    return case


def refusal(case: Case) -> str | None:
    """Why a case has no form in TOSA; None if it has one."""
    function = case.function()
    try:
        convert_function(function)
    except CompilationFailure as error:
        return str(error)
    return None


def joined(cases: Sequence[Case]) -> FuncOp:
    """One function of all cases: their arguments and results one behind the other."""
    block, results = Block(), list[Any]()
    for case in cases:
        function = case.function()
        body = function.body.block
        values: dict[Any, Any] = {a: block.insert_arg(a.type, len(block.args)) for a in body.args}
        for op in body.ops:
            if isinstance(op, ReturnOp):
                results += [values[v] for v in op.arguments]
            else:
                block.add_op(op.clone(value_mapper=values))
    block.add_op(ReturnOp(*results))
    types = FunctionType.from_lists([a.type for a in block.args], [r.type for r in results])
    return FuncOp("npu_0", types, Region(block))


def differing(cases: Sequence[Case]) -> list[Case]:
    """The cases of which the reference model makes something else than the operation."""
    function = joined(cases)
    inputs = tuple(Binding(i, i) for i in range(len(function.body.block.args)))
    outputs = tuple(Binding(i, i) for i in range(len(cases)))
    convert_function(function)
    segment = MlirSegment("npu_0", inputs, outputs, (), function_text(function), b"")
    with model_of(segment) as model:
        made = model.run([a for case in cases for a in case.arguments()])
    pairs = zip(cases, made, strict=True)
    return [case for case, got in pairs if not np.array_equal(got, expected(case))]


def expected(case: Case) -> Array:
    """What the operation is defined to give."""
    return defined_results(case.function(), case.arguments())[0]


def test_every_operation_has_a_lowering() -> None:
    assert LOWERINGS.keys() == {kind for kind in OPERATIONS if kind is not ConstantOp}


def checked(seed: int, count: int) -> Counter[Any]:
    """How many cases of each kind have a form, after they were compared."""
    draw = Draw(seed)
    cases = [drawn(draw, kind) for kind in DRAWS for _ in range(count)]
    exact = [case for case in cases if refusal(case) is None]
    assert differing(exact) == []
    return Counter(case.kind for case in exact)


@needs_tools
def test_each_operation() -> None:
    have_forms = checked(0, 12)
    assert have_forms.keys() == DRAWS.keys() - {DivideOp}


@needs_tools
@pytest.mark.slow
def test_many_of_each_operation() -> None:
    for seed in range(1, 1 + draws(8)):
        checked(seed, 12)
        assert differing(rescales(seed, 12)) == []


def rescales(seed: int, count: int) -> list[Case]:
    """Rescales by constants, with ties and extremes, as far as TOSA has them."""
    draw, found = Draw(seed), list[Case]()
    for rounding, element in product(("double", "up", "away", "floor", "even"), (i8, i32)):
        for _ in range(count):
            case = rescale_case(draw, (3, 20, 30), element, rounding, 0)
            x, factor, shift = case.operands
            assert factor is not None
            assert shift is not None
            # TOSA's factors are not negative; LiteRT's seldom shift to the left.
            size = np.maximum(np.abs(factor[0].astype(np.int64)) - draw.number(0, 1), 0)
            positive = np.asarray(np.minimum(size, (1 << 31) - 1), np.int32)
            further = np.asarray(np.maximum(shift[0], draw.one([0, 10, 31, 33])), np.int8)
            operands = x, (positive, i32), (further, i8)
            for drawn_case in (case, replace(case, operands=operands)):
                if refusal(drawn_case) is None:
                    found.append(drawn_case)
    return found


@needs_tools
def test_rescales_with_ties_and_extremes() -> None:
    # Where a zero point went beyond 32 bits: first added to an i32, then taken for saturated.
    cases = rescales(4, 12)
    kinds = Counter(
        (c.properties["rounding"], str(c.operands[0][1])) for c in cases if c.operands[0]
    )
    assert len(kinds) >= 9
    assert differing(cases) == []


@needs_tools
def test_a_wrong_rounding_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [c for c in rescales(0, 12) if c.properties["rounding"] in ("away", "double")]
    monkeypatch.setattr(rescale, "_plainest", lambda _op, _scaling: "up")
    caught = {c.properties["rounding"] for c in differing(cases)}
    assert caught == {"away", "double"}


def test_what_is_refused_says_why() -> None:
    draw = Draw(0)
    (why,) = {refusal(draw.case(DivideOp)) for _ in range(3)}
    assert why is not None
    assert "'ftensor.divide' has no exact form in TOSA: a quotient of 48 bits" in why
    near = [rescale_case(draw, (4,), i32, "near_even", 0) for _ in range(20)]
    assert any("ties that are rounded to even" in (refusal(case) or "") for case in near)
    assert RescaleOp in LOWERINGS
