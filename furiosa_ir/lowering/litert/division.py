"""DIV as LiteRT's reference kernel computes it.

a' / b' is a' with all its leading zeros shifted out, times the reciprocal of b' (Q0.31), times the
factor of the scales, shifted back. Each of the two has 256 values only, so all that depends on one
of them is a table, and the reciprocals are made at compile time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, movement
from furiosa_ir.dialects.graph.base import constant_of, quantization_of
from furiosa_ir.dialects.graph.elementwise import DivOp
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import factors, gemmlowp_operations
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.gemmlowp import reciprocal

CODES = np.arange(-128, 128, dtype=np.int64)
FACTOR_SHIFTS = range(9, 57)
"""31 less LiteRT's exponents from 22 to -25: beyond, its kernel shifts by less than 0 or by more
than 63 bits."""
WORD_BITS = 32


def extreme_scale(op: DivOp) -> hints.Hint | None:
    """LiteRT's shifts leave their range where the scales are millions apart."""
    a, b, y = (Emitter.quantization(v) for v in (op.a, op.b, op.result))
    if factors.quotient(a.scale, b.scale, y.scale).shift not in FACTOR_SHIFTS:
        return hints.form(op.name, "with scales that are millions apart")
    return None


def by_zero(op: DivOp) -> hints.Hint | None:
    """LiteRT refuses to run a network that divides by 0."""
    divisor, q = constant_of(op.b), quantization_of(op.b)
    if divisor is not None and q is not None and np.any(divisor == q.zero_point):
        return hints.form(op.name, "by a constant 0")
    return None


class _Dividend(NamedTuple):
    """Tables [256] of a' (or -a'): without leading zeros (i32), and how many bits that shifts."""

    mantissa: Array
    headroom: Array


def _dividend(steps: Array) -> _Dividend:
    bits = np.frexp(np.where(steps < 0, ~steps, steps).astype(np.float64))[1]
    return _Dividend(steps << (31 - bits), 31 - bits)


@lowers(DivOp, LITERT, unless=[not_8bit, extreme_scale, by_zero])
def div(op: DivOp, emit: Emitter) -> SSAValue:
    """DIV: one factor an element, tables of the dividend and of the divisor making it.

    Where a computed divisor is 0, LiteRT refuses to go on; here the quotient is that by one step.
    """
    a, b, y = (emit.quantization(v) for v in (op.a, op.b, op.result))
    multiplier, shift = factors.quotient(a.scale, b.scale, y.scale)
    x, constant = emit.operand(op.a), constant_of(op.b)
    if shape_of(op.a) != shape_of(op.result):
        x = emit.emit(movement.BroadcastOp, [x], shape=shape_of(op.result))
    codes = CODES if constant is None else emit.elements(op.b).astype(np.int64)
    divisor = codes - b.zero_point
    inverse, bits = reciprocal(np.maximum(np.abs(divisor), 1), 31)

    def of_divisor(table: Array, element: Attribute) -> SSAValue:
        if constant is None:
            return gemmlowp_operations.lookup(emit.operand(op.b), table, element, emit)
        return emit.constant(table, element)

    # Where the divisor is negative, both change their signs.
    masks = {sign: (divisor < 0) == (sign < 0) for sign in (1, -1)}
    signs = [sign for sign, mask in masks.items() if np.any(mask)]
    dividends = [_dividend(sign * (CODES - a.zero_point)) for sign in signs]

    def of_dividend(tables: Sequence[Array], element: Attribute) -> SSAValue:
        parts = [gemmlowp_operations.lookup(x, table, element, emit) for table in tables]
        if len(parts) == 1:
            return parts[0]
        chosen = [
            emit.emit(arithmetic.MulOp, [part, of_divisor(masks[sign], element)], element)
            for part, sign in zip(parts, signs, strict=True)
        ]
        return emit.emit(arithmetic.AddOp, chosen, element)

    mantissa = of_dividend([d.mantissa for d in dividends], i32)
    quotient = gemmlowp_operations.high_multiply(mantissa, of_divisor(inverse, i32), emit)
    quotient = gemmlowp_operations.high_multiply(quotient, multiplier, emit)
    right = emit.emit(
        arithmetic.AddOp,
        [
            of_dividend([d.headroom for d in dividends], i8),
            of_divisor(bits + shift - 31, i8),
        ],
        i8,
    )
    greatest = 31 + int(bits.max()) + shift - 31
    if greatest >= WORD_BITS:
        quotient, right = _beyond_a_word(quotient, right, emit)
    return gemmlowp_operations.scaled(
        quotient,
        emit.scalar(1, i32),
        right,
        emit,
        "away",
        element=i8,
        output_zp=y.zero_point,
    )


def _beyond_a_word(x: SSAValue, right: SSAValue, emit: Emitter) -> tuple[SSAValue, SSAValue]:
    """x and its shift where that may be 32 and more, which is undefined in C.

    On x86 a shift counts modulo 32, and gemmlowp's ``RoundingDivideByPOT`` then takes all of x for
    its remainder: ``(x >> (right - 32)) + (x >= 0)``. Small quotients become great ones; 0 becomes
    a step.
    """
    far = emit.rescale(
        right, 1, 0, rounding="floor", input_zp=31, minimum=0, maximum=1, element=i32
    )
    near = emit.emit(arithmetic.SubOp, [emit.scalar(1, i32), far], i32)
    beyond = emit.rescale(right, 1, 0, rounding="floor", input_zp=32, minimum=0)
    shifted = gemmlowp_operations.scaled(x, emit.scalar(1, i32), beyond, emit, "floor")
    one_up = emit.rescale(x, 1, 0, rounding="floor", output_zp=1, minimum=0, maximum=1, element=i32)
    wrapped = gemmlowp_operations.added(shifted, one_up, emit)
    x = emit.emit(arithmetic.MulOp, [x, near], i32)
    wrapped = emit.emit(arithmetic.MulOp, [wrapped, far], i32)
    kept = emit.emit(arithmetic.MulOp, [right, emit.rescale(near, 1, 0, rounding="floor")], i8)
    return gemmlowp_operations.added(x, wrapped, emit), kept
