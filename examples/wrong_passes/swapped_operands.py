"""A wrong rewrite: operands that change places where the order matters."""

from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

import furiosa_ir as fi


@fi.rule
def small_operand_first(
    op: fi.ftensor.AddOp | fi.ftensor.MulOp | fi.ftensor.SubOp, rw: fi.Rewrite
) -> SSAValue | None:
    """f(a, b) = f(b, a), the smaller first. Wrong: a - b is not b - a."""
    if prod(fi.shape_of(op.a)) <= prod(fi.shape_of(op.b)):
        return None
    return rw.emit(type(op), [op.b, op.a], [fi.element_of(op.result)])


@dataclass(frozen=True)
class WrongSwappedOperands(fi.RewritePass):
    """Puts what is broadcast in front.

        %y = ftensor.sub %x, %max : tensor<1x10xi32>       // %max: tensor<1x1xi8>

    becomes

        %y = ftensor.sub %max, %x : tensor<1x10xi32>
    """

    name = "wrong-swapped-operands"
    rules = (small_operand_first,)
