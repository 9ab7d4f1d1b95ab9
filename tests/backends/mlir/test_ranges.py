"""What ranges say of values, on what operations are defined to give."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import i8, i32

from furiosa_ir.backends.mlir.ranges import Ranges
from furiosa_ir.dialects.ftensor import RescaleOp, TensorOp
from tests.backends.mlir.native_functions import defined_results
from tests.backends.mlir.segments_of_one import DRAWS, Case, Draw
from tests.draws import draws


def outside(case: Case) -> list[int]:
    """Elements of a case's result that its range does not hold."""
    function = case.function()
    (result,) = defined_results(function, case.arguments())
    op = next(op for op in function.body.block.ops if isinstance(op, case.kind))
    ranges = Ranges()
    low, high = ranges.of(op.results[0])
    least, greatest = ranges.of_channels(op.results[0])
    assert low <= least.min()
    assert greatest.max() <= high
    return [int(v) for v in result[(result < least) | (result > greatest)]]


@pytest.mark.draws
@pytest.mark.parametrize("kind", DRAWS, ids=lambda kind: kind.name)
def test_no_value_is_outside(kind: type[TensorOp]) -> None:
    draw = Draw(3)
    for _ in range(draws(100)):
        assert outside(draw.case(kind)) == []


@pytest.mark.parametrize("element", [i8, i32])
@pytest.mark.parametrize("zero_point", [0, 1 << 20, -(1 << 20), (1 << 30) - 1])
def test_a_left_shift_that_wraps(element: object, zero_point: int) -> None:
    """LiteRT's rounding shifts the difference from the zero point, however far that is off."""
    x = np.array([-128, -1, 0, 1, 127], np.int8 if element == i8 else np.int32)
    for shift in range(18, 31):
        factors = (np.array(1 << 30, np.int32), i32), (np.array(shift, np.int8), i8)
        properties = {
            "input_zp": zero_point,
            "minimum": -(1 << 31),
            "maximum": (1 << 31) - 1,
            "rounding": "double",
        }
        case = Case(RescaleOp, ((x, element), *factors), (False, True, True), i32, properties)
        assert outside(case) == []
