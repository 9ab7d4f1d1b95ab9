"""`copy-parts`: parts of concatenations that all slices compute, and then copy into place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation

from furiosa_ir.backends.warboy.dialect.attributes import GROUP, ViewsAttr
from furiosa_ir.backends.warboy.dialect.kernels import KernelOp, VectorOp, make_kernel
from furiosa_ir.backends.warboy.dialect.plan import KernelViews
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.plan_tiles import PlanTiles, make_tasks
from furiosa_ir.backends.warboy.planning.decisions import is_decided, limited_slices
from furiosa_ir.backends.warboy.planning.part_copies import PartCopy, part_copies
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import passed
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import is_npu


@dataclass(frozen=True)
class CopyParts(Pass):
    """Has parts of concatenations copied into place where few slices would compute them there.

    A kernel that writes a window of a concatenation's buffer works in the slices that the window
    lies in: half of them, where two halves of the channels are concatenated. By the performance
    model it often takes less to compute the part in a buffer of its own, over all slices, and to
    copy it (`planning.part_copies`).

        %a = warboy.dot %x, %v ... : tensor<1x80x80x32xi8> { ... }
        %b = warboy.dot %y, %w ... : tensor<1x80x80x32xi8> { ... }
        %c = ftensor.concat %a, %b {axis = 3} : tensor<1x80x80x64xi8>

    becomes

        %a = warboy.dot %x, %v ... : tensor<1x80x80x32xi8> { ... }
        %p = warboy.vector %a_ = %a ... : tensor<1x80x80x32xi8> { warboy.yield %a_ }
        %b = warboy.dot %y, %w ... : tensor<1x80x80x32xi8> { ... }
        %q = warboy.vector %b_ = %b ... : tensor<1x80x80x32xi8> { warboy.yield %b_ }
        %c = ftensor.concat %p, %q {axis = 3} : tensor<1x80x80x64xi8>
    """

    name = "copy-parts"
    reads_target = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, PlanTiles.name)  # what that needs, this needs too
        machine = machine_of(op)
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function) and not is_decided(function):
                copy_parts(function, machine)


def copy_parts(function: FuncOp, machine: Machine) -> None:
    """Copies the parts of one segment where that pays."""
    block = function.body.block
    if not any(isinstance(op, movement.ConcatOp) for op in block.ops):
        return
    kernels, tasks, storage = make_tasks(function, machine)
    for each in part_copies(tasks, storage.buffers, machine, slices=limited_slices(function)):
        _copy(kernels[each.kernel], each)


def _copy(kernel: KernelOp, each: PartCopy) -> None:
    passed(
        kernel,
        "part",
        "its result is copied into a concatenation, {copy:,} cycles: made there in place it would "
        "take {in_place:,} cycles, for few slices would work on it, and by itself it takes {own:,}",
        copy=each.copy,
        in_place=each.in_place,
        own=each.own,
    )
    result, view = kernel.result, kernel.kernel_views.result
    (use,) = [use for use in result.uses if isinstance(use.operation, movement.ConcatOp)]
    with step("copy_part", kernel) as done:
        copy = make_kernel(VectorOp, [result], result, use.operation.location)
        copy.views = ViewsAttr(KernelViews((view,), view))
        if GROUP in kernel.attributes:
            copy.attributes[GROUP] = kernel.attributes[GROUP]
        cast("Block", kernel.parent).insert_op_after(copy, kernel)
        done.made.append(cast("Operation", copy))
    use.operation.operands[use.index] = copy.result
