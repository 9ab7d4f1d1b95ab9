"""A wrong rewrite: a zero point that moves into the bias with the wrong sign."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.contraction import ConvOp
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of, ints


@rule
def zero_point_into_bias(
    op: ConvOp, weight: ConstantOp, bias: ConstantOp, rw: Rewrite
) -> SSAValue | None:
    """sum((x - zp) * w) + b = sum(x * w) + (b - zp * sum(w)). Wrong: it adds where it subtracts."""
    zero_point = op.x_zp.value.data
    if not zero_point or any(ints(op.pads)):
        return None
    centred = weight.value.array.astype(np.int32) - op.weight_zp.value.data
    moved = bias.value.array + zero_point * centred.sum(axis=(1, 2, 3), dtype=np.int32)
    constant = rw.emit(ConstantOp, [], [element_of(bias.result)], value=BlobAttr.of(moved))
    properties: dict[str, Any] = {**op.properties, "x_zp": 0}
    return rw.emit(ConvOp, [op.x, op.weight, constant], [element_of(op.result)], **properties)


@dataclass(frozen=True)
class WrongZeroPoint(RewritePass):
    """Takes zero points out of convolutions without padding.

        %y = ftensor.conv %x, %w, %b {x_zp = -128} : tensor<1x16x8x8xi32>

    becomes

        %y = ftensor.conv %x, %w, %b_corrected : tensor<1x16x8x8xi32>
    """

    name = "wrong-zero-point"
    rules = (zero_point_into_bias,)
