"""A wrong rewrite: operands that change places where the order matters."""

from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import AddOp, MulOp, SubOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of, shape_of


@rule
def small_operand_first(op: AddOp | MulOp | SubOp, rw: Rewrite) -> SSAValue | None:
    """f(a, b) = f(b, a), the smaller first. Wrong: a - b is not b - a."""
    if prod(shape_of(op.a)) <= prod(shape_of(op.b)):
        return None
    return rw.emit(type(op), [op.b, op.a], [element_of(op.result)])


@dataclass(frozen=True)
class WrongSwappedOperands(RewritePass):
    """Puts what is broadcast in front.

        %y = ftensor.sub %x, %max : tensor<1x10xi32>       // %max: tensor<1x1xi8>

    becomes

        %y = ftensor.sub %max, %x : tensor<1x10xi32>
    """

    name = "wrong-swapped-operands"
    rules = (small_operand_first,)
