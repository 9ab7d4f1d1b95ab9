"""A wrong rewrite: a transpose that exchanges height and width on its way back."""

from dataclasses import dataclass
from typing import Any

from xdsl.ir import SSAValue

import furiosa_ir as fi

_PERMUTATIONS = {"NCHW": ((0, 2, 3, 1), (0, 3, 2, 1)), "NHWC": ((0, 3, 1, 2), (0, 3, 2, 1))}
"""There and back. Wrong: back is (0, 3, 1, 2) and (0, 2, 3, 1)."""


@fi.rule
def channels_elsewhere(op: fi.graph.ConvOp, rw: fi.Rewrite) -> SSAValue | None:
    """conv(x) = q(conv'(p(x))) in the other layout, of convolutions of one pixel."""
    if op.layout.data not in _PERMUTATIONS or op.group.value.data != 1:
        return None
    extents = dict(zip(op.kernel_layout.data, fi.shape_of(op.weight), strict=True))
    if isinstance(op.x.owner, fi.graph.TransposeOp) or (extents["H"], extents["W"]) != (1, 1):
        return None
    there, back = _PERMUTATIONS[op.layout.data]
    other = "NHWC" if op.layout.data == "NCHW" else "NCHW"
    x = rw.emit(fi.graph.TransposeOp, [op.x], [fi.element_of(op.x)], perm=there)
    properties: dict[str, Any] = {**op.semantic_properties(), "layout": other}
    y = rw.emit(fi.graph.ConvOp, [x, op.weight, op.bias], [fi.element_of(op.result)], **properties)
    return rw.emit(fi.graph.TransposeOp, [y], [fi.element_of(op.result)], perm=back)


@dataclass(frozen=True)
class WrongTransposedAxis(fi.RewritePass):
    """Computes convolutions of one pixel in the other layout.

        %y = graph.conv %x, %w, %b {layout = "NCHW", kernel_layout = "OIHW"} : ...

    becomes

        %p = graph.transpose %x {perm = array<i64: 0, 2, 3, 1>} : ...
        %c = graph.conv %p, %w, %b {layout = "NHWC", kernel_layout = "OIHW"} : ...
        %y = graph.transpose %c {perm = array<i64: 0, 3, 2, 1>} : ...
    """

    name = "wrong-transposed-axis"
    rules = (channels_elsewhere,)
