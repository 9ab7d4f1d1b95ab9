"""Arithmetic on one element of each operand, and functions of one value that are tables."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.backends.mlir.tosa import dialect as tosa
from furiosa_ir.backends.mlir.tosa.lowering.emission import PROPAGATE, Emitter, Inexact
from furiosa_ir.backends.mlir.tosa.lowering.registry import lowers
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


@lowers(AddOp, SubOp, MulOp, MinimumOp, MaximumOp)
def lower_binary(op: BinaryOp, emit: Emitter) -> SSAValue:
    """a op b in i32, which has to hold it: beyond is undefined, as in LiteRT's C++."""
    element = emit.element(op.result)
    a, b = (emit.cast(emit.operand(v), i32) for v in (op.a, op.b))
    if isinstance(op, MinimumOp):
        made = emit.paired(tosa.MinimumOp, a, b, nan_mode=PROPAGATE)
    elif isinstance(op, MaximumOp):
        made = emit.paired(tosa.MaximumOp, a, b, nan_mode=PROPAGATE)
    elif isinstance(op, MulOp):
        made = emit.mul(a, b)
    else:
        made = emit.add(a, b) if isinstance(op, AddOp) else emit.sub(a, b)
    # Of a wider number, tosa.cast keeps the lower bits: sums modulo 256, as ftensor's.
    return emit.cast(made, element)


@lowers(ClampOp)
def lower_clamp(op: ClampOp, emit: Emitter) -> SSAValue:
    """min(max(x, minimum), maximum)."""
    return emit.clamp(emit.operand(op.x), op.minimum.value.data, op.maximum.value.data)


@lowers(DivideOp)
def lower_divide(_op: DivideOp, _emit: Emitter) -> SSAValue:
    """Has no form: TOSA divides i32, rounding down, and this is of 48 bits."""
    raise Inexact("a quotient of 48 bits")


@lowers(LookupOp)
def lower_lookup(op: LookupOp, emit: Emitter) -> SSAValue:
    """table[x + 128]: `tosa.table` of i8, else a gather."""
    element, shape = emit.element(op.result), shape_of(op.result)
    table = emit.array(op.table)
    if table is None:
        raise Inexact("a table that is computed")
    x = emit.operand(op.x)
    if element == i8:
        return emit.made(tosa.TableOp, [x, emit.constant(table)], shape, i8)
    places = emit.reshape(x, (1, prod(shape)))
    places = emit.plus(emit.cast(places, i32), 128)
    values = emit.constant(table.astype(np.int32).reshape(1, 256, 1))
    made = emit.made(tosa.GatherOp, [values, places], (1, prod(shape), 1), i32)
    return emit.reshape(made, shape)
