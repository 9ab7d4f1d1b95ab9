"""What ranges say of values, on what operations are defined to give."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Block

from furiosa_ir.backends.mlir.ranges import Ranges
from furiosa_ir.dialects.ftensor import ClampOp, ConstantOp, RescaleOp, TensorOp, i48
from furiosa_ir.ir.shaped_operation import tensor_type
from tests.backends.mlir.native_functions import defined_results
from tests.backends.mlir.segments_of_one import DRAWS, Case, Cases, Draw
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


@pytest.mark.parametrize("zero_point", [-1, -1000, 0])
@pytest.mark.parametrize("shifts", [(51, 30), (51, 51), (31, 20)])
def test_differences_of_more_than_32_bits(zero_point: int, shifts: tuple[int, int]) -> None:
    """LiteRT takes the lower 32 bits of what it shifts to the left, and of nothing else."""
    x = np.array([[(1 << 31) - 1] * 2, [-(1 << 31)] * 2, [7, -7]], np.int32)
    factors = (np.array([1 << 30] * 2, np.int32), i32), (np.array(shifts, np.int8), i8)
    limits = {"minimum": -(1 << 31), "maximum": (1 << 31) - 1}
    properties = {"input_zp": zero_point, "rounding": "double", **limits}
    case = Case(RescaleOp, ((x, i32), *factors), (False, True, True), i32, properties)
    assert outside(case) == []
    pytest.importorskip("iree.compiler", reason="the extra `iree` is not installed")
    together = Cases()
    together.add([case])
    assert together.differing() == []


def test_products_that_wrap_may_be_anything() -> None:
    """In 64 bits: a value of 46 bits times a multiplier of 31."""
    low = 1 << 45
    block = Block(arg_types=[tensor_type(i48, (1,))])
    clamp = ClampOp.make([block.args[0]], [i48], minimum=low, maximum=low + 100)
    multiplier = ConstantOp.make([], [i32], value=np.array((1 << 31) - 1, np.int32))
    shift = ConstantOp.make([], [i8], value=np.array(62, np.int8))
    limits = {"minimum": -(1 << 31), "maximum": (1 << 31) - 1}
    scaled = RescaleOp.make(
        [clamp.result, multiplier.result, shift.result], [i32], rounding="up", **limits
    )
    block.add_ops([clamp, multiplier, shift, scaled])
    (given,) = clamp.evaluate(np.array([low]))
    (made,) = scaled.evaluate(given, multiplier.value.array, shift.value.array)
    least, greatest = Ranges().of(scaled.result)
    assert least <= int(made[0]) <= greatest
