"""A wrong rewrite: padding with 0 where the zero point is meant."""

from dataclasses import dataclass
from typing import Any

from xdsl.ir import SSAValue

import furiosa_ir as fi


@fi.rule
def pads_of_convolution(op: fi.ftensor.ConvOp, rw: fi.Rewrite) -> SSAValue | None:
    """conv(x, pads) = conv(pad(x, zp)). Wrong: it pads with 0."""
    pads = fi.ints(op.pads)
    if not any(pads) or min(pads) < 0:
        return None
    at = op.layout.data.index("H")
    widths = [0] * 8
    widths[at : at + 2], widths[at + 4 : at + 6] = pads[:2], pads[2:]
    padded = rw.emit(fi.ftensor.PadOp, [op.x], [fi.element_of(op.x)], pads=widths, value=0)
    properties: dict[str, Any] = {**op.properties, "pads": [0, 0, 0, 0]}
    operands = [padded, op.weight, op.bias]
    return rw.emit(fi.ftensor.ConvOp, operands, [fi.element_of(op.result)], **properties)


@dataclass(frozen=True)
class WrongPadValue(fi.RewritePass):
    """Pads in an operation of its own what a convolution reads.

        %y = ftensor.conv %x, %w, %b {pads = array<i64: 1, 1, 1, 1>, x_zp = -128} : ...

    becomes

        %p = ftensor.pad %x {pads = array<i64: 0, 0, 1, 1, 0, 0, 1, 1>, value = 0} : ...
        %y = ftensor.conv %p, %w, %b {x_zp = -128} : ...
    """

    name = "wrong-pad-value"
    rules = (pads_of_convolution,)
