"""`pair-kernels`: two kernels at the same time, one on each PE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block

from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.passes.plan_tiles import PlanTiles, make_tasks
from furiosa_ir.backends.warboy.planning.decisions import is_decided, limited_slices
from furiosa_ir.backends.warboy.planning.pair_choice import (
    Pair,
    choose_pairs,
    is_chain,
    needs,
    order_of,
    reordered,
)
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import passed
from furiosa_ir.ir.segments import is_npu

MOST_KERNELS = 2000
"""Of a segment whose pairs are looked for: batches in bands have thousands, and gain nothing."""


@dataclass(frozen=True)
class PairKernels(Pass):
    """Has the two PEs of a fused target work on two kernels at the same time, where that is faster.

    Both are small, and neither needs the other: a detector's boxes and scores of one map, say. Over
    all slices each would be done before the slices have agreed on it. The second stands right
    behind the first then, and says that it is beside it; its result will lie in the second PE's
    slices, that of the first in the first's (`planning.pair_choice`).

        %boxes = warboy.dot %x, %v ... : tensor<1x5x5x12xi8> { ... }
        %y = warboy.dot %boxes, %u ... : tensor<1x5x5x12xi8> { ... }
        %scores = warboy.dot %x, %w ... : tensor<1x5x5x24xi8> { ... }

    becomes

        %boxes = warboy.dot %x, %v ... : tensor<1x5x5x12xi8> { ... }
        %scores = warboy.dot %x, %w ... {beside = unit} : tensor<1x5x5x24xi8> { ... }
        %y = warboy.dot %boxes, %u ... : tensor<1x5x5x12xi8> { ... }
    """

    name = "pair-kernels"
    reads_target = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, PlanTiles.name)  # what that needs, this needs too
        machine = machine_of(op)
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function) and not is_decided(function):
                pair_kernels(function, machine)


def pair_kernels(function: FuncOp, machine: Machine) -> None:
    """Pairs the kernels of one segment where that pays, and it may use both PEs."""
    if machine.slices <= PE_SLICES or limited_slices(function) is not None:
        return
    block = function.body.block
    kernels = [op for op in block.ops if isinstance(op, KernelOp)]
    needed = needs(block, kernels)
    if len(kernels) > MOST_KERNELS or is_chain(needed):
        return
    _, tasks, storage = make_tasks(function, machine)
    pairs = choose_pairs(needed, tasks, storage.buffers, machine)
    if not pairs:
        return
    for pair in pairs:
        passed(
            kernels[pair.second],
            "beside",
            "it runs on one PE while the other runs '{layer}': {together:,} cycles, and one after "
            "the other over both PEs {apart:,}",
            layer=layer_name(kernels[pair.first]) or kernels[pair.first].name,
            together=pair.together,
            apart=pair.apart,
        )
    put_beside(block, kernels, needed, pairs)


def put_beside(
    block: Block, kernels: Sequence[KernelOp], needed: Sequence[int], pairs: Sequence[Pair]
) -> None:
    """Puts the second kernel of each pair behind the first, and says that it is beside it.

    Args:
        block: of a segment.
        kernels: all of its kernels, in order.
        needed: which of them each needs (`planning.pair_choice.needs`).
        pairs: pairs that go together.
    """
    *operations, last = block.ops
    for pair in pairs:
        kernels[pair.second].beside = UnitAttr()
    order = [kernels[k] for k in order_of(needed, pairs)]
    for op in list(reordered(operations, order)):
        op.detach()
        block.insert_op_before(op, last)
