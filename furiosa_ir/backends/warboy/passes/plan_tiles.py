"""`plan-tiles`: where every tensor lies, and how every kernel is split into steps."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.target import note_plan
from furiosa_ir.backends.warboy.dialect.attributes import MEMORY, MemoryAttr, PlanAttr
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import Buffer, MemoryPlan, OperandBinding
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.areas import place_areas, sram_areas
from furiosa_ir.backends.warboy.planning.assigned_views import read_views
from furiosa_ir.backends.warboy.planning.geometry import element_bytes, kernel_geometry
from furiosa_ir.backends.warboy.planning.kernel_views import weight_operands
from furiosa_ir.backends.warboy.planning.layout_choice import choose_layouts
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.live_ranges import SramPlan, Workload, plan_live_ranges
from furiosa_ir.backends.warboy.planning.remarks import tell_copies, tell_shared_weights
from furiosa_ir.backends.warboy.planning.storage import StorageMap, assign_storage
from furiosa_ir.backends.warboy.planning.tiles import Task
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import heard, held_remarks, missed, say_all
from furiosa_ir.ir.segments import is_npu

CAPACITIES = (32, 30, 28, 25, 22, 18)
"""Thirty-seconds of SRAM to plan with, in turn, until the addresses fit too (fragmentation)."""


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
    """

    name = "plan-tiles"
    reads_target = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, self.name)
        machine = machine_of(op)
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                plan_tiles(function, machine)
                note_plan(op, function)


def plan_tiles(function: FuncOp, machine: Machine) -> None:
    """Plans one segment in place.

    Raises:
        CompilationFailure: a kernel does not fit into SRAM in any way.
    """
    storage = assign_storage(function, read_views(function))
    kernels = [op for op in function.body.block.ops if isinstance(op, KernelOp)]
    tasks = {
        k: make_task(k, op, storage) for k, op in enumerate(kernels) if not isinstance(op, CopyOp)
    }
    for k, task in tasks.items():
        for buffer in task.reads:
            storage.buffers[buffer].readers.append(k)
        storage.buffers[task.result.buffer].writers.append(k)
    for buffer in range(len(storage.buffers)):
        storage.allocation(buffer)
    layouts = choose_layouts(tasks, storage.buffers, machine)
    workload = Workload(tasks, storage.copies, storage.buffers, layouts)
    if heard():
        tell_copies(kernels, storage.copies)
        tell_shared_weights(tasks.values())
    plan, sram = _fit(function, workload, storage, layouts, machine)
    function.attributes[MEMORY] = MemoryAttr(plan)
    for k, op in enumerate(kernels):
        op.plan = PlanAttr(storage.copies[k] if k in storage.copies else sram.kernels[k])


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
        len(kernel.operations) - (1 if geometry.kind != "vector" else 0),
        kernel,
    )


def _fit(
    function: FuncOp,
    workload: Workload,
    storage: StorageMap,
    layouts: list[Layout],
    machine: Machine,
) -> tuple[MemoryPlan, SramPlan]:
    """Live ranges and tilings whose areas also find addresses."""
    for share in CAPACITIES:
        capacity = machine.slice_bytes * share // 32 // machine.line_bytes * machine.line_bytes
        with held_remarks() as held:
            sram = plan_live_ranges(workload, machine, capacity)
        buffers = tuple(
            Buffer(s.shape, s.element, layout.slices, layout.order, storage.allocation(index))
            for index, (s, layout) in enumerate(zip(storage.buffers, layouts, strict=True))
        )
        memory = MemoryPlan(buffers, sram.live_ranges)
        areas = sram_areas(memory, sram.kernels, machine)
        if place_areas(areas, machine)[1].peak <= machine.slice_bytes:
            say_all(held)
            if share < CAPACITIES[0]:
                missed(
                    function,
                    "fragmentation",
                    "it is planned with {capacity:,} of the {slice:,} bytes of a slice: with more "
                    "there were no addresses for all that lies there at once",
                    capacity=capacity,
                    slice=machine.slice_bytes,
                )
            return memory, sram
    raise CompilationFailure("no SRAM addresses were found for the plan")
