"""A pass of one's own, loaded with `furiosa-opt --load` (see README.md)."""

from dataclasses import dataclass

from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.movement import TransposeOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import ints


@rule
def transpose_of_transpose(op: TransposeOp, x: TransposeOp, _rw: Rewrite) -> SSAValue | None:
    """transpose(transpose(x, p), q) = x where q undoes p."""
    combined = [ints(x.perm)[q] for q in ints(op.perm)]
    return x.x if combined == sorted(combined) else None


@dataclass(frozen=True)
class DropDoubleTranspose(RewritePass):
    """Removes pairs of transposes that undo each other.

        %1 = graph.transpose %x {perm = [0, 2, 1]} : tensor<2x4x3xf32>
        %2 = graph.transpose %1 {perm = [0, 2, 1]} : tensor<2x3x4xf32>

    becomes %x.
    """

    name = "my-drop-double-transpose"
    rules = (transpose_of_transpose,)
