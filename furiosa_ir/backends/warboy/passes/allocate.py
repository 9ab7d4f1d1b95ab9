"""`allocate`: addresses in SRAM and DRAM, from liveness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.commands.constant_section import lay_out
from furiosa_ir.backends.warboy.dialect.attributes import (
    ADDRESSES,
    AddressesAttr,
)
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import (
    CopyPlan,
    KernelAddresses,
    KernelPlan,
    MemoryAddresses,
    MemoryPlan,
    OperandBinding,
)
from furiosa_ir.backends.warboy.dialect.segment import (
    constants_of,
    kernel_plans,
    kernels_of,
    memory_plan,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.areas import (
    pinned_places,
    place_areas,
    sram_areas,
)
from furiosa_ir.backends.warboy.planning.intervals import Interval, Obstacle
from furiosa_ir.backends.warboy.planning.placement import Placement, place_intervals
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import analysis, heard
from furiosa_ir.ir.segments import is_npu


@dataclass(frozen=True)
class Allocate(Pass):
    """Gives every area of SRAM and every allocation in DRAM its address.

    Two areas share bytes if no kernel needs both. The order of kernels is the program's.

        %y = warboy.dot ... {plan = #warboy.plan<...>} ...

    becomes

        %y = warboy.dot ... {plan = #warboy.plan<...>, addresses = #warboy.addresses<
          kernel_addresses(parameters = ((), (4096), (4128)), stages = ((), (), (), ()))>} ...
    """

    name = "allocate"
    reads_target = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, self.name)
        machine = machine_of(op)
        functions = [f for f in op.ops if isinstance(f, FuncOp) and is_npu(f)]
        allocate_segments(functions, machine)


def allocate_segments(functions: Sequence[FuncOp], machine: Machine) -> None:
    """Allocates all segments of a program in place.

    What one has pinned must outlive the runs of all others: these places come first, segment by
    segment, and what a run needs behind them.

    Raises:
        CompilationFailure: a plan does not fit.
        VerificationFailure: a function is not planned.
    """
    pinned: list[int] = []
    for function in functions:
        kernels = kernels_of(function)
        places = pinned_places(kernel_plans(kernels), lambda k, of=kernels: of[k].inputs, machine)
        pinned.append(places[1])
    for number, function in enumerate(functions):
        allocate(function, machine, Pinned(sum(pinned[:number]), sum(pinned)))


@dataclass(frozen=True)
class Pinned:
    """Bytes of every slice that hold pinned parameters, from address 0 on.

    Attributes:
        first: where this segment's begin.
        end: where those of all segments of the program end.
    """

    first: int
    end: int


def allocate(function: FuncOp, machine: Machine, pinned: Pinned) -> None:
    """Allocates one segment in place.

    Raises:
        CompilationFailure: the plan does not fit.
        VerificationFailure: the function is not planned.
    """
    memory, kernels = memory_plan(function), kernels_of(function)
    plans = kernel_plans(kernels)
    areas = sram_areas(memory, plans, machine)
    below = [Obstacle(0, Interval(pinned.end, 0, len(kernels)))] if pinned.end else []
    found, sram = place_areas(areas, machine, below)
    if sram.peak > machine.slice_bytes:
        raise CompilationFailure(f"the plan takes {sram.peak} bytes of a slice")
    placed = list(zip(areas, found, strict=True))
    resident = [address for area, address in placed if area.kind == "live_range"]
    slots: dict[tuple[str, int, int], tuple[int, ...]] = {}
    for area, address in placed:
        key = (area.kind, area.owner, area.operand)
        slots[key] = (*slots.get(key, ()), address)
    places, _ = pinned_places(plans, lambda k: kernels[k].inputs, machine)
    for (k, operand), found_at in places.items():
        slots["parameter", k, operand] = tuple(pinned.first + at for at in found_at)
    for number, op in enumerate(kernels):
        if isinstance(op, CopyOp):
            continue
        count = len(op.inputs)
        op.addresses = AddressesAttr(
            KernelAddresses(
                tuple(slots.get(("parameter", number, i), ()) for i in range(count)),
                tuple(slots.get(("stage", number, i), ()) for i in range(count + 1)),
            )
        )
    buffers, dram = _place_workspace(memory, kernels, machine)
    if heard():
        _tell_peaks(function, sram, dram, machine)
    allocations = _allocations(memory, buffers, lay_out(constants_of(function)).addresses)
    function.attributes[ADDRESSES] = AddressesAttr(
        MemoryAddresses(
            live_ranges=tuple(resident),
            allocations=allocations,
            sram_bytes=sram.peak,
            workspace_bytes=dram.peak,
            inputs=_numbered(memory, allocations, "argument"),
            outputs=_numbered(memory, allocations, "result"),
            sram_bound=sram.bound,
            workspace_bound=dram.bound,
        )
    )


def _tell_peaks(function: FuncOp, sram: Placement, dram: Placement, machine: Machine) -> None:
    """Says how much memory is taken, against the most that is needed at once."""
    verdict = {True: "no addresses take less", False: "no addresses are known to take less"}
    analysis(
        function,
        "peak",
        "{peak:,} of {slice:,} bytes of a slice are taken; {bound:,} are needed at once, the lower "
        "bound: {verdict}",
        peak=sram.peak,
        slice=machine.slice_bytes,
        bound=sram.bound,
        verdict=verdict[sram.is_best],
    )
    analysis(
        function,
        "workspace",
        "{peak:,} bytes of DRAM are taken beside the constants; {bound:,} are needed at once, the "
        "lower bound: {verdict}",
        peak=dram.peak,
        bound=dram.bound,
        verdict=verdict[dram.is_best],
    )


def _place_workspace(
    memory: MemoryPlan, kernels: Sequence[KernelOp], machine: Machine
) -> tuple[dict[int, int], Placement]:
    """(the workspace address of each buffer with an allocation of its own there, the placement)."""
    lives = _dram_live_ranges(memory, kernels)
    sizes: dict[int, int] = {}
    for buffer, (first, last) in lives.items():
        allocation = memory.buffers[buffer].allocation
        if allocation is not None and first <= last:
            sizes[buffer] = -(-allocation.size // machine.io_alignment) * machine.io_alignment
    placement = place_intervals([Interval(size, *lives[b]) for b, size in sizes.items()])
    return dict(zip(sizes, placement.addresses, strict=True)), placement


def _allocations(
    memory: MemoryPlan, buffers: Mapping[int, int], constants: Sequence[int]
) -> tuple[int, ...]:
    """The DRAM address of each buffer (-1: none); one inside of another has the other's.

    Args:
        memory: the function's buffers.
        buffers: workspace addresses by buffer.
        constants: of each constant, in the constant section.
    """
    allocations: list[int] = []
    for number, buffer in enumerate(memory.buffers):
        allocation = buffer.allocation
        if allocation is None:
            allocations.append(-1)
        elif allocation.kind == "constant":
            allocations.append(constants[allocation.index])
        elif allocation.kind == "alias":
            root = memory.buffers[allocation.index].allocation
            assert root is not None
            base = (
                constants[root.index]
                if root.kind == "constant"
                else buffers.get(allocation.index, -1)
            )
            allocations.append(base + allocation.offset if base >= 0 else -1)
        else:
            allocations.append(buffers.get(number, -1))
    return tuple(allocations)


def _numbered(memory: MemoryPlan, allocations: Sequence[int], kind: str) -> tuple[int, ...]:
    """The addresses of the function's arguments or results, in their order."""
    numbers = sorted(
        (buffer.allocation.index, number)
        for number, buffer in enumerate(memory.buffers)
        if buffer.allocation is not None and buffer.allocation.kind == kind
    )
    return tuple(allocations[number] for _, number in numbers)


def _dram_live_ranges(
    memory: MemoryPlan, kernels: Sequence[KernelOp]
) -> dict[int, tuple[int, int]]:
    """For each buffer of the workspace the kernels (first, last) that need it there."""
    end = len(kernels)
    uses: dict[int, list[int]] = {}

    def use(buffer: int, number: int) -> None:
        allocation = memory.buffers[buffer].allocation
        assert allocation is not None, "a buffer without an allocation goes to DRAM"
        root = allocation.index if allocation.kind == "alias" else buffer
        root_allocation = memory.buffers[root].allocation
        if root_allocation is not None and root_allocation.kind != "constant":
            uses.setdefault(root, []).append(number)

    for number, buffer in enumerate(memory.buffers):
        if buffer.allocation is not None and buffer.allocation.kind in ("argument", "result"):
            use(number, -1 if buffer.allocation.kind == "argument" else end)
    for live in memory.live_ranges:
        if live.filled:
            use(live.buffer, live.first)
        if live.spilled:
            use(live.buffer, live.last)
    for number, op in enumerate(kernels):
        for buffer in _dram_buffers(op):
            use(buffer, number)
    return {buffer: (min(numbers), max(numbers)) for buffer, numbers in uses.items()}


def _dram_buffers(op: KernelOp) -> Iterator[int]:
    """The buffers whose allocations a kernel itself reads or writes."""
    plan = op.plan.data if op.plan is not None else None
    if isinstance(plan, CopyPlan):
        yield from (*plan.operands, plan.result)
    elif isinstance(plan, KernelPlan):
        for binding in plan.operands:
            if isinstance(binding, OperandBinding) and binding.stage is not None:
                yield binding.buffer
        if plan.store:
            yield plan.result.buffer
