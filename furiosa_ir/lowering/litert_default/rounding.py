"""How the default kernels multiply by a factor: the second rounding takes ties up.

The reference `MultiplyByQuantizedMultiplier` rounds twice, second away from zero. ruy
(`kernel_avx512.cc` and its kin) and NEON (`vqrdmulhq_s32`, then `vrshlq_s32`) take the second one's
ties towards plus infinity; scalar loops over left-over elements call the reference function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.numerics.array import Array

HIGH_SHIFT = 31
"""``vqrdmulhq_s32`` divides by 2**31; what a factor's shift has beyond that is the second step."""

INT32: dict[str, Any] = {"element": i32, "minimum": -(1 << 31), "maximum": (1 << 31) - 1}


def rescale_up(
    x: SSAValue,
    multiplier: int | Array,
    shift: int | Array,
    emit: Emitter,
    *,
    input_zp: int = 0,
    output_zp: int = 0,
) -> SSAValue:
    """The i8 result of an accumulator, rounded twice, ties up both times."""
    first = np.minimum(shift, HIGH_SHIFT)
    rest = np.asarray(shift) - first
    if not rest.any():
        return emit.rescale(
            x, multiplier, shift, rounding="up", input_zp=input_zp, output_zp=output_zp
        )
    high = emit.rescale(x, multiplier, first, rounding="up", input_zp=input_zp, **INT32)
    return emit.rescale(high, 1, rest, rounding="up", output_zp=output_zp)


def first_channels(first: SSAValue, others: SSAValue, count: int, emit: Emitter) -> SSAValue:
    """The first `count` channels (last dimension) of one i8 value, the rest of another."""
    shape = shape_of(first)
    if count == shape[-1]:
        return first
    if count == 0:
        return others
    steps, before = [1] * len(shape), [0] * (len(shape) - 1)
    parts = [
        emit.emit(
            movement.SliceOp,
            [value],
            i8,
            starts=[*before, begin],
            ends=[*shape[:-1], end],
            steps=steps,
        )
        for value, begin, end in ((first, 0, count), (others, count, shape[-1]))
    ]
    return emit.emit(movement.ConcatOp, [parts], i8, axis=len(shape) - 1)
