"""Convolutions and matrix products in exact arithmetic."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import contraction, movement
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import (
    bias_not_accumulator,
    channels_elsewhere,
    many_dimensional,
    many_slices,
    not_8bit_product,
    variable_weight,
    varying_zero_points,
    wide_sums,
)
from furiosa_ir.lowering.exact.scale import quantize_accumulator
from furiosa_ir.lowering.integer_kernels import (
    as_shape,
    emit_conv,
    emit_conv_transpose,
)
from furiosa_ir.lowering.registry import EXACT, Emitter, lowers

CONV_CONSTRAINTS = (
    not_8bit_product,
    variable_weight,
    varying_zero_points,
    bias_not_accumulator,
    channels_elsewhere,
    wide_sums,
)
GEMM_CONSTRAINTS = (
    not_8bit_product,
    varying_zero_points,
    bias_not_accumulator,
    channels_elsewhere,
    wide_sums,
)
MAT_MUL_CONSTRAINTS = (not_8bit_product, varying_zero_points, channels_elsewhere, wide_sums)


@lowers(ConvOp, EXACT, unless=[*CONV_CONSTRAINTS, many_dimensional, many_slices])
def conv(op: ConvOp, emit: Emitter) -> SSAValue:
    """Accumulate in i32, then scale by x_scale * weight_scale / result_scale."""
    x, weight, y = (emit.quantization(v) for v in (op.x, op.weight, op.result))
    scale = np.array(weight.scales) * x.scale
    return emit_conv(
        op,
        emit,
        lambda acc, axis: quantize_accumulator(emit, acc, scale, y, axis),
    )


@lowers(ConvTransposeOp, EXACT, unless=[*CONV_CONSTRAINTS, many_dimensional, many_slices])
def conv_transpose(op: ConvTransposeOp, emit: Emitter) -> SSAValue:
    """A convolution over x spread by the strides, with the kernel mirrored."""
    x, weight, y = (emit.quantization(v) for v in (op.x, op.weight, op.result))
    scale = np.array(weight.scales) * x.scale
    if len(scale) > 1:
        scale = np.tile(scale, op.group.value.data)  # the weight has a group's output channels
    return emit_conv_transpose(
        op,
        emit,
        lambda acc, axis: quantize_accumulator(emit, acc, scale, y, axis),
    )


@lowers(GemmOp, EXACT, unless=GEMM_CONSTRAINTS)
def gemm(op: GemmOp, emit: Emitter) -> SSAValue:
    """A matrix product scaled by alpha * a_scale * b_scale / result_scale."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    left = emit.operand(op.a)
    if op.trans_a.value.data:
        left = emit.emit(movement.TransposeOp, [left], perm=[1, 0])
    bias = None
    if op.c is not None:
        elements = emit.elements(op.c)
        columns = op.result_shapes()[0][1]
        bias = emit.constant(np.broadcast_to(elements.reshape(-1), columns), i32)
    acc = emit.emit(
        contraction.MatMulOp,
        [left, emit.operand(op.b), bias],
        i32,
        a_zp=a.zero_point,
        b_zp=b.zero_point,
        transpose_b=op.trans_b,
    )
    scale = np.array(b.scales) * a.scale * op.alpha.value.data
    return quantize_accumulator(emit, acc, scale, y, 1)


@lowers(MatMulOp, EXACT, unless=MAT_MUL_CONSTRAINTS)
def mat_mul(op: MatMulOp, emit: Emitter) -> SSAValue:
    """A product of activations or by a constant, scaled by a_scale * b_scale / result_scale."""
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    left, right = emit.operand(op.a), emit.operand(op.b)
    shape_a, shape_b = shape_of(left), shape_of(right)
    # Numpy's rule for vectors: a row in front, a column behind, dropped again at the end.
    if len(shape_a) == 1:
        left = emit.emit(movement.ReshapeOp, [left], shape=[1, *shape_a])
    if len(shape_b) == 1:
        right = emit.emit(movement.ReshapeOp, [right], shape=[*shape_b, 1])
    acc = emit.emit(
        contraction.MatMulOp,
        [left, right, None],
        i32,
        a_zp=a.zero_point,
        b_zp=b.zero_point,
        transpose_b=0,
    )
    rank = emit.rank(acc)
    result = quantize_accumulator(emit, acc, np.array(b.scales) * a.scale, y, rank - 1)
    shape = op.result_shapes()[0]
    if len(shape) != rank:
        result = as_shape(emit, result, shape)
    return result
