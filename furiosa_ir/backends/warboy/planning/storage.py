"""Which buffer every tensor is, or is a window of, and how buffers lie in DRAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import Allocation, CopyPlan
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.assigned_views import Views
from furiosa_ir.backends.warboy.planning.buffers import (
    Place,
    Storage,
    StorageBuilder,
    part_offsets,
)
from furiosa_ir.backends.warboy.planning.copy_plans import plan_copies
from furiosa_ir.backends.warboy.planning.views import position4, shifted
from furiosa_ir.dialects.ftensor import arithmetic, movement
from furiosa_ir.ir.shaped_operation import ints, shape_of


@dataclass(frozen=True, slots=True)
class StorageMap:
    """All buffers, every tensor's place, and the copies in DRAM by kernel number."""

    build: StorageBuilder
    copies: dict[int, CopyPlan]

    @property
    def buffers(self) -> list[Storage]:
        """All buffers so far (a constant gets one when it is first asked for)."""
        return self.build.buffers

    def place(self, value: SSAValue, view: str) -> Place:
        """Where a value lies under a view; only constants may lie under several."""
        if isinstance(value.owner, arithmetic.ConstantOp):
            return self.build.constant_place(value, view)
        return self.build.place(value)

    def allocation(self, buffer: int) -> Allocation:
        """A buffer's place in DRAM."""
        return self.build.allocation(buffer)


def assign_storage(function: FuncOp, views: Views, machine: Machine) -> StorageMap:
    """Buffers, places and DRAM allocations of all tensors of a function.

    A copy in DRAM whose target needs no order of its own is an alias of its source; where the
    target's order is given (a result of the function, a concatenation), or no strides make it an
    alias (a reshape of transposed elements), the source's kernel stores straight into it if strides
    can say how.
    """
    build = StorageBuilder(function, views)
    block = build.block
    operations = list(block.ops)
    for op in operations:
        if isinstance(op, movement.ConcatOp):
            for value, index in zip(op.inputs, part_offsets(op), strict=True):
                build.parts[value] = (op.result, index)
    for number, argument in enumerate(block.args):
        build.new(argument, build.dense_allocation(argument, "argument", number))
    for op in operations:
        match op:
            case CopyOp():
                build.new(op.result)
            case KernelOp() | movement.ConcatOp():
                build.place(op.results[0])
            case movement.ReshapeOp() | movement.TransposeOp():
                build.places[op.result] = build.place(op.x)
            case movement.SliceOp():
                outer = build.place(op.x)
                inner = position4(shape_of(op.x), views[op.x], ints(op.starts))
                build.places[op.result] = Place(outer.buffer, shifted(outer.offset, inner))
            case _:
                pass
    _bind_results(build)
    kernels = [op for op in operations if isinstance(op, KernelOp)]
    for kernel in kernels:
        for value in kernel.inputs:
            if not isinstance(value.owner, arithmetic.ConstantOp):
                build.place(value)
    copies = plan_copies(build, kernels, machine)
    return StorageMap(build, copies)


def _bind_results(build: StorageBuilder) -> None:
    end = cast("ReturnOp", build.block.last_op)
    for index, value in enumerate(end.operands):
        storage = build.buffers[build.place(value).buffer]
        storage.allocation = build.dense_allocation(value, "result", index)
        storage.stored = True
