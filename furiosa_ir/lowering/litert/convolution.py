"""Convolutions and matrix products as LiteRT's reference kernels compute them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import (
    channels_elsewhere,
    not_8bit,
    not_two_dimensional,
    variable_weight,
)
from furiosa_ir.lowering.integer_kernels import emit_conv, emit_conv_transpose
from furiosa_ir.lowering.litert import factors
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers
from furiosa_ir.numerics.array import Array

INT48_LIMIT = 1 << 47


def asymmetric_weight(op: ConvOp | ConvTransposeOp) -> hints.Hint | None:
    """LiteRT ignores the zero points of int8 weights: it takes them for symmetric."""
    q = quantization_of(op.weight)
    if q is not None and q.storage == "i8" and any(q.zero_points):
        return hints.form(op.name, "with int8 weights that have a zero point")
    return None


def asymmetric_rows(op: GemmOp) -> hints.Hint | None:
    """FULLY_CONNECTED subtracts one zero point; where rows have scales, it ignores theirs."""
    q = quantization_of(op.b)
    if q is not None and q.axis is not None and any(q.zero_points):
        return hints.form(op.name, "with weights that have several zero points")
    return None


CONVOLUTION = (
    not_8bit,
    variable_weight,
    not_two_dimensional,
    asymmetric_weight,
    channels_elsewhere,
)


@lowers(ConvOp, LITERT, unless=CONVOLUTION)
def conv(op: ConvOp, emit: Emitter) -> SSAValue:
    """CONV_2D, DEPTHWISE_CONV_2D: accumulate in i32, then a factor a channel, rounding twice."""
    return emit_conv(op, emit, lambda acc, axis: _requantized(op, acc, axis, emit))


@lowers(ConvTransposeOp, LITERT, unless=CONVOLUTION)
def conv_transpose(op: ConvTransposeOp, emit: Emitter) -> SSAValue:
    """TRANSPOSE_CONV: as CONV_2D."""
    return emit_conv_transpose(op, emit, lambda acc, axis: _requantized(op, acc, axis, emit))


def _requantized(op: ConvOp | ConvTransposeOp, acc: SSAValue, axis: int, emit: Emitter) -> SSAValue:
    multiplier, shift, output_zp = requantization(op, axis, emit.rank(acc), emit)
    return emit.rescale(acc, multiplier, shift, rounding="double", output_zp=output_zp)


def requantization(
    op: ConvOp | ConvTransposeOp, axis: int, rank: int, emit: Emitter
) -> tuple[int | Array, int | Array, int]:
    """Multiplier and shift of an accumulator of that rank with channels on `axis`; the zero point.

    A convolution of uint8 has one factor, one of int8 a factor a channel.
    """
    x, w, y = (emit.quantization(v) for v in (op.x, op.weight, op.result))
    if is_uint8(op.x):
        multiplier, shift = factors.per_tensor(x.scale, w.scale, y.scale)
        return multiplier, shift, y.zero_point
    channels = factors.per_channel(x.scale, w.scales, y.scale)
    multiplier, shift = (channel_parameter(c, axis, rank) for c in channels)
    return multiplier, shift, y.zero_point


def is_uint8(value: SSAValue) -> bool:
    """Whether the file stores the value as uint8: some uint8 kernels differ from the int8 ones."""
    q = quantization_of(value)
    return q is not None and q.storage == "u8"


def channel_parameter(values: Sequence[int] | Array, axis: int, rank: int) -> int | Array:
    """One number, or an array along `axis` of a tensor of that rank."""
    return int(values[0]) if len(values) == 1 else Emitter.along(np.asarray(values), axis, rank)


def transposed(op: GemmOp) -> hints.Hint | None:
    """FULLY_CONNECTED multiplies [M, K] by [N, K]."""
    if op.trans_a.value.data or not op.trans_b.value.data:
        return hints.form(op.name, "with transposed operands")
    return None


MATRIX = (not_8bit, variable_weight, transposed, asymmetric_rows, channels_elsewhere)


@lowers(GemmOp, LITERT, unless=MATRIX)
def fully_connected(op: GemmOp, emit: Emitter) -> SSAValue:
    """FULLY_CONNECTED: its kernel scales in float64 and rounds once, ties away from zero."""
    x, w, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    weight = emit.elements(op.b)
    bias = None if op.c is None else emit.elements(op.c)
    acc = emit.emit(
        contraction.MatMulOp,
        [
            emit.operand(op.a),
            emit.operand(op.b),
            None if bias is None else emit.constant(bias, i32),
        ],
        i32,
        a_zp=x.zero_point,
        b_zp=w.zero_point,
        transpose_b=1,
    )
    real = factors.real_factors(x.scale, w.scales, y.scale)
    reach = _greatest_sums(weight, w.zero_point, x.zero_point, bias)
    if len(real) == 1:
        reach = reach.max(keepdims=True)
    multiplier, shift, match = factors.matching(real, reach)
    if not match.all():
        return _wide_rescale(acc, np.where(multiplier == 0, 0.0, real), y.zero_point, emit)
    return emit.rescale(
        acc,
        channel_parameter(multiplier.tolist(), 1, 2),
        channel_parameter(shift.tolist(), 1, 2),
        rounding="away",
        output_zp=y.zero_point,
    )


def _greatest_sums(weight: Array, weight_zp: int, x_zp: int, bias: Array | None) -> Array:
    """A bound of |accumulator| for each output channel [O], from weights [O, K] and bias [O]."""
    sums = np.abs(weight.astype(np.int64) - weight_zp).sum(1) * max(x_zp + 128, 127 - x_zp)
    return sums if bias is None else sums + np.abs(bias.astype(np.int64))


def _wide_rescale(acc: SSAValue, real: Array, output_zp: int, emit: Emitter) -> SSAValue:
    """acc times a 45-bit multiplier, in two halves that fit the 48-bit registers; then rounded.

    floor(floor(p / 2**a) / 2**b) = floor(p / 2**(a + b)), so the floor in between costs nothing.
    """
    low_bits = factors.WIDE_LOW_BITS
    pairs = [factors.wide_factor(r) for r in real.tolist()]
    high = channel_parameter([p.multiplier >> low_bits for p in pairs], 1, 2)
    low = channel_parameter([p.multiplier & ((1 << low_bits) - 1) for p in pairs], 1, 2)
    rest = channel_parameter([p.shift - low_bits for p in pairs], 1, 2)
    wide: dict[str, Any] = {"element": i48, "minimum": -INT48_LIMIT, "maximum": INT48_LIMIT - 1}
    upper = emit.rescale(acc, high, 0, rounding="floor", **wide)
    lower = emit.rescale(acc, low, low_bits, rounding="floor", **wide)
    total = emit.emit(arithmetic.AddOp, [upper, lower], i48)
    return emit.rescale(total, 1, rest, rounding="up", output_zp=output_zp)


def vector(op: MatMulOp) -> hints.Hint | None:
    """BATCH_MATMUL multiplies matrices."""
    if min(len(shape_of(op.a)), len(shape_of(op.b))) < 2:
        return hints.form(op.name, "of a vector")
    return None


@lowers(MatMulOp, LITERT, unless=[not_8bit, vector, channels_elsewhere])
def batch_matmul(op: MatMulOp, emit: Emitter) -> SSAValue:
    """BATCH_MATMUL (int8 only in LiteRT): as a per-tensor convolution."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    acc = emit.emit(
        contraction.MatMulOp,
        [emit.operand(op.a), emit.operand(op.b), None],
        i32,
        a_zp=a.zero_point,
        b_zp=b.zero_point,
        transpose_b=0,
    )
    factor = factors.per_tensor(a.scale, b.scale, y.scale)
    return emit.rescale(acc, *factor, rounding="double", output_zp=y.zero_point)
