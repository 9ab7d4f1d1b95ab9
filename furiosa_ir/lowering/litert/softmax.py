"""SOFTMAX and LOG_SOFTMAX as LiteRT's reference kernels compute them: fixed point, no float.

exp comes from a table of the 256 possible differences from the greatest element; the reciprocal or
the logarithm of their sum is Newton-Raphson steps on 31-bit fractions, one number a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.graph.reduction import LogSoftmaxOp, NormalizedExpOp, SoftmaxOp
from furiosa_ir.ir.shaped_operation import normal_axis, shape_of
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import function_tables, gemmlowp_operations
from furiosa_ir.lowering.litert.gemmlowp_operations import INT32
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers

ACCUMULATOR_FRACTION_BITS = 19
"""The sum is Q12.19 (``kAccumulationIntegerBits``): an element equal to the maximum adds 2**19."""


def not_last_axis(op: NormalizedExpOp) -> hints.Hint | None:
    """TFLite's softmax is over the last dimension."""
    rank = len(shape_of(op.x))
    if normal_axis(op, op.axis.value.data, rank) != rank - 1:
        return hints.form(op.name, "over another than the last dimension")
    return None


class _Exponentials(NamedTuple):
    """What the two operators share.

    Attributes:
        difference: those from the greatest element, -255 ... 0, as -128 ... 127 (i8).
        exp: their exponentials in Q0.31 (i32).
        total: the sum of these over the last dimension in Q12.19 (i32, [..., 1]).
    """

    difference: SSAValue
    exp: SSAValue
    total: SSAValue


def _exponentials(op: NormalizedExpOp, emit: Emitter) -> _Exponentials:
    x, axis = emit.operand(op.x), len(shape_of(op.x)) - 1
    greatest = emit.emit(contraction.ReduceOp, [x], kind="max", axes=[axis], x_zp=0)
    difference = emit.emit(arithmetic.SubOp, [x, greatest], i32)
    index = emit.rescale(difference, 1, 0, rounding="floor", output_zp=127)
    table = function_tables.softmax_exp(emit.quantization(op.x).scale, op.beta.value.data)[::-1]
    exp = gemmlowp_operations.lookup(index, table, i32, emit)
    addend = emit.rescale(exp, 1, 31 - ACCUMULATOR_FRACTION_BITS, rounding="away", **INT32)
    total = emit.emit(contraction.ReduceOp, [addend], i32, kind="sum", axes=[axis], x_zp=0)
    return _Exponentials(index, exp, total)


@lowers(SoftmaxOp, LITERT, unless=[not_8bit, not_last_axis])
def softmax(op: SoftmaxOp, emit: Emitter) -> SSAValue:
    """SOFTMAX: the output is q = -128 + 256 * softmax; the kernel ignores its quantisation."""
    _, exp, total = _exponentials(op, emit)
    scale, shift = _reciprocal(total, shape_of(op.x)[-1], emit)
    return gemmlowp_operations.scaled(exp, scale, shift, emit, "double", element=i8, output_zp=-128)


def _reciprocal(total: SSAValue, depth: int, emit: Emitter) -> tuple[SSAValue, SSAValue]:
    """``GetReciprocal``: 1 / total as Q0.31 [..., 1], and the shift that ends the kernel.

    total is in [2**19, 2**19 * depth]; its octave is floor(log2(total / 2**19)), 0 to 8: where a
    row's sum reaches 512 LiteRT aborts the process.
    """
    # The octave from the top bits: of total / 2**19 up to 255, and of its half for longer rows.
    top = np.arange(256)
    octave = [np.frexp(np.maximum(top, 1))[1] - 1]
    if depth > 255:
        octave.append(np.frexp(np.maximum(2 * top, 1))[1] - 1)
    tops = [
        emit.rescale(total, 1, ACCUMULATOR_FRACTION_BITS + i, rounding="floor", output_zp=-128)
        for i in range(len(octave))
    ]
    pairs = list(zip(tops, octave, strict=True))
    halves = [gemmlowp_operations.lookup(top, 1 << (11 - o), i32, emit) for top, o in pairs]
    shifts = [gemmlowp_operations.lookup(top, 54 + o, i8, emit) for top, o in pairs]
    half, shift = halves[0], shifts[0]
    if depth > 255:
        half = emit.emit(arithmetic.MinimumOp, halves, i32)
        shift = emit.emit(arithmetic.MaximumOp, shifts)
    # Normalised to [1/2, 1) in Q0.31.
    denominator = gemmlowp_operations.scaled(total, half, emit.scalar(0, i8), emit)
    return gemmlowp_operations.reciprocal_of_half(denominator, emit), shift


OUTPUT_FRACTION_BITS = 22
"""A step of the result is 1/16, which is so many bits of Q5.26 (``kOutputIntegerBits`` 4)."""


@lowers(LogSoftmaxOp, LITERT, unless=[not_8bit, not_last_axis])
def log_softmax(op: LogSoftmaxOp, emit: Emitter) -> SSAValue:
    """LOG_SOFTMAX: the difference less the logarithm of the sum, both in Q5.26.

    LiteRT accepts one quantisation of the result only: steps of 1/16, the zero point 127.
    """
    difference, _, total = _exponentials(op, emit)
    difference = gemmlowp_operations.lookup(
        difference,
        function_tables.log_softmax_difference(emit.quantization(op.x).scale)[::-1],
        i32,
        emit,
    )
    logarithm = gemmlowp_operations.logarithm(total, emit)
    result = emit.emit(arithmetic.SubOp, [difference, logarithm], i32)
    return emit.rescale(result, 1, OUTPUT_FRACTION_BITS, rounding="away", output_zp=127)
