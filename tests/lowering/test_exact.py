"""The exact lowerings against dequantise - compute in float64 - quantise, element for element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Region

from furiosa_ir.backends.warboy.lowering import refusal
from furiosa_ir.backends.warboy.passes.lower_to_ftensor import lower_function
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.interpreter import run_function
from furiosa_ir.ir.shaped_operation import shape_of
from tests.lowering.exact_cases import CASES, Draw

SEEDS = 40


def draw(case: str, seed: int) -> tuple[FuncOp, GraphOp, list[Any]]:
    """A function of one drawn operator in a module of ONNX numerics, and random inputs."""
    d = Draw(np.random.default_rng([seed, *case.encode()]))
    op = CASES[case](d)
    d.block.add_op(op)
    d.block.add_op(ReturnOp(*op.results))
    types = [a.type for a in d.block.args], [r.type for r in op.results]
    function = FuncOp("main", types, Region(d.block))
    module = ModuleOp([function])
    module.attributes["graph.source"] = StringAttr("onnx")
    inputs: list[Any] = []
    for value in d.block.args:
        q = quantization_of(value)
        assert q is not None
        low, high = q.storage_range
        inputs.append(d.rng.integers(low, high + 1, shape_of(value)).astype(q.dtype))
    return function, op, inputs


def stored_as_int8(array: Any) -> Any:
    return (array ^ np.uint8(0x80)).view(np.int8) if array.dtype == np.uint8 else array


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("case", CASES)
def test_lowering_equals_exact_arithmetic(case: str, seed: int) -> None:
    function, op, inputs = draw(case, seed)
    op.verify()
    assert refusal(op, "exact") is None
    want = run_function(function, inputs)
    lower_function(function, "exact")
    function.verify()
    got = run_function(function, [stored_as_int8(x) for x in inputs])
    for w, g in zip(want, got, strict=True):
        np.testing.assert_array_equal(g, stored_as_int8(w))
