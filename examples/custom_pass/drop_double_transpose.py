"""A pass of one's own, loaded with `furiosa-opt --load` (see README.md)."""

from dataclasses import dataclass

from xdsl.ir import SSAValue

import furiosa_ir as fi


@fi.rule
def transpose_of_transpose(
    op: fi.graph.TransposeOp, x: fi.graph.TransposeOp, _rw: fi.Rewrite
) -> SSAValue | None:
    """transpose(transpose(x, p), q) = x where q undoes p."""
    if not (op.only_moves and x.only_moves):  # but requantises, too
        return None
    combined = [fi.ints(x.perm)[q] for q in fi.ints(op.perm)]
    return x.x if combined == sorted(combined) else None


@dataclass(frozen=True)
class DropDoubleTranspose(fi.RewritePass):
    """Removes pairs of transposes that undo each other.

        %1 = graph.transpose %x {perm = [0, 2, 1]} : tensor<2x4x3xf32>
        %2 = graph.transpose %1 {perm = [0, 2, 1]} : tensor<2x3x4xf32>

    becomes %x.
    """

    name = "my-drop-double-transpose"
    rules = (transpose_of_transpose,)
