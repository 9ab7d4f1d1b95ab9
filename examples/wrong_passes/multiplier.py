"""A wrong rewrite: a multiplier that loses its low bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

import furiosa_ir as fi

BITS = 23
"""That a multiplier of 31 bits loses; 8 are left."""


@fi.rule
def narrow_multiplier(
    op: fi.ftensor.RescaleOp,
    multiplier: fi.ftensor.ConstantOp,
    shift: fi.ftensor.ConstantOp,
    rw: fi.Rewrite,
) -> SSAValue | None:
    """x * (m * 2**k) * 2**-s = x * m * 2**(k-s). Wrong: the multiplier's low bits were not zero."""
    wide, shifts = multiplier.value.array, shift.value.array
    if fi.element_of(op.result) != i8 or wide.min() < 1 << 30 or shifts.min() < BITS:
        return None
    narrow = fi.BlobAttr.of(np.asarray(wide >> BITS, np.int32))
    less = fi.BlobAttr.of(np.asarray(shifts - BITS, np.int8))
    properties: dict[str, Any] = dict(op.properties)
    operands = [
        op.x,
        rw.emit(fi.ftensor.ConstantOp, [], [fi.element_of(multiplier.result)], value=narrow),
        rw.emit(fi.ftensor.ConstantOp, [], [fi.element_of(shift.result)], value=less),
    ]
    return rw.emit(fi.ftensor.RescaleOp, operands, [fi.element_of(op.result)], **properties)


@dataclass(frozen=True)
class WrongMultiplier(fi.RewritePass):
    """Makes the multipliers of rescales small numbers.

        %y = ftensor.rescale %x, %m, %s : tensor<4xi8>         // m = 1459649406, s = 40

    becomes

        %y = ftensor.rescale %x, %m8, %s8 : tensor<4xi8>       // m8 = 174, s8 = 17
    """

    name = "wrong-multiplier"
    rules = (narrow_multiplier,)
