"""SOFTMAX as LiteRT's reference kernel computes it: gemmlowp's fixed point, no float.

exp comes from a table of the 256 possible differences from the greatest element; the reciprocal of
their sum is three Newton-Raphson steps on 31-bit fractions, one number a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.backends.warboy import hints
from furiosa_ir.backends.warboy.lowering.constraints import not_8bit
from furiosa_ir.backends.warboy.lowering.litert import tables
from furiosa_ir.backends.warboy.lowering.registry import LITERT, Emitter, lowers
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.graph.reduction import SoftmaxOp
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.shaped_operation import normal_axis, shape_of

INT32: dict[str, Any] = {"element": i32, "minimum": -(1 << 31), "maximum": (1 << 31) - 1}
ACCUMULATOR_FRACTION_BITS = 19
"""The sum is Q12.19 (``kAccumulationIntegerBits``): an element equal to the maximum adds 2**19."""


def not_last_axis(op: SoftmaxOp) -> hints.Hint | None:
    """TFLite's softmax is over the last dimension."""
    rank = len(shape_of(op.x))
    if normal_axis(op, op.axis.value.data, rank) != rank - 1:
        return hints.form(op.name, "over another than the last dimension")
    return None


@lowers(SoftmaxOp, LITERT, unless=[not_8bit, not_last_axis])
def softmax(op: SoftmaxOp, emit: Emitter) -> SSAValue:
    """SOFTMAX: the output is q = -128 + 256 * softmax; the kernel ignores its quantisation."""
    x, axis = emit.operand(op.x), len(shape_of(op.x)) - 1
    greatest = emit.emit(contraction.ReduceOp, [x], kind="max", axes=[axis], x_zp=0)
    difference = emit.emit(arithmetic.SubOp, [x, greatest], i32)
    # -255 ... 0 as table indices -128 ... 127.
    index = emit.rescale(difference, 1, 0, rounding="floor", output_zp=127)
    table = tables.softmax_exp(emit.quantization(op.x).scale, op.beta.value.data)[::-1]
    exp = emit.emit(arithmetic.LookupOp, [index, emit.constant(table, i32)], i32)
    addend = emit.rescale(exp, 1, 31 - ACCUMULATOR_FRACTION_BITS, rounding="away", **INT32)
    total = emit.emit(contraction.ReduceOp, [addend], i32, kind="sum", axes=[axis], x_zp=0)
    scale, shift = _reciprocal(total, shape_of(op.x)[axis], emit)
    return _multiply(exp, scale, emit, shift, "double", element=i8, output_zp=-128)


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
    halves = [_lookup(top, 1 << (11 - o), i32, emit) for top, o in zip(tops, octave, strict=True)]
    shifts = [_lookup(top, 54 + o, i8, emit) for top, o in zip(tops, octave, strict=True)]
    half, shift = halves[0], shifts[0]
    if depth > 255:
        half = emit.emit(arithmetic.MinimumOp, halves, i32)
        shift = emit.emit(arithmetic.MaximumOp, shifts)
    # Normalised to [1/2, 1) in Q0.31, then x = 48/17 - 32/17 * d, x += x * (1 - d * x) in Q2.29.
    zero = emit.scalar(0, i8)
    denominator = _multiply(total, half, emit, zero)
    x = emit.rescale(denominator, -1010580540, 31, rounding="up", output_zp=1515870810, **INT32)
    for _ in range(3):
        product = _multiply(denominator, x, emit)
        error = emit.emit(arithmetic.SubOp, [emit.scalar(1 << 29, i32), product], i32)
        correction = emit.rescale(_multiply(x, error, emit), 4, 0, rounding="floor", **INT32)
        x = emit.emit(arithmetic.AddOp, [x, correction], i32)
    return emit.rescale(x, 2, 0, rounding="floor", **INT32), shift


def _lookup(x: SSAValue, table: Array, element: Attribute, emit: Emitter) -> SSAValue:
    return emit.emit(arithmetic.LookupOp, [x, emit.constant(table, element)], element)


def _multiply(
    a: SSAValue,
    b: SSAValue,
    emit: Emitter,
    shift: SSAValue | None = None,
    rounding: str = "up",
    *,
    element: Attribute = i32,
    output_zp: int = 0,
) -> SSAValue:
    """a * b * 2**-shift; by default ``SaturatingRoundingDoublingHighMul``: a shift of 31."""
    low, high = (-128, 127) if element == i8 else (INT32["minimum"], INT32["maximum"])
    return emit.emit(
        arithmetic.RescaleOp,
        [a, b, emit.scalar(31, i8) if shift is None else shift],
        element,
        input_zp=0,
        output_zp=output_zp,
        minimum=low,
        maximum=high,
        rounding=rounding,
    )
