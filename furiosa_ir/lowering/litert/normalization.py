"""L2_NORMALIZATION as LiteRT's reference kernel computes it."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.graph.reduction import LpNormalizationOp
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import gemmlowp_operations
from furiosa_ir.lowering.litert.convolution import is_uint8
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers

CODES = np.arange(-128, 128)
OUTPUT_BITS = 7
"""A step of the result is 2**-7: LiteRT accepts no other."""


def sum_overflows(op: LpNormalizationOp) -> hints.Hint | None:
    """More squares than 31 bits hold: LiteRT's accumulator overflows."""
    zero_point = Emitter.quantization(op.x).zero_point
    count = shape_of(op.x)[-1]
    if count * max(zero_point + 128, 127 - zero_point) ** 2 >= 1 << 31:
        return hints.form(op.name, f"over {count} elements")
    return None


@lowers(LpNormalizationOp, LITERT, unless=[not_8bit, sum_overflows])
def l2_normalization(op: LpNormalizationOp, emit: Emitter) -> SSAValue:
    """L2_NORMALIZATION: times the inverse root of the sum of squares, five Newton-Raphson steps.

    uint8 multiplies by 128 before it rounds, int8 where it rounds.
    """
    x, zero_point = emit.operand(op.x), emit.quantization(op.x).zero_point
    squares = gemmlowp_operations.lookup(x, (CODES - zero_point) ** 2, i32, emit)
    axis = len(shape_of(op.x)) - 1
    total = emit.emit(contraction.ReduceOp, [squares], i32, kind="sum", axes=[axis], x_zp=0)
    multiplier, right = gemmlowp_operations.inverse_root(total, emit)
    before = OUTPUT_BITS if is_uint8(op.x) else 0
    shift = emit.emit(arithmetic.AddOp, [right, emit.scalar(31 + before - OUTPUT_BITS, i8)], i8)
    wide = emit.rescale(
        x, 1 << before, 0, rounding="floor", input_zp=zero_point, **gemmlowp_operations.INT32
    )
    return gemmlowp_operations.scaled(wide, multiplier, shift, emit, "double", element=i8)
