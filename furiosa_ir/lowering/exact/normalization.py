"""Normalisations by norms and logarithms, affine functions, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp
from furiosa_ir.dialects.graph.normalization import AffineOp, BatchNormOp
from furiosa_ir.dialects.graph.reduction import LogSoftmaxOp, LpNormalizationOp
from furiosa_ir.ir.shaped_operation import normal_axis, shape_of
from furiosa_ir.lowering.constraints import (
    not_8bit,
    not_8bit_activation,
    not_8bit_result,
    variable_weight,
)
from furiosa_ir.lowering.exact.scale import (
    divide,
    exact_multipliers,
    lookup,
    near_fraction,
    quantize_affine,
    real_elements,
    wide_multiple,
)
from furiosa_ir.lowering.exact.search import (
    CANDIDATES,
    at_least,
    search,
    tie_side,
)
from furiosa_ir.lowering.integer_kernels import as_shape
from furiosa_ir.lowering.registry import EXACT, Emitter, lowers, refusal
from furiosa_ir.numerics import elementary
from furiosa_ir.numerics.array import Array


def neither_8bit_nor_accumulator(op: AffineOp) -> hints.Hint | None:
    """x is not 8-bit, nor is it the i32 accumulator of a product that the NPU computes."""
    x, owner = quantization_of(op.x), op.x.owner
    if x is None or x.storage != "i32" or not isinstance(owner, GraphOp):
        return not_8bit(op)
    if any(x.zero_points) or refusal(owner, EXACT) is not None:
        return hints.form(op.name, "of an accumulator that is not on the NPU")
    return not_8bit_result(op)


@lowers(AffineOp, EXACT, unless=[neither_8bit_nor_accumulator])
def affine(op: AffineOp, emit: Emitter) -> SSAValue:
    """(x - x_zp) * M + O in i48, one rounding; M and O for each channel, with a shift for both."""
    return _affine(op, op.factor.array, op.offset.array, emit)


@lowers(BatchNormOp, EXACT, unless=[not_8bit_activation, variable_weight])
def batch_norm(op: BatchNormOp, emit: Emitter) -> SSAValue:
    """An affine function of each channel."""
    parameters = op.affine([None, *(real_elements(v) for v in op.operands[1:])])
    assert parameters is not None
    return _affine(op, *parameters, emit)


def _affine(op: AffineOp | BatchNormOp, factor: Array, offset: Array, emit: Emitter) -> SSAValue:
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    shape, scale = shape_of(op.x), np.array(x.scales)
    if x.axis is not None:
        scale = emit.along(scale, x.axis, len(shape))
    factor, offset = factor * (scale / y.scale), offset / y.scale
    operand, layout = emit.operand(op.x), _layout(op.x)
    if "H" in layout or not isinstance(operand.owner, movement.ReshapeOp):
        return quantize_affine(emit, operand, x.zero_point, factor, offset, y)
    # A 1-D convolution is one row of a 2-D one: beside that, one kernel has both.
    factor, offset = (
        np.expand_dims(a.reshape([1] * (len(shape) - a.ndim) + list(a.shape)), layout.index("W"))
        for a in (factor, offset)
    )
    row = quantize_affine(emit, operand.owner.x, x.zero_point, factor, offset, y)
    return as_shape(emit, row, shape)


def _layout(value: SSAValue) -> str:
    """The layout of a convolution's result; of others, as if it had height."""
    owner = value.owner
    return owner.layout.data if isinstance(owner, ConvOp | ConvTransposeOp) else "H"


def other_norm(op: LpNormalizationOp) -> hints.Hint | None:
    """A norm other than p = 1 and p = 2."""
    p = op.p.value.data
    return None if p in (1, 2) else hints.form(op.name, f"with p = {p}")


@lowers(LpNormalizationOp, EXACT, unless=[not_8bit, other_norm])
def lp_normalization(op: LpNormalizationOp, emit: Emitter) -> SSAValue:
    """p = 1: a quotient of integers. p = 2: m steps are reached where x**2 >= (m - 1/2)**2 * S.

    S is the sum of squares, m counts steps from 0 and the sign is put back last: the squares are
    compared as x**2 * W >= S with a 31-bit factor W for each m, so no root is taken.
    """
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    operand = emit.operand(op.x)
    axis = normal_axis(op, op.axis.value.data, len(shape_of(op.x)))
    difference = CANDIDATES - x.zero_point
    norm = np.abs(difference) if op.p.value.data == 1 else difference**2
    terms = lookup(emit, operand, norm, i48)
    total = emit.emit(contraction.ReduceOp, [terms], i48, kind="sum", axes=[axis], x_zp=0)
    total = emit.emit(arithmetic.MaximumOp, [total, emit.scalar(1, i48)], i48)
    if op.p.value.data == 1:
        ratio = near_fraction(1 / Fraction(y.scale), 1 << 38, 1 << 20)
        scaled = lookup(emit, operand, difference * ratio.numerator, i48)
        return divide(emit, scaled, wide_multiple(emit, total, ratio.denominator, 0), y)
    steps = CANDIDATES + 128
    edge = np.maximum(tie_side(steps) * y.scale, 2.0**-15)
    multiplier, shift = exact_multipliers(1.0 / (edge * edge))
    squares = lookup(emit, operand, norm, i32)

    def reached(candidate: SSAValue) -> SSAValue:
        parts = [lookup(emit, candidate, t, e) for t, e in ((multiplier, i32), (shift, i8))]
        scaled = _scaled(emit, squares, *parts)
        return at_least(emit, scaled, total)

    magnitude = search(emit, squares, reached)
    steps_from_zero = emit.rescale(
        magnitude, 1, 0, rounding="floor", input_zp=-128, minimum=0, maximum=255, element=i32
    )
    sign = lookup(emit, operand, np.sign(difference), i32)
    signed = emit.emit(arithmetic.MulOp, [steps_from_zero, sign], i32)
    return emit.rescale(signed, 1, 0, rounding="floor", output_zp=y.zero_point)


def _scaled(emit: Emitter, x: SSAValue, multiplier: SSAValue, shift: SSAValue) -> SSAValue:
    """x * multiplier * 2**-shift rounded down, in i48, saturating; the factor being data."""
    return emit.emit(
        arithmetic.RescaleOp,
        [x, multiplier, shift],
        i48,
        input_zp=0,
        output_zp=0,
        minimum=-(1 << 46),
        maximum=1 << 46,
        rounding="floor",
    )


@lowers(LogSoftmaxOp, EXACT, unless=[not_8bit])
def log_softmax(op: LogSoftmaxOp, emit: Emitter) -> SSAValue:
    """y reaches its edge t where exp(d) * exp(-t) >= S, d being x - max and S the sum of exp(d).

    Both exponentials are tables of 31-bit mantissas and exponents, S is in fixed point (46 bits
    for the whole sum): no logarithm is taken. The comparison's relative error of some 2**-30 is an
    error of the result of 2**-30 / result_scale steps.
    """
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    axis = normal_axis(op, op.axis.value.data, len(shape_of(op.x)))
    operand = emit.operand(op.x)
    greatest = emit.emit(contraction.ReduceOp, [operand], i8, kind="max", axes=[axis], x_zp=0)
    difference = emit.emit(arithmetic.SubOp, [operand, greatest], i32)
    index = emit.rescale(difference, 1, 0, rounding="floor", output_zp=127)
    fraction = 46 - int(elementary.ceil_log2(shape_of(op.x)[axis]))
    exponent = np.arange(-255, 1) * (x.scale * op.beta.value.data)
    term = lookup(
        emit, index, np.rint(elementary.exp(exponent) * 2.0**fraction).astype(np.int64), i48
    )
    total = emit.emit(contraction.ReduceOp, [term], i48, kind="sum", axes=[axis], x_zp=0)
    edges = -tie_side(CANDIDATES - y.zero_point) * y.scale
    x_mantissa, x_shift = _exponential(exponent)
    y_mantissa, y_shift = _exponential(edges)
    mantissa = lookup(emit, index, x_mantissa, i32)
    base = lookup(emit, index, x_shift - fraction, i32)

    def reached(candidate: SSAValue) -> SSAValue:
        shift = emit.emit(arithmetic.AddOp, [base, lookup(emit, candidate, y_shift, i32)], i32)
        shift = emit.rescale(shift, 1, 0, rounding="floor", minimum=0, maximum=62)
        return at_least(
            emit, _scaled(emit, mantissa, lookup(emit, candidate, y_mantissa, i32), shift), total
        )

    return search(emit, mantissa, reached)


def _exponential(real: Array) -> tuple[Array, Array]:
    """exp(real) as mantissa * 2**-shift with mantissas of 31 bits; shifts of any size."""
    mantissa, exponent = elementary.exp_parts(real)
    whole = np.minimum(np.rint(np.ldexp(mantissa, 31)), (1 << 31) - 1)
    return whole.astype(np.int64), 31 - exponent
