"""Operators without an options table, as LiteRT accepts them: every option has its default."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp, ReturnOp

from furiosa_ir.importers.tflite import import_tflite
from tests.lowering.network import evaluate_lowered
from tests.oracle.litert import Operator, Tensor, build_model, run_reference


def int8(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, np.int8, 0.5)


AXES = Tensor.constant("axes", np.array([1], np.int32))

CASES = {
    "MINIMUM": ([int8("a", 2, 4), int8("b", 4)], int8("y", 2, 4)),
    "MAXIMUM": ([int8("a", 2, 4), int8("b", 4)], int8("y", 2, 4)),
    "ADD": ([int8("a", 2, 4), int8("b", 2, 4)], int8("y", 2, 4)),
    "MEAN": ([int8("a", 2, 4), AXES], int8("y", 2)),
    "REDUCE_MAX": ([int8("a", 2, 4), AXES], int8("y", 2)),
    "BATCH_MATMUL": ([int8("a", 1, 2, 4), int8("b", 1, 4, 3)], int8("y", 1, 2, 3)),
}


@pytest.mark.parametrize("operator", CASES)
def test_no_options_means_default_options(operator: str) -> None:
    operands, y = CASES[operator]
    model = build_model([Operator(operator, operands, [y], None, 2)])
    rng = np.random.default_rng(0)
    data = [rng.integers(-128, 128, t.shape).astype(np.int8) for t in operands if t.data is None]
    (expected,) = run_reference(model, data)
    (function,) = import_tflite(model).body.ops
    assert isinstance(function, FuncOp)
    block = function.body.block
    assert isinstance(block.last_op, ReturnOp)
    got = evaluate_lowered(block.args, block.ops, block.last_op.arguments[0], data)
    np.testing.assert_array_equal(got, expected)
