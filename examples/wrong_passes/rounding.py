"""A wrong rewrite: rounding down where the nearest integer is meant."""

from dataclasses import dataclass
from typing import Any

from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import RescaleOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of


@rule
def shift_without_rounding(op: RescaleOp, rw: Rewrite) -> SSAValue | None:
    """round(x * m * 2**-s) = x * m >> s. Wrong: a shift rounds down."""
    if op.rounding.data not in ("near_even", "double"):
        return None
    properties: dict[str, Any] = {**op.properties, "rounding": "floor"}
    operands = [op.x, op.multiplier, op.shift]
    return rw.emit(RescaleOp, operands, [element_of(op.result)], **properties)


@dataclass(frozen=True)
class WrongRounding(RewritePass):
    """Rescales by shifting alone.

        %y = ftensor.rescale %x, %m, %s {rounding = "near_even"} : tensor<4xi8>

    becomes

        %y = ftensor.rescale %x, %m, %s {rounding = "floor"} : tensor<4xi8>
    """

    name = "wrong-rounding"
    rules = (shift_without_rounding,)
