"""`plan-tiles`: where every tensor lies, and how every kernel is split into steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.target import note_plan
from furiosa_ir.backends.warboy.dialect.attributes import MEMORY, MemoryAttr, PlanAttr
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import Buffer, MemoryPlan, OperandBinding
from furiosa_ir.backends.warboy.dialect.vector_operations import instruction_of
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.assigned_views import read_views
from furiosa_ir.backends.warboy.planning.decisions import (
    limit_slices,
    limited_slices,
    take_decisions,
)
from furiosa_ir.backends.warboy.planning.geometry import element_bytes, kernel_geometry
from furiosa_ir.backends.warboy.planning.kernel_views import weight_operands
from furiosa_ir.backends.warboy.planning.layout_choice import LayoutModel
from furiosa_ir.backends.warboy.planning.pairs import paired
from furiosa_ir.backends.warboy.planning.pinning import SegmentPlan, plan_program
from furiosa_ir.backends.warboy.planning.remarks import tell_copies, tell_shared_weights
from furiosa_ir.backends.warboy.planning.storage import StorageMap, assign_storage
from furiosa_ir.backends.warboy.planning.tiles import Task
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import heard, missed, say_all
from furiosa_ir.ir.segments import is_npu


@dataclass(frozen=True)
class PlanTiles(Pass):
    """Gives every kernel of every `@npu_K` its plan, and every function its buffers.

    Buffers, slice layouts, live ranges in SRAM, tilings: see `planning`. It changes no
    operation.

        %y = warboy.dot %a = %x, %b = %w, ... {views = ...} : tensor<1x8x4x4xi8> { ... }

    becomes

        %y = warboy.dot %a = %x, %b = %w, ... {views = ..., plan = #warboy.plan<kernel_plan(
          operands = (operand_binding(buffer = 0, ...), parameter_binding(size = 216, ...), ...),
          result = ..., tile = (1, 4, 4, 8), ...)>}

    Attributes:
        pin: parameters may stay in SRAM from run to run; without, every run loads them.
        overlap: kernels may work by columns, and results stay longer, so that inputs are loaded and
            outputs stored meanwhile.
        apart: images of a batch may lie in slices of their own.
    """

    name = "plan-tiles"
    reads_target = True

    pin: bool = True
    overlap: bool = True
    apart: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, self.name)
        machine = machine_of(op)
        functions = [f for f in op.ops if isinstance(f, FuncOp) and is_npu(f)]
        plan_segments(functions, machine, pin=self.pin, overlap=self.overlap, apart=self.apart)
        for function in functions:
            note_plan(op, function)


def plan_segments(
    functions: Sequence[FuncOp],
    machine: Machine,
    *,
    pin: bool = True,
    overlap: bool = True,
    apart: bool = True,
) -> None:
    """Plans all segments of a program in place: they share the SRAM that pinned parameters take.

    Args:
        functions: the segments.
        machine: the target.
        pin, overlap, apart: as in `PlanTiles`.

    Raises:
        CompilationFailure: a kernel does not fit into SRAM in any way.
    """
    prepared = [prepare(f, machine, overlap=overlap, apart=apart) for f in functions]
    plans = plan_program([each.workload for each in prepared], machine, pin=pin)
    for each, plan in zip(prepared, plans, strict=True):
        _write(each, plan, machine)


@dataclass(frozen=True)
class Prepared:
    """A segment whose tensors have places.

    Attributes:
        function: the segment.
        kernels: in order.
        storage: its buffers, places and DRAM allocations.
        workload: what is to be planned.
    """

    function: FuncOp
    kernels: list[KernelOp]
    storage: StorageMap
    workload: Workload


def prepare(
    function: FuncOp, machine: Machine, *, overlap: bool = True, apart: bool = True
) -> Prepared:
    """Storage and layouts of one segment: those that it says (`planning.decisions`), or the best.

    Raises:
        CompilationFailure: what it says is not to be done.
    """
    kernels, tasks, storage = make_tasks(function, machine)
    for buffer in range(len(storage.buffers)):
        storage.allocation(buffer)
    decisions = take_decisions(function)
    slices = limited_slices(function)
    model = LayoutModel(tasks, storage.buffers, machine, apart=apart, slices=slices)
    if decisions is None:
        model.improve_all()
    else:
        model.layouts = decisions.layouts(storage.buffers, machine)
    cycles = {k: model.cost(k) for k in tasks}
    workload = Workload(
        tasks,
        storage.copies,
        storage.buffers,
        model.layouts,
        cycles,
        paired(tasks, storage.buffers, machine),
        overlap=overlap,
    )
    if heard():
        tell_copies(kernels, storage.copies)
    return Prepared(function, kernels, storage, workload)


def make_tasks(
    function: FuncOp, machine: Machine
) -> tuple[list[KernelOp], dict[int, Task], StorageMap]:
    """A segment's kernels, what the planner sees of those in SRAM, and its buffers."""
    storage = assign_storage(function, read_views(function), machine)
    kernels = [op for op in function.body.block.ops if isinstance(op, KernelOp)]
    tasks = {
        k: make_task(k, op, storage) for k, op in enumerate(kernels) if not isinstance(op, CopyOp)
    }
    for k, task in tasks.items():
        for buffer in task.reads:
            storage.buffers[buffer].readers.append(k)
        storage.buffers[task.result.buffer].writers.append(k)
    return kernels, tasks, storage


def _write(prepared: Prepared, plan: SegmentPlan, machine: Machine) -> None:
    """Writes a segment's plan to its IR."""
    workload, storage = prepared.workload, prepared.storage
    say_all(plan.remarks)
    if heard():
        pinned = {k for k, kernel in plan.sram.kernels.items() if kernel.pinned}
        tell_shared_weights(workload.tasks.values(), pinned)
    if plan.capacity < plan.most:
        missed(
            prepared.function,
            "fragmentation",
            "it is planned with {capacity:,} of the {slice:,} bytes of a slice: with more there "
            "were no addresses for all that lies there at once",
            capacity=plan.capacity,
            slice=machine.slice_bytes,
        )
    kernels = plan.sram.kernels
    second = {kernel.result.buffer for kernel in kernels.values() if kernel.beside}
    buffers = tuple(
        Buffer(s.shape, s.element, x.slices, x.order, storage.allocation(b), x.images, b in second)
        for b, (s, x) in enumerate(zip(storage.buffers, workload.layouts, strict=True))
    )
    memory = MemoryPlan(buffers, plan.sram.live_ranges)
    prepared.function.attributes[MEMORY] = MemoryAttr(memory)
    limit_slices(prepared.function, None)  # which the plan says now
    for k, op in enumerate(prepared.kernels):
        op.plan = PlanAttr(storage.copies[k] if k in storage.copies else kernels[k])


def make_task(number: int, kernel: KernelOp, storage: StorageMap) -> Task:
    """A kernel's loops and bindings."""
    views, geometry = kernel.kernel_views, kernel_geometry(kernel)
    bindings: list[OperandBinding | None] = []
    for value, view, extents in zip(kernel.inputs, views.operands, geometry.operands, strict=True):
        if extents is None or view is None:
            bindings.append(None)
        else:
            place = storage.place(value, view)
            bindings.append(OperandBinding(place.buffer, place.offset, extents, None))
    place = storage.place(kernel.result, views.result)
    result = OperandBinding(place.buffer, place.offset, geometry.result, None)
    elements = tuple(element_bytes(v) for v in (*kernel.inputs, kernel.result))
    roles = weight_operands(kernel)
    return Task(
        number,
        geometry,
        tuple(bindings),
        result,
        elements,
        tuple(roles.get(i, "") for i in range(len(bindings))),
        tuple(instruction_of(op).name for op in kernel.operations[geometry.kind != "vector" :]),
        kernel,
        kernel.beside is not None,
    )
