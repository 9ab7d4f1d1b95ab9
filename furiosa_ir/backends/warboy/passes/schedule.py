"""`schedule`: the commands of a segment, ordered by tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from furiosa_ir.backends.warboy.commands.command_operations import command_op
from furiosa_ir.backends.warboy.commands.constant_section import lay_out
from furiosa_ir.backends.warboy.commands.dram_copies import copy_commands
from furiosa_ir.backends.warboy.commands.kernel_steps import (
    BufferPart,
    DramMap,
    Issued,
    KernelSteps,
    Window,
    resident_tile,
)
from furiosa_ir.backends.warboy.commands.tokens import TokenTracker
from furiosa_ir.backends.warboy.dialect.attributes import (
    CONSTANTS,
    LAYERS,
    MEMORY,
    LayersAttr,
)
from furiosa_ir.backends.warboy.dialect.commands import BeginRunOp, EndOp
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import (
    CopyPlan,
    LayerTable,
    LiveRange,
    MemoryAddresses,
    MemoryPlan,
    Shape4,
)
from furiosa_ir.backends.warboy.dialect.plan_rules import verify_memory_addresses
from furiosa_ir.backends.warboy.dialect.segment import (
    constants_of,
    kernel_plans,
    kernels_of,
    memory_addresses,
    memory_plan,
)
from furiosa_ir.backends.warboy.enf.records import Command, Load, Store
from furiosa_ir.backends.warboy.layer_table import layer_rows
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.assigned_views import erase_views
from furiosa_ir.backends.warboy.planning.views import shifted
from furiosa_ir.backends.warboy.stages import require
from furiosa_ir.backends.warboy.target import machine_of
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.remarks import heard
from furiosa_ir.ir.rewrite_watch import step
from furiosa_ir.ir.segments import is_npu

_ORIGIN: Shape4 = (0, 0, 0, 0)


@dataclass(frozen=True)
class Schedule(Pass):
    """Replaces kernels by the commands of their steps.

    Two engines work through their commands in order, and a command waits by tokens for what the
    other engine must have done (`tokens`). Within a kernel the tiles of the next step are loaded
    before a step executes, and the next kernel's parameters before the stores of this one; so DMA
    works ahead of the NPU as far as there is room in SRAM. What is pinned is loaded by the commands
    in front of `warboy.begin_run`, once a session.

        %y = warboy.dot %a = %x, %b = %w, ... {plan = ..., addresses = ...} : tensor<...> { ... }

    becomes

        %0 = warboy.load {source = dram_tile(...), target = sram_tile(...), layer = 0}
        ...
        %4 = warboy.execute_dot after %3 {x = sram_tile(...), weight = sram_flat(...), ...}
        %5 = warboy.store after %4 {source = sram_tile(...), target = dram_tile(...), layer = 0}
        warboy.end
    """

    name = "schedule"
    reads_target = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require(op, self.name)
        machine = machine_of(op)
        for function in op.ops:
            if isinstance(function, FuncOp) and is_npu(function):
                schedule(function, machine)


def schedule(function: FuncOp, machine: Machine) -> None:
    """Schedules one segment in place; its body is then commands and its attributes the rest."""
    kernels = kernels_of(function)
    commands, set_up = schedule_commands(function, machine)
    if heard():
        from furiosa_ir.backends.warboy.passes.schedule_remarks import tell_schedule  # noqa: PLC0415

        tell_schedule(kernels, commands, set_up, memory_plan(function), machine)
    block = function.body.block
    constants = [op for op in block.ops if isinstance(op, ConstantOp)]
    function.attributes[CONSTANTS] = ArrayAttr([BlobAttr(op.value.data) for op in constants])
    rows, layers = layer_rows(kernels)
    function.attributes[LAYERS] = LayersAttr(LayerTable(rows))
    issued = _operations(commands, kernels, layers)
    by_kernel: list[list[Operation]] = [[] for _ in kernels]
    for op, command in zip(issued, commands, strict=True):
        by_kernel[command.layer].append(op)
    begin = [BeginRunOp()] if set_up else []
    if begin:  # heard of with the kernel whose parameters the set-up loads first
        by_kernel[commands[0].layer].extend(begin)
    for kernel, mine in zip(kernels, by_kernel, strict=True):
        with step("issue", kernel) as done:
            done.made.extend(mine)
    for op in reversed(list(block.ops)):
        op.detach()
        op.erase(safe_erase=False)
    block.add_ops([*issued[:set_up], *begin, *issued[set_up:], EndOp()])
    function.attributes.pop(MEMORY, None)
    erase_views(function)


def _operations(
    commands: Sequence[Command], kernels: Sequence[KernelOp], layers: Sequence[int]
) -> list[Operation]:
    """The commands of kernels as operations that have the kernels' layers."""
    issued: list[Operation] = []
    for command in commands:
        layer = layers[command.layer]
        own = command if layer == command.layer else replace(command, layer=layer)
        op = command_op(own, [issued[w].results[0] for w in command.waits])
        op.location = kernels[command.layer].location
        issued.append(op)
    return issued


def schedule_commands(function: FuncOp, machine: Machine) -> tuple[list[Command], int]:
    """The commands of an allocated segment, in order of issue, with their waits.

    Returns:
        The commands, and how many of them are a session's set-up. These wait for nothing, and
        have ended when a run begins.
    """
    set_up, run = issue(function, machine)
    commands = [command for command, _ in set_up]
    first = len(commands)
    apart = any(buffer.images > 1 for buffer in memory_plan(function).buffers)
    tracker = TokenTracker(machine.slice_bytes, first, machine.slices if apart else 1)
    for command, _ in run:
        waits = tracker.issue(command)
        commands.append(replace(command, waits=waits) if waits else command)
    return commands, first


def issue(function: FuncOp, machine: Machine) -> tuple[list[Issued], Iterator[Issued]]:
    """The commands of an allocated segment, in order of issue, and what each means.

    Returns:
        What a session's set-up does: it loads what is pinned. And what each run does.
    """
    memory, addresses = memory_plan(function), memory_addresses(function)
    kernels = kernels_of(function)
    areas = [op.kernel_addresses for op in kernels if not isinstance(op, CopyOp)]
    verify_memory_addresses(memory, addresses, areas, machine.slice_bytes)
    dram = DramMap(memory, addresses.allocations)
    section = lay_out(constants_of(function)).addresses
    numbers = [op for op in function.body.block.ops if isinstance(op, ConstantOp)]
    constant_address: dict[object, int] = dict(zip(numbers, section, strict=True))
    by_kernel = _residents(memory, addresses, len(kernels))

    def make(number: int) -> KernelSteps:
        op = kernels[number]
        parameters = [constant_address.get(v.owner, 0) for v in op.inputs]
        return KernelSteps(
            op, number, op.kernel_addresses, dram, by_kernel[number], parameters, machine
        )

    pinned = {number: make(number) for number, plan in kernel_plans(kernels).items() if plan.pinned}
    set_up: dict[tuple[object, object], Issued] = {}
    for kernel in pinned.values():
        for command, content in kernel.set_up():
            # What several kernels read in one place is loaded once.
            set_up.setdefault((command.source, command.target), (command, content))
    return list(set_up.values()), _run(memory, addresses, kernels, dram, make, pinned)


def _run(
    memory: MemoryPlan,
    addresses: MemoryAddresses,
    kernels: Sequence[KernelOp],
    dram: DramMap,
    make: Callable[[int], KernelSteps],
    prefetched: dict[int, KernelSteps],
) -> Iterator[Issued]:
    """The commands of a run.

    Args:
        memory, addresses, kernels, dram: the function's.
        make: the steps of a kernel by its number.
        prefetched: kernels whose first parameters are there before their turn; is used up.
    """
    starts, ends = _moments(memory.live_ranges, addresses.live_ranges)
    ahead: dict[int, list[int]] = {}
    for number, kernel_plan in kernel_plans(kernels).items():
        if kernel_plan.prefetch:
            ahead.setdefault(number - kernel_plan.prefetch, []).append(number)
    for number, op in enumerate(kernels):
        steps = None
        if not isinstance(op, CopyOp):
            steps = prefetched.pop(number, None)
            if steps is None:  # before what is filled: the first step needs no more than a part
                steps = make(number)
                yield from steps.load_parameters(steps.steps[0])
        for live, address in starts.get(number, ()):
            yield from _fill(dram, memory, live, address, number, steps)
        following = {other: make(other) for other in ahead.get(number, ())}
        if steps is not None:
            yield from _kernel(steps, list(following.values()))
        else:
            plan = op.plan.data if op.plan is not None else None
            assert isinstance(plan, CopyPlan)
            yield from copy_commands(plan, dram, number)
            for kernel in following.values():
                yield from kernel.load_parameters(kernel.steps[0])
        prefetched.update(following)
        for live, address in ends.get(number, ()):
            yield from _spill(dram, memory, live, address, number)


def _residents(memory: MemoryPlan, addresses: MemoryAddresses, count: int) -> list[dict[int, int]]:
    """For each kernel the SRAM addresses of the buffers that are resident."""
    result: list[dict[int, int]] = [{} for _ in range(count)]
    for live, address in zip(memory.live_ranges, addresses.live_ranges, strict=True):
        for number in range(live.first, live.last + 1):
            result[number][live.buffer] = address
    return result


Placed = tuple[LiveRange, int]
"""A live range, and the address of its buffer in SRAM."""


def _moments(
    live_ranges: Iterable[LiveRange], addresses: Iterable[int]
) -> tuple[dict[int, list[Placed]], dict[int, list[Placed]]]:
    """(live ranges to fill before each kernel, those to spill after it)."""
    starts: dict[int, list[Placed]] = {}
    ends: dict[int, list[Placed]] = {}
    for live, address in zip(live_ranges, addresses, strict=True):
        if live.filled:
            starts.setdefault(live.first, []).append((live, address))
        if live.spilled:
            ends.setdefault(live.last, []).append((live, address))
    return starts, ends


def _fill(
    dram: DramMap,
    memory: MemoryPlan,
    live: LiveRange,
    at: int,
    number: int,
    steps: KernelSteps | None,
) -> Iterator[Issued]:
    """Loads a buffer before a kernel, in the parts that its steps need one after the other."""
    buffer = memory.buffers[live.buffer]

    def loads(offset: Shape4, extent: Shape4) -> Iterator[tuple[Command, Shape4, Shape4]]:
        for inside, source in dram.tiles(live.buffer, offset, extent):
            begin = shifted(offset, inside)
            target = resident_tile(buffer, at, begin, source.extent)
            yield Load(source, target, number), begin, source.extent

    parts = [] if steps is None else steps.fill_parts(live.buffer)
    for part in parts:
        for command, offset, extent in loads(*part):
            yield command, Window(0, offset, extent)
    if not parts:
        for command, offset, _ in loads(_ORIGIN, buffer.shape):
            yield command, BufferPart(live.buffer, complete=False, offset=offset)


def _spill(
    dram: DramMap, memory: MemoryPlan, live: LiveRange, at: int, number: int
) -> Iterator[Issued]:
    """Stores a buffer after a kernel."""
    buffer = memory.buffers[live.buffer]
    for offset, target in dram.tiles(live.buffer, _ORIGIN, buffer.shape):
        source = resident_tile(buffer, at, offset, target.extent)
        content = BufferPart(live.buffer, complete=True, offset=offset)
        yield Store(source, target, number), content


def _kernel(kernel: KernelSteps, following: Sequence[KernelSteps]) -> Iterator[Issued]:
    """One kernel's commands, and the parameters of later ones that there is room for already.

    The parameters come before the last store, which waits for the NPU, and after all tiles, for
    which the NPU waits.
    """
    steps = kernel.steps
    yield from kernel.load_tiles(steps[0])
    for now, after in zip(steps, [*steps[1:], None], strict=True):
        early = after is not None and kernel.overlaps
        if after is not None and early:
            yield from kernel.load_parameters(after)
            yield from kernel.load_tiles(after)
        yield kernel.execute(now)
        if after is None:
            for other in following:
                yield from other.load_parameters(other.steps[0])
        yield from kernel.store(now)
        if after is not None and not early:
            yield from kernel.load_parameters(after)
            yield from kernel.load_tiles(after)
