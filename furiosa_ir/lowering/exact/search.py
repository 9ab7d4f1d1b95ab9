"""Quantising what no product of integers is: the 8 bits of the result are searched.

A monotone function of wide integers (a root, a logarithm) reaches each of the 256 stored results
at a threshold. Thresholds are compile-time tables, compared in integers: the result is right
wherever the comparison is, with no approximation of the function at run time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import arithmetic
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant import arithmetic as quant
from furiosa_ir.lowering.exact.scale import lookup
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.numerics.array import Array

CANDIDATES = np.arange(-128, 128)
TIE_TOLERANCE = 1e-9
"""As in `dialects.quant.arithmetic.quantize`: nearer than this to a tie is the tie."""


def search(emit: Emitter, like: SSAValue, reached: Callable[[SSAValue], SSAValue]) -> SSAValue:
    """The greatest i8 that is reached, else -128: bit by bit from the highest.

    Args:
        emit: where to.
        like: i32 or i48, of the result's shape.
        reached: from a candidate (i8) to 1 or 0 (i32); 1 up to the result, 0 beyond.
    """
    found = emit.rescale(like, 0, 0, rounding="floor", output_zp=-128, element=i32)
    for bit in reversed(range(8)):
        candidate = emit.rescale(found, 1, 0, rounding="floor", output_zp=1 << bit)
        step = emit.emit(arithmetic.MulOp, [reached(candidate), emit.scalar(1 << bit, i32)], i32)
        found = emit.emit(arithmetic.AddOp, [found, step], i32)
    return emit.rescale(found, 1, 0, rounding="floor")


def at_least(emit: Emitter, a: SSAValue, b: SSAValue) -> SSAValue:
    """1 (i32) where a >= b, else 0; both i48, less than 2**46."""
    difference = emit.emit(arithmetic.SubOp, [a, b], i48)
    return emit.rescale(
        difference, 1, 0, rounding="floor", output_zp=1, minimum=0, maximum=1, element=i32
    )


def quantize_monotone(
    emit: Emitter,
    acc: SSAValue,
    function: Callable[[Array], Array],
    target: Quantization,
    limit: int,
) -> SSAValue:
    """Q(function(acc)) for a function that grows with acc, an i32 or i48 in [0, limit]."""
    table = _thresholds(function, target, limit)
    return search(emit, acc, lambda c: at_least(emit, acc, lookup(emit, c, table, i48)))


def _thresholds(function: Callable[[Array], Array], target: Quantization, limit: int) -> Array:
    """For each i8 the least integer whose function's stored value reaches it; else limit + 1."""
    low = np.zeros(256, np.int64)
    high = np.full(256, limit + 1, np.int64)
    while np.any(low < high):
        middle = (low + high) // 2
        with np.errstate(all="ignore"):
            above = quant.quantize(function(middle.astype(np.float64)), target) >= CANDIDATES
        high = np.where(above, middle, high)
        low = np.where(above, low, np.minimum(middle + 1, high))
    return low


def tie_side(steps: Array) -> Array:
    """Where rounding to the integer `steps` begins, half a step below it: the tie goes to even.

    Steps count from the real 0. What lies as near to the tie as `TIE_TOLERANCE` is the tie.
    """
    edge = steps - 0.5
    blur = TIE_TOLERANCE * np.maximum(1.0, np.abs(edge))
    return np.where(steps % 2 == 0, edge - blur, edge + blur)
