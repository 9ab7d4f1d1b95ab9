"""`ftensor-move-in-kernels`: movement that is a window or a gather, which kernels do in SRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.dialects.ftensor.contraction import ReduceWindowOp
from furiosa_ir.dialects.ftensor.movement import GatherOp, ReshapeOp, SliceOp, TransposeOp
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import Shape, element_of, ints, shape_of
from furiosa_ir.passes.image_layout import image_layout

_LAYOUTS = ("NCHW", "NHWC")
_GREATEST_STEP = 16
"""Of a slice that becomes a window: a choice, not measured. Beyond, hardly anything is kept."""


@rule
def window_of_strided_slice(op: SliceOp, rw: Rewrite) -> SSAValue | None:
    """x[:, ::2, ::2] = the greatest of windows of one element, two apart, of an image x."""
    steps, element = ints(op.steps), element_of(op.x)
    if len(steps) != 4 or not 1 < max(steps) <= _GREATEST_STEP or element != i8:
        return None
    layout = image_layout(op.x)
    if layout not in _LAYOUTS:
        return None
    h, w = layout.index("H"), layout.index("W")
    if any(step != 1 and axis not in (h, w) for axis, step in enumerate(steps)):
        return None
    image, counts = op.x, shape_of(op.result)
    starts = ints(op.starts)
    ends = [b + (n - 1) * s + 1 for b, n, s in zip(starts, counts, steps, strict=True)]
    if min(counts) == 0:
        return None
    if any(starts) or tuple(ends) != shape_of(image):
        image = rw.emit(SliceOp, [image], [element], starts=starts, ends=ends, steps=[1] * 4)
    return rw.emit(
        ReduceWindowOp,
        [image],
        [element],
        kind="max",
        layout=layout,
        window=(1, 1),
        strides=(steps[h], steps[w]),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        x_zp=0,
    )


@rule
def gather_of_shuffle(op: ReshapeOp, x: TransposeOp, rw: Rewrite) -> SSAValue | None:
    """reshape(transpose(reshape(x))) = gather(x), if it permutes the elements of one axis.

    The shuffle of a grouped convolution's channels. Of what a kernel makes: arguments can be
    loaded in any order.
    """
    before = x.x.owner
    if not isinstance(before, ReshapeOp) or shape_of(before.x) != shape_of(op.result):
        return None
    if not isinstance(before.x.owner, TensorOp) or isinstance(before.x.owner, ConstantOp):
        return None
    found = _shuffle(shape_of(before.x), shape_of(before.result), ints(x.perm))
    if found is None:
        return None
    axis, indices = found
    rw.fuse_locations(before)
    return rw.emit(GatherOp, [before.x], [element_of(op.result)], axis=axis, indices=indices)


def _shuffle(shape: Shape, split: Shape, perm: Sequence[int]) -> tuple[int, list[int]] | None:
    """The axis of `shape` whose parts a transpose of `split` permutes, and where each comes from.

    None if `split` is more than one axis in several, or the transpose moves others.
    """
    more = len(split) - len(shape)
    for axis, extent in enumerate(shape):
        parts = split[axis : axis + more + 1]
        outer = (*split[:axis], extent, *split[axis + more + 1 :])
        inner = perm[axis : axis + more + 1]
        rest = (*perm[:axis], *perm[axis + more + 1 :])
        others = (*range(axis), *range(axis + more + 1, len(split)))
        if more < 1 or outer != shape or rest != others or np.prod(parts) != extent:
            continue
        places = np.arange(extent).reshape(parts).transpose([p - axis for p in inner])
        return axis, [int(i) for i in places.reshape(-1)]
    return None


@dataclass(frozen=True)
class MoveInKernels(RewritePass):
    """Makes windows and gathers of movement that would be copies by way of DRAM.

    What leaves gaps or changes the order of elements is no view. The pooling unit steps over what
    is left out, and the vector engine gathers along an axis, so that nothing leaves SRAM:

        %1 = ftensor.slice %x {starts = [0, 0, 1, 1], ends = [1, 8, 32, 32], steps = [1, 1, 2, 2]}
        %2 = ftensor.reshape %y : tensor<1x2x3x8x8xi8>       // of tensor<1x6x8x8xi8>
        %3 = ftensor.transpose %2 {perm = array<i64: 0, 2, 1, 3, 4>}
        %4 = ftensor.reshape %3 : tensor<1x6x8x8xi8>

    becomes

        %0 = ftensor.slice %x {starts = [0, 0, 1, 1], ends = [1, 8, 32, 32]}
        %1 = ftensor.reduce_window %0 {kind = "max", window = [1, 1], strides = [2, 2]}
        %4 = ftensor.gather %y {axis = 1, indices = [0, 3, 1, 4, 2, 5]}
    """

    name = "ftensor-move-in-kernels"
    rules = (window_of_strided_slice, gather_of_shuffle)
