"""`split-columns`: groups of kernels band by band, where their activations would not fit SRAM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.segment import kernels_of
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.plan_tiles import PlanTiles, prepare
from furiosa_ir.backends.warboy.planning.assigned_views import own_result, read_views
from furiosa_ir.backends.warboy.planning.band_choice import GroupChoice, choose_groups
from furiosa_ir.backends.warboy.planning.band_rewrite import group_of, split_columns
from furiosa_ir.backends.warboy.planning.bands import NoBands, check_kernel
from furiosa_ir.backends.warboy.planning.geometry import tensor_bytes
from furiosa_ir.backends.warboy.planning.pinning import (
    SegmentPlan,
    is_resident,
    parameter_bytes,
    plan_program,
    plan_resident,
)
from furiosa_ir.backends.warboy.planning.remade import number_parts
from furiosa_ir.backends.warboy.planning.run_estimate import run_cycles
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import passed
from furiosa_ir.ir.rewrite_watch import step, unheard_rewrites
from furiosa_ir.ir.segments import is_npu

MAX_KERNELS = 2000
"""Kernels that a segment is planned with, to see what bands are worth."""

MAX_COUNT = 16
"""Bands of a group."""

MORE = (1, 2, 3)
"""Times as many bands as should do, until all fits: narrow tensors may take more than a share."""

SHARES = (3, 2)
"""Quarters of SRAM for activations, where not all weights have room."""


class Planner(Protocol):
    """Plans segments; None: not for less cycles than something else takes."""

    def __call__(
        self, workloads: Sequence[Workload], machine: Machine, *, least: float
    ) -> Sequence[SegmentPlan] | None: ...


WORTH = 0.995
"""Of the time without bands: what it has to take less, as estimates are not known any better."""


@dataclass(frozen=True)
class SplitColumns(Pass):
    """Lets groups of kernels of an `@npu_K` work band by band of columns, where that is faster.

    What passes from kernel to kernel within a group is then never there as a whole, and neither
    goes to DRAM and back nor takes the room of weights. Columns that a window reads of the band
    before are kept. Which groups, and how many bands, a dynamic program chooses; the planner's
    estimate of a run decides. Segments whose activations are small beside SRAM are not looked at.

        %y = warboy.dot %x_ = %x, %w_ = %w, ... : tensor<1x64x64x8xi8> { ... }
        %z = warboy.pool %y_ = %y : tensor<1x32x32x8xi8> { ... }

    becomes

        %0 = warboy.copy %x_ = %x : tensor<1x64x34x3xi8> { ftensor.slice ... }
        %1 = warboy.dot %x_ = %0, %w_ = %w, ... : tensor<1x64x33x8xi8> { ... }
        %2 = ftensor.slice %1 {starts = array<i64: 0, 0, 31, 0>, ...} : tensor<1x64x2x8xi8>
        %3 = warboy.vector %y_ = %2 : tensor<1x64x2x8xi8> { ... }
        %4 = warboy.pool %y_ = %1 : tensor<1x32x16x8xi8> { ... }
        %5 = warboy.copy %x_ = %x : tensor<1x64x32x3xi8> { ftensor.slice ... }
        %6 = warboy.vector %y_ = %3 : tensor<1x64x2x8xi8> { ... }
        %7 = warboy.dot %x_ = %5, %w_ = %w, ... : tensor<1x64x31x8xi8> { ... }
        %8 = ftensor.concat %6, %7 {axis = 2} : tensor<1x64x33x8xi8>
        %9 = warboy.pool %y_ = %8 : tensor<1x32x16x8xi8> { ... }
        %z = ftensor.concat %4, %9 {axis = 2} : tensor<1x32x32x8xi8>
    """

    name = "split-columns"
    reads_target = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, PlanTiles.name)
        machine = machine_of(op)
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function) and may_spill(function, machine):
                split_segment(function, machine)


def split_segment(function: FuncOp, machine: Machine) -> None:
    """Lets groups of a segment's kernels work band by band where that is faster, in place."""
    for part, kernels in _parts(function):
        groups = best_groups(part, machine)
        for mine in kernels if groups else ():
            split_groups(function, mine, groups)


def may_spill(function: FuncOp, machine: Machine) -> bool:
    """Whether activations may not fit beside the weights: a sum of bytes, no plan is made."""
    kernels = kernels_of(function)
    number = {op: k for k, op in enumerate(kernels)}
    change = [0] * (len(kernels) + 1)
    for value in (*function.body.block.args, *(op.result for op in kernels)):
        users = [number[op] for op in _kernels_that_read(value) if op in number]
        if users:
            first = number.get(cast("KernelOp", value.owner), min(users))
            change[first] += tensor_bytes(value)
            change[max(users) + 1] -= tensor_bytes(value)
    most = total = 0
    for each in change:
        total += each
        most = max(most, total)
    constants = sum(
        tensor_bytes(op.result) for op in function.body.block.ops if isinstance(op, ConstantOp)
    )
    weights = min(constants, machine.sram_bytes * 3 // 4)
    return 2 * most > machine.sram_bytes - weights


def _kernels_that_read(value: SSAValue) -> Iterator[KernelOp]:
    for use in value.uses:
        if isinstance(use.operation, KernelOp):
            yield use.operation
        else:
            for result in use.operation.results:
                yield from _kernels_that_read(result)


def _parts(function: FuncOp) -> list[tuple[FuncOp, list[list[KernelOp]]]]:
    """(a segment to choose bands for, the kernels that they are chosen for, once or more often).

    Passes over the images of a batch are alike: it is chosen for the first of them.
    """
    alike = _passes(function)
    if alike is None:
        return [(function, [kernels_of(function)])]
    return [(_first_pass(function), alike)]


def _passes(function: FuncOp) -> list[list[KernelOp]] | None:
    """The kernels of each pass over a batch's images; None if there are none, or they differ.

    What a pass makes has to be what a segment may return: all of a kernel's result, once.
    """
    end = cast("ReturnOp", function.body.block.last_op)
    joined = [_images_joined(value) for value in end.operands]
    firsts = [own_result(pieces[0]) if pieces else None for pieces in joined]
    if None in firsts or len(set(firsts)) < len(firsts):
        return None
    counts = {len(pieces) for pieces in joined}
    if len(counts) != 1 or counts <= {0, 1}:
        return None
    found = [_makers([pieces[part] for pieces in joined]) for part in range(counts.pop())]
    kernels = [op for op in kernels_of(function) if not _images_joined(op.result)]
    passes = [[op for op in kernels if op in mine] for mine in found]
    if [op for mine in passes for op in mine] != kernels:
        return None
    alike = {tuple((type(op), op.result.type) for op in mine) for mine in passes}
    return passes if len(alike) == 1 else None


def _images_joined(value: SSAValue) -> Sequence[SSAValue]:
    """The parts of a result that is put together of images in DRAM."""
    copy = value.owner
    if isinstance(copy, CopyOp) and isinstance(copy.head, movement.ConcatOp):
        return copy.inputs if copy.head.axis.value.data == 0 else ()
    return ()


def _makers(values: Sequence[SSAValue]) -> set[object]:
    found: set[object] = set()
    left = list(values)
    while left:
        owner = left.pop().owner
        if owner not in found:
            found.add(owner)
            left += getattr(owner, "operands", ())
    return found


def _first_pass(function: FuncOp) -> FuncOp:
    """A copy of a segment that makes the results of the first pass alone."""
    copy = function.clone()
    block = copy.body.block
    end = cast("ReturnOp", block.last_op)
    results = [_images_joined(value)[0] for value in end.operands]
    end.operands = results
    copy.function_type = FunctionType.from_lists(
        list(copy.function_type.inputs), [value.type for value in results]
    )
    for op in reversed(list(block.ops)):
        if op is not end and not any(result.uses for result in op.results):
            op.detach()
            op.erase()
    return copy


def best_groups(function: FuncOp, machine: Machine) -> list[GroupChoice]:
    """The groups that take the least time band by band; none, if nothing is gained.

    Where all weights fit SRAM, so many bands are tried that all activations fit beside them; only
    if none do, or there is no room for the weights, some that leave weights less room.

    Args:
        function: a segment that has views.
        machine: the target.
    """
    with unheard_rewrites():
        prepared = prepare(function, machine)
        workload = prepared.workload
        try:
            (plan,) = plan_program([workload], machine)
        except CompilationFailure:
            return []  # `plan-tiles` will say why
        if is_resident(workload, plan):
            return []
        whole = run_cycles(workload, plan.sram, machine)
        fits = {k for k, op in enumerate(prepared.kernels) if _fits(op)}
        leaves = {
            k
            for k, task in workload.tasks.items()
            if k not in fits and not workload.storages[task.result.buffer].readers
        }
        room = (machine.slice_bytes - parameter_bytes(workload, machine)) * 15 // 16
        if room > machine.slice_bytes // 8:
            groups = choose_groups(workload, fits, leaves, room, machine)
            for factor in MORE if groups else ():
                wanted = [group.times(factor, MAX_COUNT) for group in groups]
                if _cycles(function, wanted, machine, plan_resident, whole) is not None:
                    return wanted
        best: list[GroupChoice] = []
        least = whole * WORTH
        for share in SHARES:
            capacity = machine.slice_bytes * share // 4
            groups = choose_groups(workload, fits, leaves, capacity, machine)
            if groups:
                cycles = _cycles(function, groups, machine, plan_program, least)
                if cycles is not None:
                    best, least = groups, cycles
        return best


def _fits(kernel: KernelOp) -> bool:
    known: dict[SSAValue, str] = {kernel.result: kernel.kernel_views.result}
    try:
        check_kernel(kernel, known)
    except NoBands:
        return False
    return True


def _cycles(
    function: FuncOp,
    groups: Sequence[GroupChoice],
    machine: Machine,
    planner: Planner,
    least: float,
) -> float | None:
    """The estimate of a run with these groups, if it takes less than `least` cycles.

    None, too, if it does not fit, or there are too many kernels.
    """
    copy = function.clone()
    split_groups(copy, kernels_of(copy), groups)
    if len(kernels_of(copy)) > MAX_KERNELS:
        return None
    try:
        workload = prepare(copy, machine).workload
        plans = planner([workload], machine, least=least)
    except CompilationFailure:
        return None
    cycles = run_cycles(workload, plans[0].sram, machine) if plans else least
    return cycles if cycles < least else None


def split_groups(
    function: FuncOp, kernels: Sequence[KernelOp], groups: Sequence[GroupChoice]
) -> None:
    """Lets groups work band by band, in place; one that cannot stays as it is.

    Args:
        function: a segment that has views.
        kernels: those that groups count.
        groups: of consecutive kernels.
    """
    if groups:
        number_parts(kernels_of(function))
    for choice in groups:
        mine = [kernels[k] for k in choice.kernels]
        views = read_views(function)
        try:
            group = group_of(function, mine)
            with step("split_columns", mine[0]) as done:
                figures = {"bands": choice.count, "kernels": len(mine)}
                made = split_columns(group, views, choice.count)
                done.made.extend(made)
        except NoBands:
            continue
        passed(
            made[-1],
            "bands",
            "{kernels} kernels that lead to it work in {bands} bands of columns, so that what "
            "passes between them is never there as a whole",
            **figures,
        )
