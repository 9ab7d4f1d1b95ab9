"""A wrong rewrite: a zero point that moves into the bias with the wrong sign."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

import furiosa_ir as fi


@fi.rule
def zero_point_into_bias(
    op: fi.ftensor.ConvOp,
    weight: fi.ftensor.ConstantOp,
    bias: fi.ftensor.ConstantOp,
    rw: fi.Rewrite,
) -> SSAValue | None:
    """sum((x - zp) * w) + b = sum(x * w) + (b - zp * sum(w)). Wrong: it adds where it subtracts."""
    zero_point = op.x_zp.value.data
    if not zero_point or any(fi.ints(op.pads)):
        return None
    centred = weight.value.array.astype(np.int32) - op.weight_zp.value.data
    moved = bias.value.array + zero_point * centred.sum(axis=(1, 2, 3), dtype=np.int32)
    constant = rw.emit(
        fi.ftensor.ConstantOp, [], [fi.element_of(bias.result)], value=fi.BlobAttr.of(moved)
    )
    properties: dict[str, Any] = {**op.properties, "x_zp": 0}
    return rw.emit(
        fi.ftensor.ConvOp, [op.x, op.weight, constant], [fi.element_of(op.result)], **properties
    )


@dataclass(frozen=True)
class WrongZeroPoint(fi.RewritePass):
    """Takes zero points out of convolutions without padding.

        %y = ftensor.conv %x, %w, %b {x_zp = -128} : tensor<1x16x8x8xi32>

    becomes

        %y = ftensor.conv %x, %w, %b_corrected : tensor<1x16x8x8xi32>
    """

    name = "wrong-zero-point"
    rules = (zero_point_into_bias,)
