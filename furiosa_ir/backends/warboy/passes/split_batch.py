"""`split-batch`: a batch in several passes, where its activations would not stay in SRAM."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from furiosa_ir.backends.warboy.dialect.attributes import PART
from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.dialect.segment import kernels_of
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.allocate import allocate_segments
from furiosa_ir.backends.warboy.passes.assign_views import AssignViews, assign_views
from furiosa_ir.backends.warboy.passes.copy_parts import copy_parts
from furiosa_ir.backends.warboy.passes.plan_tiles import plan_segments, prepare
from furiosa_ir.backends.warboy.passes.schedule import schedule_commands
from furiosa_ir.backends.warboy.passes.split_columns import may_spill
from furiosa_ir.backends.warboy.planning.images import emit_images, images_of
from furiosa_ir.backends.warboy.planning.pinning import plan_program
from furiosa_ir.backends.warboy.planning.remade import number_parts
from furiosa_ir.backends.warboy.planning.run_estimate import run_cycles
from furiosa_ir.backends.warboy.simulator import timeline
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import passed
from furiosa_ir.ir.rewrite_watch import step, unheard_rewrites
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.ir.shaped_operation import AnyTensor, element_of, shape_of, tensor_type
from furiosa_ir.ir.value_tracking import note_replaced

MAX_KERNELS = 2000
"""Operations that a segment of several passes may have: planning takes its time for each."""

FINALISTS = 2
"""Numbers of passes that are planned all together."""

NEAR = 1.05
"""Times the least estimate: what passes by themselves may take to be among them."""

WORTH = 0.995
"""Of the time of the batch at once: what passes have to take less, so that there are more commands
only where that gains something."""


@dataclass(frozen=True)
class SplitBatch(Pass):
    """Splits the batch of an `@npu_K` into passes over fewer images, where that is faster.

    The activations of a batch may be more than SRAM holds, and those of fewer images not; weights
    stay there from pass to pass. What the batch takes at once, and what a half of it, a quarter,
    ... take as often, says the planner's estimate of a run.

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
        counts = {f: images for f in functions if (images := images_of(f)) > 1}
        for function, images in counts.items():
            parts = best_parts(function, images, machine_of(op))
            if parts > 1:
                passed(
                    function,
                    "batch",
                    "its {images} images go through it in {parts} passes of {each}",
                    images=images,
                    parts=parts,
                    each=images // parts,
                )
                split_batch(function, images, parts)


def best_parts(function: FuncOp, images: int, machine: Machine) -> int:
    """In how many passes a segment's images take the least time, as far as estimates go.

    Args:
        function: a segment whose kernels are fused.
        images: how many there are.
        machine: the target.
    """
    size = sum(not isinstance(op, ConstantOp) for op in function.body.block.ops)
    alone: dict[int, float] = {}
    parts = 1
    while images % parts == 0 and (parts == 1 or parts * size <= MAX_KERNELS):
        cycles = _estimate(_part_of(function, images, parts), machine)
        if cycles is not None:
            alone[parts] = parts * cycles
        parts *= 2
    if not alone:
        return 1
    near = NEAR * min(alone.values())
    if alone.get(images, inf) <= near and may_spill(_part_of(function, images, images), machine):
        return images  # `split-columns` makes more of an image that fills SRAM than of several
    likely = sorted(alone, key=alone.__getitem__)[:FINALISTS]
    if likely == [1]:
        return 1
    # One pass by itself says little of what is loaded and stored for others meanwhile.
    best, least = 1, inf
    for parts in sorted({1, *likely}):
        if parts > 1 and alone[parts] > near:
            continue
        cycles = _cycles(function, images, parts, machine)
        if cycles is not None and cycles < least * WORTH:
            best, least = parts, cycles
    return best


def _estimate(function: FuncOp, machine: Machine) -> float | None:
    """The estimate of a segment's run, which is planned in place; None: it does not fit."""
    with unheard_rewrites():
        try:
            assign_views(function)
            copy_parts(function, machine)
            workload = prepare(function, machine).workload
            (plan,) = plan_program([workload], machine)
        except CompilationFailure:
            return None
    return run_cycles(workload, plan.sram, machine)


def _cycles(function: FuncOp, images: int, parts: int, machine: Machine) -> int | None:
    """The cycles of a run in so many passes, by its commands; None: it does not fit."""
    copy = function.clone()
    with unheard_rewrites():
        if parts > 1:
            split_batch(copy, images, parts)
        try:
            assign_views(copy)
            copy_parts(copy, machine)
            plan_segments([copy], machine)
            allocate_segments([copy], machine)
            commands, set_up = schedule_commands(copy, machine)
        except CompilationFailure:
            return None
    times = timeline.schedule(commands, machine, set_up=set_up)
    return max((end for _, end, _ in times[set_up:]), default=0)


def _part_of(function: FuncOp, images: int, parts: int) -> FuncOp:
    """A segment for one of so many parts of the images, which says nothing of its surroundings."""
    old = function.body.block
    types = [_part_type(v, images, parts) for v in old.args]
    block = Block(arg_types=types)
    values: dict[SSAValue, SSAValue] = dict(zip(old.args, block.args, strict=True))
    operations: list[Operation] = []
    for op in old.ops:
        if isinstance(op, ConstantOp):
            copy = op.clone()
            block.add_op(copy)
            values[op.result] = copy.result
        elif not isinstance(op, ReturnOp):
            operations.append(op)
    emit_images(operations, values, block, None, parts)
    end = cast("ReturnOp", old.last_op)
    results = [values[value] for value in end.operands]
    block.add_op(ReturnOp(*results))
    kinds = FunctionType.from_lists(types, [value.type for value in results])
    return FuncOp(function.sym_name.data, kinds, Region(block))


def _part_type(value: SSAValue, images: int, parts: int) -> AnyTensor:
    shape = shape_of(value)
    if shape[:1] == (images,):
        shape = (images // parts, *shape[1:])
    return tensor_type(element_of(value), shape)


def split_batch(function: FuncOp, images: int, parts: int) -> None:
    """Lets the images of a segment go through it in so many passes, in place."""
    block = function.body.block
    end = cast("ReturnOp", block.last_op)
    operations = [op for op in block.ops if not isinstance(op, ConstantOp | ReturnOp)]
    number_parts(kernels_of(function))
    readers = {value: _reader(value) for value in block.args}
    with step("split_batch", operations[0]) as done:
        results: list[list[SSAValue]] = []
        for part in range(parts):
            values: dict[SSAValue, SSAValue] = {}
            for value in block.args:
                if shape_of(value)[:1] == (images,) and value.uses:
                    taken = _take(value, part * images // parts, images // parts)
                    reader = readers[value]
                    if reader is not None:
                        taken.attributes[PART] = reader.attributes[PART]
                    block.insert_op_before(taken, end)
                    done.made.append(taken)
                    values[value] = taken.result
            done.made += emit_images(operations, values, block, end, parts)
            results.append([values[value] for value in end.operands])
        for index, made in enumerate(zip(*results, strict=True)):
            old = end.operands[index]
            whole = movement.ConcatOp.make(
                [list(made)],
                [element_of(old)],
                location=cast("Operation", old.owner).location,
                axis=0,
            )
            block.insert_op_before(whole, end)
            done.made.append(whole)
            note_replaced(old, whole.result)
            end.operands[index] = whole.result
        for op in reversed(operations):
            op.detach()
            op.erase()


def _reader(value: SSAValue) -> KernelOp | None:
    """A kernel that reads a value, or what movement makes of it."""
    for use in value.uses:
        user = use.operation
        if isinstance(user, KernelOp):
            return user
        for result in user.results:
            if (reader := _reader(result)) is not None:
                return reader
    return None


def _take(value: SSAValue, first: int, count: int) -> movement.SliceOp:
    """Some of the images."""
    shape = shape_of(value)
    starts, ends = [0] * len(shape), [*shape]
    starts[0], ends[0] = first, first + count
    return movement.SliceOp.make([value], [element_of(value)], starts=starts, ends=ends)
