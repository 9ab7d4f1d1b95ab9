"""A wrong rewrite: rounding down where the nearest integer is meant."""

from dataclasses import dataclass
from typing import Any

from xdsl.ir import SSAValue

import furiosa_ir as fi


@fi.rule
def shift_without_rounding(op: fi.ftensor.RescaleOp, rw: fi.Rewrite) -> SSAValue | None:
    """round(x * m * 2**-s) = x * m >> s. Wrong: a shift rounds down."""
    if op.rounding.data not in ("near_even", "double"):
        return None
    properties: dict[str, Any] = {**op.properties, "rounding": "floor"}
    operands = [op.x, op.multiplier, op.shift]
    return rw.emit(fi.ftensor.RescaleOp, operands, [fi.element_of(op.result)], **properties)


@dataclass(frozen=True)
class WrongRounding(fi.RewritePass):
    """Rescales by shifting alone.

        %y = ftensor.rescale %x, %m, %s {rounding = "near_even"} : tensor<4xi8>

    becomes

        %y = ftensor.rescale %x, %m, %s {rounding = "floor"} : tensor<4xi8>
    """

    name = "wrong-rounding"
    rules = (shift_without_rounding,)
