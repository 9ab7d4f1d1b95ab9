"""Element-by-element operators in exact arithmetic.

Every function of one 8-bit element is a table, so a new unary operator needs no lowering: its
class's `evaluate` is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.ftensor.base import TensorOp, i48
from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.elementwise import (
    AddOp,
    BinaryOp,
    ClipOp,
    DivOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PowOp,
    PReluOp,
    ReluOp,
    SubOp,
    UnaryOp,
)
from furiosa_ir.dialects.graph.evaluation import evaluate_table
from furiosa_ir.dialects.graph.normalization import MeanOp, SumOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.dialects.quant import arithmetic as quant
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import not_8bit, not_8bit_activation
from furiosa_ir.lowering.exact.scale import (
    apply_table,
    divide,
    exact_multipliers,
    lookup,
    near_fraction,
    quantize_accumulator,
    real_elements,
    requantize,
    wide_multiple,
    widen,
)
from furiosa_ir.lowering.registry import EXACT, Emitter, lowers
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array

CODES = np.arange(-128, 128)
"""The values of an i8, in the order of a table."""


@lowers(UnaryOp, EXACT, unless=[not_8bit])
def unary(op: UnaryOp, emit: Emitter) -> SSAValue:
    """Q(f(dequantised x)), looked up: of every function that declares nothing else."""
    source, target = emit.quantization(op.x), emit.quantization(op.result)
    return apply_table(
        emit, emit.operand(op.x), source, target, lambda x: evaluate_table(op, [x], x.size)
    )


def _bounded(op: ReluOp | ClipOp, emit: Emitter, low: float | None, high: float | None) -> SSAValue:
    """A clamp where both sides are quantised alike (it then joins the rescale), else a table."""
    source, target = emit.quantization(op.x), emit.quantization(op.result)
    if (source.scale, source.zero_point) != (target.scale, target.zero_point):
        return unary(op, emit)
    least = -128 if low is None else int(quant.quantize(low, target))
    most = 127 if high is None else int(quant.quantize(high, target))
    bounds = (min(least, most), most)  # beyond the maximum, the minimum does not count
    operand = emit.operand(op.x)
    if bounds == (-128, 127):
        return operand
    return emit.emit(arithmetic.ClampOp, [operand], i8, minimum=bounds[0], maximum=bounds[1])


@lowers(ReluOp, EXACT, unless=[not_8bit])
def relu(op: ReluOp, emit: Emitter) -> SSAValue:
    """Q(max(x, 0)) = max(Q(x), Q(0)): quantising is monotone."""
    return _bounded(op, emit, 0.0, None)


@lowers(ClipOp, EXACT, unless=[not_8bit])
def clip(op: ClipOp, emit: Emitter) -> SSAValue:
    """Q(clip(x)) = clamp(Q(x), Q(minimum), Q(maximum)): quantising is monotone."""
    low, high = (None if b is None else b.value.data for b in (op.minimum, op.maximum))
    return _bounded(op, emit, low, high)


@lowers(QuantizeOp, EXACT, unless=[not_8bit])
def quantize(op: QuantizeOp, emit: Emitter) -> SSAValue:
    """Requantisation: a table."""
    return requantize(
        emit, emit.operand(op.x), emit.quantization(op.x), emit.quantization(op.result)
    )


def _sum(
    op: GraphOp, operands: Sequence[SSAValue], factors: Sequence[float], emit: Emitter
) -> SSAValue:
    """The sum of (x - x_zp) * M in i48, one rounding: M is factor * x_scale / result_scale."""
    y = emit.quantization(op.results[0])
    quantizations = [emit.quantization(v) for v in operands]
    scaled = np.array([f * q.scale for f, q in zip(factors, quantizations, strict=True)]) / y.scale
    # One shift for all: the largest factor gets all 31 bits.
    _, shifts = exact_multipliers(scaled)
    shift = int(shifts.min())
    wide = [
        wide_multiple(emit, emit.operand(v), round(float(np.ldexp(f, shift))), q.zero_point)
        for v, q, f in zip(operands, quantizations, scaled, strict=True)
    ]
    total = reduce(lambda a, b: emit.emit(arithmetic.AddOp, [a, b], i48), wide)
    return emit.rescale(total, 1, shift, rounding="near_even", output_zp=y.zero_point)


@lowers(AddOp, EXACT, unless=[not_8bit])
def add(op: AddOp, emit: Emitter) -> SSAValue:
    """A weighted sum, rounded once."""
    return _sum(op, op.operands, [1, 1], emit)


@lowers(SubOp, EXACT, unless=[not_8bit])
def sub(op: SubOp, emit: Emitter) -> SSAValue:
    """A weighted difference, rounded once."""
    return _sum(op, op.operands, [1, -1], emit)


@lowers(SumOp, EXACT, unless=[not_8bit])
def sum_(op: SumOp, emit: Emitter) -> SSAValue:
    """A weighted sum of any number of operands, rounded once."""
    return _sum(op, op.operands, [1] * len(op.operands), emit)


@lowers(MeanOp, EXACT, unless=[not_8bit])
def mean(op: MeanOp, emit: Emitter) -> SSAValue:
    """A weighted sum, rounded once."""
    return _sum(op, op.operands, [1 / len(op.operands)] * len(op.operands), emit)


@lowers(MulOp, EXACT, unless=[not_8bit])
def mul(op: MulOp, emit: Emitter) -> SSAValue:
    """The product of the differences, rescaled by a_scale * b_scale / result_scale."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    product = emit.emit(
        arithmetic.MulOp,
        [
            widen(emit, emit.operand(op.a), a.zero_point),
            widen(emit, emit.operand(op.b), b.zero_point),
        ],
        i32,
    )
    return quantize_accumulator(emit, product, a.scale * b.scale, y)


@lowers(DivOp, EXACT, unless=[not_8bit])
def div(op: DivOp, emit: Emitter) -> SSAValue:
    """One division of integers, of (a - a_zp) * N * sign(b) by |b - b_zp| * D.

    N / D is a_scale / (b_scale * result_scale). x / 0 saturates, 0 / 0 is 0: what is stored of
    infinities and of NaN.
    """
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    real = Fraction(a.scale) / Fraction(b.scale) / Fraction(y.scale)
    ratio = near_fraction(real, 1 << 30, 1 << 38)
    a_steps, b_steps = CODES - a.zero_point, CODES - b.zero_point
    tables = (
        (op.a, a_steps * ratio.numerator),
        (op.b, np.where(b_steps == 0, 256, np.sign(b_steps))),
        (op.b, np.where(b_steps == 0, 1, np.abs(b_steps) * ratio.denominator)),
    )
    wide, sign, divisor = (lookup(emit, emit.operand(v), table, i48) for v, table in tables)
    return divide(emit, emit.emit(arithmetic.MulOp, [wide, sign], i48), divisor, y)


def variable_exponent(op: PowOp) -> hints.Hint | None:
    """The exponent is computed by the network, or not one number."""
    exponent = constant_of(op.b)
    if exponent is None or exponent.size != 1 or len(shape_of(op.b)) > len(shape_of(op.a)):
        return hints.form(op.name, "with an exponent that is not one constant")
    return None


@lowers(PowOp, EXACT, unless=[not_8bit_activation, variable_exponent])
def power(op: PowOp, emit: Emitter) -> SSAValue:
    """Q(dequantised x to the exponent), looked up."""
    exponent = op.exponent(real_elements(op.b).reshape(()))
    a, y = emit.quantization(op.a), emit.quantization(op.result)
    return apply_table(emit, emit.operand(op.a), a, y, lambda x: elementary.power(x, exponent))


@lowers(PReluOp, EXACT, unless=[not_8bit_activation])
def p_relu(op: PReluOp, emit: Emitter) -> SSAValue:
    """Q(max(a, 0)) + Q(min(a, 0) * slope): one of the two is 0."""
    a, y = emit.quantization(op.a), emit.quantization(op.result)
    steps = CODES - a.zero_point
    above = quant.quantize(np.maximum(steps, 0) * a.scale, y).astype(np.int32) - y.zero_point
    below = lookup(emit, emit.operand(op.a), np.minimum(steps, 0), i32)
    quantized_slope = quantization_of(op.b)
    if quantized_slope is None or quantized_slope.axis is not None:
        # Real slopes are factors; the slopes of a TFLite file and of QDQ networks are data.
        factor = real_elements(op.b) * (a.scale / y.scale)
        multiplier, shift = exact_multipliers(np.clip(factor, -(2.0**30), 2.0**30))
        scaled = _wide_rescale(emit, below, multiplier, shift)
    else:
        b = emit.quantization(op.b)
        slope = widen(emit, emit.operand(op.b), b.zero_point)
        product = emit.emit(arithmetic.MulOp, [below, slope], i32)
        scaled = _wide_rescale(emit, product, *exact_multipliers(a.scale * b.scale / y.scale))
    positive = lookup(emit, emit.operand(op.a), above, i32)
    total = emit.emit(arithmetic.AddOp, [positive, scaled], i32)
    return emit.rescale(total, 1, 0, rounding="floor", output_zp=y.zero_point)


def _wide_rescale(emit: Emitter, x: SSAValue, multiplier: Array, shift: Array) -> SSAValue:
    """x times a factor, rounded once to an i32."""
    return emit.rescale(
        x, multiplier, shift, rounding="near_even", minimum=-1024, maximum=1024, element=i32
    )


def _extremum(op: BinaryOp, emit: Emitter, kind: type[TensorOp]) -> SSAValue:
    """Both operands under the result's scale, then compared: quantising is monotone."""
    y = emit.quantization(op.result)
    operands = [requantize(emit, emit.operand(v), emit.quantization(v), y) for v in (op.a, op.b)]
    return emit.emit(kind, operands, i8)


@lowers(MinimumOp, EXACT, unless=[not_8bit])
def minimum(op: MinimumOp, emit: Emitter) -> SSAValue:
    """Q(min(a, b)) = min(Q(a), Q(b))."""
    return _extremum(op, emit, arithmetic.MinimumOp)


@lowers(MaximumOp, EXACT, unless=[not_8bit])
def maximum(op: MaximumOp, emit: Emitter) -> SSAValue:
    """Q(max(a, b)) = max(Q(a), Q(b))."""
    return _extremum(op, emit, arithmetic.MaximumOp)
