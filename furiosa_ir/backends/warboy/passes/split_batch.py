"""`split-batch`: a batch in several passes, where its activations would not stay in SRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

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
from furiosa_ir.backends.warboy.planning.images import ImageWork, emit_images, image_work
from furiosa_ir.backends.warboy.planning.pinning import is_resident, plan_program
from furiosa_ir.backends.warboy.planning.remade import number_parts
from furiosa_ir.backends.warboy.planning.run_estimate import run_cycles
from furiosa_ir.backends.warboy.simulator import timeline
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.attribute_values import as_attribute
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import passed
from furiosa_ir.ir.rewrite_watch import step, unheard_rewrites
from furiosa_ir.ir.segments import is_npu
from furiosa_ir.ir.shaped_operation import AnyTensor, element_of, ints, shape_of, tensor_type
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
        found = {f: work for f in functions if (work := image_work(f)).images > 1}
        for function, work in found.items():
            images, parts = work.images, best_parts(function, work, machine_of(op))
            if parts > 1:
                passed(
                    function,
                    "batch",
                    "its {images} images go through it in {parts} passes of {each}",
                    images=images,
                    parts=parts,
                    each=images // parts,
                )
                split_batch(function, work, parts)


def best_parts(function: FuncOp, work: ImageWork, machine: Machine) -> int:
    """In how many passes a segment's images take the least time, as far as estimates go.

    Args:
        function: a segment whose kernels are fused.
        work: what of it works image by image.
        machine: the target.
    """
    images = work.images
    size = sum(not isinstance(op, ConstantOp) for op in function.body.block.ops)
    alone: dict[int, float] = {}
    stays, parts = True, 1
    while images % parts == 0 and (parts == 1 or parts * size <= MAX_KERNELS):
        estimate = _estimate(_part_of(function, work, parts), machine)
        if estimate is not None:
            cycles, stays = estimate
            alone[parts] = parts * cycles
        parts *= 2
    if not alone:
        return 1
    near = NEAR * min(alone.values())
    if alone.get(images, inf) <= near and not stays:
        return images  # `split-columns` makes more of an image that fills SRAM than of several
    likely = sorted(alone, key=alone.__getitem__)[:FINALISTS]
    if likely == [1]:
        return 1
    # One pass by itself says little of what is loaded and stored for others meanwhile.
    best, least = 1, inf
    for parts in sorted({1, *likely}):
        if parts > 1 and alone[parts] > near:
            continue
        cycles = _cycles(function, parts, machine)
        if cycles is not None and cycles < least * WORTH:
            best, least = parts, cycles
    return best


def _estimate(function: FuncOp, machine: Machine) -> tuple[float, bool] | None:
    """(cycles of a segment's run, whether activations stay in SRAM); it is planned in place.

    None if it does not fit.
    """
    with unheard_rewrites():
        try:
            assign_views(function)
            copy_parts(function, machine)
            workload = prepare(function, machine).workload
            (plan,) = plan_program([workload], machine)
        except CompilationFailure:
            return None
    return run_cycles(workload, plan.sram, machine), is_resident(workload, plan)


def _cycles(function: FuncOp, parts: int, machine: Machine) -> int | None:
    """The cycles of a run in so many passes, by its commands; None: it does not fit."""
    copy = function.clone()
    with unheard_rewrites():
        if parts > 1:
            split_batch(copy, image_work(copy), parts)
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


def _part_of(function: FuncOp, work: ImageWork, parts: int) -> FuncOp:
    """A segment for one of so many parts of the images, which says nothing of its surroundings."""
    old = function.body.block
    types = [_part_type(v, work.images, parts) for v in old.args]
    block = Block(arg_types=types)
    values: dict[SSAValue, SSAValue] = dict(zip(old.args, block.args, strict=True))
    for op in old.ops:
        if isinstance(op, ConstantOp):
            copy = op.clone()
            block.add_op(copy)
            values[op.result] = copy.result
    emit_images(work.operations, values, block, None, parts)
    results = [values[value] for value in work.outputs]
    block.add_op(ReturnOp(*results))
    kinds = FunctionType.from_lists(types, [value.type for value in results])
    return FuncOp(function.sym_name.data, kinds, Region(block))


def _part_type(value: SSAValue, images: int, parts: int) -> AnyTensor:
    shape = shape_of(value)
    if shape[:1] == (images,):
        shape = (images // parts, *shape[1:])
    return tensor_type(element_of(value), shape)


def split_batch(function: FuncOp, work: ImageWork, parts: int) -> None:
    """Lets the images of a segment go through it in so many passes, in place.

    Args:
        function: the segment.
        work: what of it works image by image.
        parts: how many passes.
    """
    block, images = function.body.block, work.images
    before = _first_behind(block, work)
    number_parts(kernels_of(function))
    readers = {value: _reader(value) for value in block.args}
    with step("split_batch", work.operations[0]) as done:
        pieces: list[list[SSAValue]] = []
        for part in range(parts):
            values: dict[SSAValue, SSAValue] = {}
            for value in block.args:
                if shape_of(value)[:1] == (images,) and value.uses:
                    taken = _take(value, part * images // parts, images // parts)
                    reader = readers[value]
                    if reader is not None:
                        taken.attributes[PART] = reader.attributes[PART]
                    block.insert_op_before(taken, before)
                    done.made.append(taken)
                    values[value] = taken.result
            done.made += emit_images(work.operations, values, block, before, parts)
            pieces.append([values[value] for value in work.outputs])
        for old, made in zip(work.outputs, zip(*pieces, strict=True), strict=True):
            done.made.append(_join(old, made, work, before))
        for op in reversed(work.operations):
            op.detach()
            op.erase()


def _first_behind(block: Block, work: ImageWork) -> Operation:
    """The first operation that mixes images; constants that stand behind it go in front of it."""
    inside, outputs = set(work.operations), set(work.outputs)
    operations = list(block.ops)
    before = next(
        op for op in operations if op not in inside and not outputs.isdisjoint(op.operands)
    )
    behind = operations[operations.index(before) :]
    for op in behind:
        if isinstance(op, ConstantOp) and any(use.operation in inside for use in op.result.uses):
            op.detach()
            block.insert_op_before(op, before)
    return before


def _join(
    old: SSAValue, pieces: Sequence[SSAValue], work: ImageWork, before: Operation
) -> movement.ConcatOp:
    """All images of an output for whoever mixes them; who takes some of one piece reads that."""
    owner = old.owner
    assert isinstance(owner, Operation)
    whole = movement.ConcatOp.make(
        [list(pieces)], [element_of(old)], location=owner.location, axis=0
    )
    block = before.parent
    assert block is not None
    block.insert_op_before(whole, before)
    note_replaced(old, whole.result)
    each = shape_of(pieces[0])[0]
    for use in list(old.uses):
        user = use.operation
        if user in work.operations:
            continue
        user.operands[use.index] = whole.result
        if isinstance(user, movement.SliceOp) and set(ints(user.steps)) == {1}:
            starts, ends = [*ints(user.starts)], [*ints(user.ends)]
            number, starts[0] = divmod(starts[0], each)
            ends[0] -= number * each
            if ends[0] <= each:
                user.operands[0] = pieces[number]
                user.properties["starts"] = as_attribute(starts)
                user.properties["ends"] = as_attribute(ends)
    return whole


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
