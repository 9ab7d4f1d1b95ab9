"""Layer and instance normalisation in exact arithmetic: an inverse square root of 30 bits."""

from __future__ import annotations

import math

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.backends.warboy import hints
from furiosa_ir.backends.warboy.lowering.constraints import not_8bit_activation, variable_weight
from furiosa_ir.backends.warboy.lowering.exact.scale import (
    WIDE_LIMIT,
    exact_multipliers,
    lookup,
    real_elements,
    wide_multiple,
)
from furiosa_ir.backends.warboy.lowering.exact.search import CANDIDATES, quantize_monotone
from furiosa_ir.backends.warboy.lowering.registry import EXACT, Emitter, lowers
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.normalization import InstanceNormOp, LayerNormOp, StandardizeOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.ir import elementary
from furiosa_ir.ir.constants import Array
from furiosa_ir.ir.shaped_operation import shape_of

VARIANCE_BITS = 45
"""What count**2 * (variance + epsilon) may take, in units of x_scale**2."""
FRACTION = 28
"""Bits behind the point of a standardised element."""
PAIRS = 22
"""Bits are counted in pairs, for their square root: up to 46 of them."""


def _count(op: StandardizeOp) -> int:
    return math.prod(shape_of(op.x)[axis] for axis in op.axes())


def _epsilon(op: StandardizeOp, scale: float) -> float:
    """Epsilon in units of count**2 * variance."""
    return op.epsilon.value.data * (_count(op) / scale) * (_count(op) / scale)


def many_elements(op: StandardizeOp) -> hints.Hint | None:
    """More elements to a mean, or a greater epsilon, than 45 bits of variance hold."""
    scale = Emitter.quantization(op.x).scale
    if _count(op) ** 2 * 255**2 + _epsilon(op, scale) >= 2**VARIANCE_BITS:
        return hints.form(op.name, f"over {_count(op)} elements")
    return None


@lowers(LayerNormOp, EXACT, unless=[not_8bit_activation, variable_weight, many_elements])
@lowers(InstanceNormOp, EXACT, unless=[not_8bit_activation, variable_weight, many_elements])
def standardize(op: StandardizeOp, emit: Emitter) -> SSAValue:
    """(n x - sum) / sqrt(n * sum of squares - sum**2 + eps) * scale + bias.

    Sums are integers. The inverse root has a relative error below 2**-28, the standardised element
    28 bits behind the point, and the result is rounded once.
    """
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    operand, count = emit.operand(op.x), _count(op)
    steps = CANDIDATES - x.zero_point
    total, squares = (_sum(op, lookup(emit, operand, t, i48), emit) for t in (steps, steps**2))
    epsilon = _epsilon(op, x.scale)
    # An even number of bits more, as far as there is room: then epsilon is a good integer.
    room = (VARIANCE_BITS - int(elementary.ceil_log2(count**2 * 255**2 + epsilon))) // 2 * 2
    room = min(max(room, 0), 30)
    variance = _binary(
        emit,
        arithmetic.SubOp,
        wide_multiple(emit, squares, count, 0),
        _binary(emit, arithmetic.MulOp, total, total),
    )
    variance = wide_multiple(emit, variance, 1 << room, 0)
    offset = max(round(math.ldexp(epsilon, room)), 1)
    variance = _binary(emit, arithmetic.AddOp, variance, emit.scalar(offset, i48))
    root, pairs = _inverse_root(emit, variance)
    centred = wide_multiple(emit, operand, count, x.zero_point)
    centred = _binary(emit, arithmetic.SubOp, centred, total)
    # 1 / sqrt(variance) = root * 2**(PAIRS - pairs - 52), and 2**(room / 2) is part of it.
    shifts = 52 - (PAIRS - (CANDIDATES + 128)) - room // 2 - FRACTION
    shift = lookup(emit, pairs, np.clip(shifts, 0, 62), i8)
    standard = _scaled(emit, centred, root, shift, i48)
    scale = op.along(real_elements(op.scale)) / y.scale
    bias = np.zeros(1) if op.bias is None else op.along(real_elements(op.bias)) / y.scale
    bits = FRACTION + (int(elementary.ceil_log2(count)) + 1) // 2 + 1
    return _affine(emit, standard, scale, bias, 62 - bits, y)


def _affine(
    emit: Emitter, x: SSAValue, factor: Array, offset: Array, bits: int, target: Quantization
) -> SSAValue:
    """x * 2**-FRACTION * factor + offset, by factors of so many bits."""
    multiplier, shift = exact_multipliers(np.clip(factor, -(2.0**20), 2.0**20))
    spare = max(31 - bits, 0)
    multiplier = np.rint(multiplier / (1 << spare)).astype(np.int64)
    shift = shift.astype(np.int64) - spare + FRACTION
    kept = int(min(33, shift.min()))
    limit = 1 << 46
    wide = emit.rescale(
        x,
        _broadcast(multiplier),
        _broadcast(np.clip(shift - kept, 0, 62)),
        rounding="up",
        minimum=-limit,
        maximum=limit,
        element=i48,
    )
    added = np.rint(np.ldexp(np.clip(offset, -(2.0**12), 2.0**12), kept)).astype(np.int64)
    wide = _binary(emit, arithmetic.AddOp, wide, emit.constant(added, i48))
    return emit.rescale(wide, 1, kept, rounding="near_even", output_zp=target.zero_point)


def _broadcast(array: Array) -> int | Array:
    return int(array.flat[0]) if np.all(array == array.flat[0]) else array


def _inverse_root(emit: Emitter, value: SSAValue) -> tuple[SSAValue, SSAValue]:
    """(root, pairs) of an i48 in [1, 2**46): value**-0.5 = root * 2**(PAIRS - pairs - 52).

    `root` is an i32 in (2**29, 2**30], `pairs` an i8: floor(log2(value) / 2) - 128. The value is
    brought to 31 bits, a table of their highest 8 begins, and two Newton steps end.
    """
    levels = Quantization("i8", (1.0,), (-128,), None)
    pairs = quantize_monotone(
        emit, value, lambda v: (np.frexp(np.maximum(v, 1))[1] - 1) // 2, levels, 1 << 46
    )
    left = 2 * (PAIRS - (CANDIDATES + 128)) - 15
    parts = np.left_shift(1, np.clip(left, 0, 29)), np.clip(-left, 0, 62)
    multiplier, shift = (lookup(emit, pairs, t, e) for t, e in zip(parts, (i32, i8), strict=True))
    mantissa = _scaled(emit, value, multiplier, shift, i32)
    index = emit.rescale(mantissa, 1, 23, rounding="floor", output_zp=-128)
    middle = (np.maximum(CANDIDATES + 128, 64) + 0.5) * 2.0**23
    root = lookup(emit, index, np.rint(2.0**30 / np.sqrt(middle / 2.0**29)).astype(np.int64), i32)
    for _ in range(2):
        square = _scaled(emit, root, root, emit.scalar(30, i8), i32)
        ratio = _scaled(emit, square, mantissa, emit.scalar(30, i8), i32)
        correction = emit.emit(arithmetic.SubOp, [emit.scalar(3 << 29, i32), ratio], i32)
        root = _scaled(emit, root, correction, emit.scalar(30, i8), i32)
    return root, pairs


def _scaled(
    emit: Emitter, x: SSAValue, multiplier: SSAValue, shift: SSAValue, element: Attribute
) -> SSAValue:
    """x * multiplier * 2**-shift rounded to nearest, the factor being data."""
    limit = WIDE_LIMIT if element == i48 else 1 << 31
    return emit.emit(
        arithmetic.RescaleOp,
        [x, multiplier, shift],
        element,
        input_zp=0,
        output_zp=0,
        minimum=-limit,
        maximum=limit - 1,
        rounding="up",
    )


def _binary(emit: Emitter, op: type[arithmetic.BinaryOp], a: SSAValue, b: SSAValue) -> SSAValue:
    return emit.emit(op, [a, b], i48)


def _sum(op: StandardizeOp, x: SSAValue, emit: Emitter) -> SSAValue:
    return emit.emit(contraction.ReduceOp, [x], i48, kind="sum", axes=list(op.axes()), x_zp=0)
