"""A wrong rewrite: a saturation, and with it an activation, that gets lost."""

from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import RescaleOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of


@rule
def wide_summand(op: RescaleOp, x: RescaleOp, rw: Rewrite) -> SSAValue | None:
    """rescale(rescale(x) as i8) = rescale(rescale(x) as i32). Wrong: i8 was the clamp."""
    if element_of(x.result) != i8 or element_of(op.result) == i8 or element_of(x.x) == i8:
        return None
    unlimited: dict[str, Any] = {**x.properties, "minimum": -(1 << 31), "maximum": (1 << 31) - 1}
    wide = rw.emit(RescaleOp, [x.x, x.multiplier, x.shift], [i32], **unlimited)
    properties: dict[str, Any] = dict(op.properties)
    operands = [wide, op.multiplier, op.shift]
    return rw.emit(RescaleOp, operands, [element_of(op.result)], **properties)


@dataclass(frozen=True)
class WrongDroppedClamp(RewritePass):
    """Keeps the summands of a residual sum in 32 bits.

        %a = ftensor.rescale %x, %m, %s {output_zp = -128} : tensor<4xi8>
        %b = ftensor.rescale %a, %n, %t {input_zp = -128} : tensor<4xi48>

    becomes

        %a = ftensor.rescale %x, %m, %s {output_zp = -128} : tensor<4xi32>
        %b = ftensor.rescale %a, %n, %t {input_zp = -128} : tensor<4xi48>
    """

    name = "wrong-dropped-clamp"
    rules = (wide_summand,)
