"""A wrong rewrite: a fusion that changes a value which somebody else reads, too."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

import furiosa_ir as fi


@fi.rule
def lookup_of_distance(
    op: fi.ftensor.LookupOp, x: fi.ftensor.RescaleOp, table: fi.ftensor.ConstantOp, rw: fi.Rewrite
) -> SSAValue | None:
    """table[a - b + 127] = reversed table[b - a - 128]. Wrong: it takes the index from others."""
    difference = x.x.owner
    if not isinstance(difference, fi.ftensor.SubOp) or x.output_zp.value.data != 127:
        return None
    distance = rw.emit(fi.ftensor.SubOp, [difference.b, difference.a], [fi.element_of(x.x)])
    properties: dict[str, Any] = {**x.properties, "output_zp": -128}
    index = rw.emit(
        fi.ftensor.RescaleOp,
        [distance, x.multiplier, x.shift],
        [fi.element_of(x.result)],
        **properties,
    )
    turned = fi.BlobAttr.of(np.ascontiguousarray(table.value.array[::-1]))
    constant = rw.emit(fi.ftensor.ConstantOp, [], [fi.element_of(table.result)], value=turned)
    result = rw.emit(fi.ftensor.LookupOp, [index, constant], [fi.element_of(op.result)])
    x.result.replace_all_uses_with(index)  # "it is fused": others look up their tables by it now
    return result


@dataclass(frozen=True)
class WrongFusionAcrossSecondUse(fi.RewritePass):
    """Looks softmax's exponentials up by the distance from the greatest element.

        %d = ftensor.sub %x, %max : tensor<1x10xi32>
        %i = ftensor.rescale %d, %one, %zero {output_zp = 127} : tensor<1x10xi8>
        %e = ftensor.lookup %i, %table : tensor<1x10xi48>

    becomes

        %d = ftensor.sub %max, %x : tensor<1x10xi32>
        %i = ftensor.rescale %d, %one, %zero {output_zp = -128} : tensor<1x10xi8>
        %e = ftensor.lookup %i, %turned : tensor<1x10xi48>
    """

    name = "wrong-fusion-across-second-use"
    rules = (lookup_of_distance,)
