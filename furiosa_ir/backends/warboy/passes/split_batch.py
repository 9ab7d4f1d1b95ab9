"""`split-batch`: a batch in several passes, and small segments in one PE's slices."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.passes.assign_views import AssignViews
from furiosa_ir.backends.warboy.passes.batch_choice import best_way, take
from furiosa_ir.backends.warboy.planning.images import image_work
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import passed
from furiosa_ir.ir.segments import is_npu


@dataclass(frozen=True)
class SplitBatch(Pass):
    """Splits the batch of an `@npu_K` into passes over fewer images, where that is faster.

    The activations of a batch may be more than SRAM holds, and those of fewer images not; weights
    stay there from pass to pass; and what a batch has to copy in DRAM, parts of it may not. The
    batch at once, and a half of it, a third, ... as often go to commands on trial, where estimates
    do not rule them out (`batch_choice`), so that an image takes no longer in a batch than in one
    that it is a multiple of. On two PEs so does a small segment in the slices of one
    (`warboy.slices`), where more than layouts depends on how many there are.

        %y = warboy.dot %x_ = %x, %w_ = %w, ... : tensor<2x8x64x64xi8> { ... }
        %z = warboy.dot %y_ = %y, %v_ = %v, ... : tensor<2x8x64x64xi8> { ... }
        func.return %z

    becomes

        %0 = ftensor.slice %x {starts = array<i64: 0, 0, 0, 0>, ...} : tensor<1x8x64x64xi8>
        %1 = warboy.dot %x_ = %0, %w_ = %w, ... : tensor<1x8x64x64xi8> { ... }
        %2 = warboy.dot %y_ = %1, %v_ = %v, ... : tensor<1x8x64x64xi8> { ... }
        %3 = ftensor.slice %x {starts = array<i64: 1, 0, 0, 0>, ...} : tensor<1x8x64x64xi8>
        %4 = warboy.dot %x_ = %3, %w_ = %w, ... : tensor<1x8x64x64xi8> { ... }
        %5 = warboy.dot %y_ = %4, %v_ = %v, ... : tensor<1x8x64x64xi8> { ... }
        %z = ftensor.concat %2, %5 {axis = 0} : tensor<2x8x64x64xi8>
        func.return %z
    """

    name = "split-batch"
    reads_target = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, AssignViews.name)
        functions = [f for f in op.ops if isinstance(f, FuncOp) and is_npu(f)]
        for function in functions:
            work = image_work(function)
            way = best_way(function, work, machine_of(op))
            if way.parts > 1:
                passed(
                    function,
                    "batch",
                    "its {images} images go through it in {parts} passes of {each}",
                    images=work.images,
                    parts=way.parts,
                    each=work.images // way.parts,
                )
            if way.slices is not None:
                passed(
                    function,
                    "slices",
                    "it works in {slices} slices: in all that there are a run takes longer",
                    slices=way.slices,
                )
            take(function, work, way)
