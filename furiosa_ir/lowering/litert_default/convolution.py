"""Convolutions and FULLY_CONNECTED as LiteRT's default kernels compute them on x86."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.integer_kernels import emit_conv, emit_conv_transpose
from furiosa_ir.lowering.litert import convolution as reference
from furiosa_ir.lowering.litert import factors
from furiosa_ir.lowering.litert_default.rounding import first_channels, rescale_up
from furiosa_ir.lowering.registry import LITERT_DEFAULT, Emitter, lowers

VECTOR_CHANNELS = 8
"""``optimized_ops::Quantize`` of int8: so many channels at once, the rest one by one."""

VECTOR_ELEMENTS = 16
"""``optimized_ops::Quantize`` of uint8: so many elements at once, the rest one by one."""


@lowers(ConvOp, LITERT_DEFAULT, unless=reference.CONVOLUTION)
def conv(op: ConvOp, emit: Emitter) -> SSAValue:
    """CONV_2D on ruy; DEPTHWISE_CONV_2D, whose int8 kernel takes eight channels at once.

    CONV_2D in groups and DEPTHWISE_CONV_2D of uint8 round as the reference kernels do.
    """
    uint8 = reference.is_uint8(op.x)
    if op.kernel_layout.data == "IHWO":  # DEPTHWISE_CONV_2D
        if uint8:
            return reference.conv(op, emit)
        return emit_conv(op, emit, lambda acc, axis: _in_vectors(op, acc, axis, emit))
    if op.group.value.data != 1:
        return reference.conv(op, emit)
    return emit_conv(op, emit, lambda acc, axis: _rounded_up(op, acc, axis, emit))


def left_over(op: ConvTransposeOp) -> hints.Hint | None:
    """The uint8 kernel rounds the last elements otherwise where their number is no multiple of 16.

    A single element may lie anywhere in a tile, so those layers stay on the host.
    """
    if reference.is_uint8(op.x) and prod(shape_of(op.result)) % VECTOR_ELEMENTS:
        return hints.form(
            op.name, "of uint8 data with a number of elements that 16 does not divide"
        )
    return None


@lowers(ConvTransposeOp, LITERT_DEFAULT, unless=[*reference.CONVOLUTION, left_over])
def conv_transpose(op: ConvTransposeOp, emit: Emitter) -> SSAValue:
    """TRANSPOSE_CONV (``TransposeConvV2``): vectors of 8 channels (int8) or 16 elements (uint8)."""
    rescale = _rounded_up if reference.is_uint8(op.x) else _in_vectors
    return emit_conv_transpose(op, emit, lambda acc, axis: rescale(op, acc, axis, emit))


def _rounded_up(op: ConvOp | ConvTransposeOp, acc: SSAValue, axis: int, emit: Emitter) -> SSAValue:
    multiplier, shift, output_zp = reference.requantization(op, axis, emit.rank(acc), emit)
    return rescale_up(acc, multiplier, shift, emit, output_zp=output_zp)


def _in_vectors(op: ConvOp | ConvTransposeOp, acc: SSAValue, axis: int, emit: Emitter) -> SSAValue:
    """``optimized_ops::Quantize``: ties up in whole vectors of channels, else away from zero."""
    channels = shape_of(acc)[axis]
    whole = channels - channels % VECTOR_CHANNELS
    multiplier, shift, output_zp = reference.requantization(op, axis, emit.rank(acc), emit)
    if whole == 0 or not np.any(np.asarray(shift) > 31):
        return emit.rescale(acc, multiplier, shift, rounding="double", output_zp=output_zp)
    up = rescale_up(acc, multiplier, shift, emit, output_zp=output_zp)
    if whole == channels:
        return up
    away = emit.rescale(acc, multiplier, shift, rounding="double", output_zp=output_zp)
    return first_channels(up, away, whole, emit)


@lowers(GemmOp, LITERT_DEFAULT, unless=reference.MATRIX)
def fully_connected(op: GemmOp, emit: Emitter) -> SSAValue:
    """FULLY_CONNECTED on ruy or ``CustomGemv``: as CONV_2D, where the reference uses float64."""
    x, w, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    acc = emit.emit(
        contraction.MatMulOp,
        [
            emit.operand(op.a),
            emit.operand(op.b),
            None if op.c is None else emit.constant(emit.elements(op.c), i32),
        ],
        i32,
        a_zp=x.zero_point,
        b_zp=w.zero_point,
        transpose_b=1,
    )
    if len(w.scales) == 1:
        multiplier, shift = factors.per_tensor(x.scale, w.scale, y.scale)
    else:
        channels = factors.per_channel(x.scale, w.scales, y.scale)
        multiplier, shift = (reference.channel_parameter(c, 1, 2) for c in channels)
    return rescale_up(acc, multiplier, shift, emit, output_zp=y.zero_point)
