"""Arithmetic on one element of each operand, and functions of one value that are tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import i32, i64
from xdsl.ir import SSAValue

from furiosa_ir.backends.mlir.lowering.elements import Elements
from furiosa_ir.backends.mlir.lowering.emission import Emitter, element
from furiosa_ir.backends.mlir.lowering.registry import lowers
from furiosa_ir.dialects.ftensor.arithmetic import (
    AddOp,
    BinaryOp,
    ClampOp,
    DivideOp,
    LookupOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    SubOp,
)
from furiosa_ir.ir.shaped_operation import shape_of

_MEANINGS: dict[type[BinaryOp], Callable[[Elements, SSAValue, SSAValue], SSAValue]] = {
    AddOp: Elements.add,
    SubOp: Elements.sub,
    MulOp: Elements.mul,
    MinimumOp: Elements.minimum,
    MaximumOp: Elements.maximum,
}


@lowers(*_MEANINGS)
def lower_binary(op: BinaryOp, emit: Emitter) -> SSAValue:
    """a op b, in the result's type."""
    meaning, wide = _MEANINGS[type(op)], element(op.result)

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        return meaning(b, b.cast(given[0], wide), b.cast(given[1], wide))

    operands = [emit.given(op.a), emit.given(op.b)]
    return emit.elementwise(operands, shape_of(op.result), wide, body)


@lowers(ClampOp)
def lower_clamp(op: ClampOp, emit: Emitter) -> SSAValue:
    """min(max(x, minimum), maximum)."""
    low, high = op.minimum.value.data, op.maximum.value.data

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        return b.clamp(given[0], low, high)

    operands = [emit.operand(op.x)]
    return emit.elementwise(operands, shape_of(op.result), element(op.result), body)


@lowers(DivideOp)
def lower_divide(op: DivideOp, emit: Emitter) -> SSAValue:
    """a / b to nearest, ties to even; b > 0."""
    zero_point = op.output_zp.value.data
    low, high = op.minimum.value.data, op.maximum.value.data

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        dividend, divisor = (b.cast(v, i64) for v in given[:2])
        zero, one = b.constant(0, i64), b.constant(1, i64)
        # IREE computes whole vectors, whose lanes behind the tensor's end hold what they like.
        divisor = b.maximum(divisor, one)
        # To minus infinity, which upstream's floordivsi is expanded to anyway.
        rest = b.remainder(dividend, divisor)
        quotient = b.quotient(dividend, divisor)
        is_below = b.compare(rest, "slt", zero)
        rest = b.select(is_below, b.add(rest, divisor), rest)
        quotient = b.select(is_below, b.sub(quotient, one), quotient)
        twice = b.add(rest, rest)
        goes_up = b.compare(twice, "sgt", divisor)
        is_tie = b.compare(twice, "eq", divisor)
        step = b.select(goes_up, one, b.select(is_tie, b.both(quotient, one), zero))
        value = b.add(b.add(quotient, step), b.constant(zero_point, i64))
        return b.cast(b.clamp(value, low, high), element(op.result))

    operands = [emit.given(op.a), emit.given(op.b)]
    return emit.elementwise(operands, shape_of(op.result), element(op.result), body)


@lowers(LookupOp)
def lower_lookup(op: LookupOp, emit: Emitter) -> SSAValue:
    """table[x + 128].

    Tables hold 32 bits at least: IREE 3.13 reads as many elements as a vector has at once, for
    which processors have instructions, but 8 bits element by element, which takes 30 times as long.
    """
    wide, held = element(op.result), emit.array(op.table)
    if held is None or held.dtype.itemsize >= 4:
        table = emit.operand(op.table)
    else:
        table = emit.constant(held.astype(np.int32))

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        place = b.add(b.cast(given[0], i32), b.constant(128, i32))
        return b.cast(b.extract(table, [b.as_index(place, 256)]), wide)

    operands = [emit.operand(op.x)]
    return emit.elementwise(operands, shape_of(op.result), wide, body)
