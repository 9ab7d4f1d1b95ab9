"""A wrong rewrite: a saturation, and with it an activation, that gets lost."""

from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

import furiosa_ir as fi


@fi.rule
def wide_summand(
    op: fi.ftensor.RescaleOp, x: fi.ftensor.RescaleOp, rw: fi.Rewrite
) -> SSAValue | None:
    """rescale(rescale(x) as i8) = rescale(rescale(x) as i32). Wrong: i8 was the clamp."""
    if fi.element_of(x.result) != i8 or fi.element_of(op.result) == i8 or fi.element_of(x.x) == i8:
        return None
    unlimited: dict[str, Any] = {**x.properties, "minimum": -(1 << 31), "maximum": (1 << 31) - 1}
    wide = rw.emit(fi.ftensor.RescaleOp, [x.x, x.multiplier, x.shift], [i32], **unlimited)
    properties: dict[str, Any] = dict(op.properties)
    operands = [wide, op.multiplier, op.shift]
    return rw.emit(fi.ftensor.RescaleOp, operands, [fi.element_of(op.result)], **properties)


@dataclass(frozen=True)
class WrongDroppedClamp(fi.RewritePass):
    """Keeps the summands of a residual sum in 32 bits.

        %a = ftensor.rescale %x, %m, %s {output_zp = -128} : tensor<4xi8>
        %b = ftensor.rescale %a, %n, %t {input_zp = -128} : tensor<4xi48>

    becomes

        %a = ftensor.rescale %x, %m, %s {output_zp = -128} : tensor<4xi32>
        %b = ftensor.rescale %a, %n, %t {input_zp = -128} : tensor<4xi48>
    """

    name = "wrong-dropped-clamp"
    rules = (wide_summand,)
