"""What `schedule` has to say: how well each kernel uses its engines, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from furiosa_ir.backends.warboy.command_cost import Cost
from furiosa_ir.backends.warboy.dialect.kernels import CopyOp, KernelOp
from furiosa_ir.backends.warboy.dialect.plan import MemoryPlan
from furiosa_ir.backends.warboy.enf.commands import ENGINE
from furiosa_ir.backends.warboy.enf.records import Command, Copy, DramFlat, DramTile, Load, Store
from furiosa_ir.backends.warboy.layer_table import layer_row
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.timeline import schedule
from furiosa_ir.ir.remarks import analysis, described, missed

_EVEN = 75
"""Per cent of the slices that work, from which on they are used well."""

_UNITS = {
    "dma": "DMA",
    "fetch": "the fetch network",
    "dot": "the dot-product engine",
    "vector": "the vector engine",
    "commit": "the commit unit",
}


@dataclass(frozen=True)
class _Moved:
    """What a DMA command moves, for which kernel, and how many bytes."""

    what: str
    layer: int
    size: int


@dataclass
class _Times:
    """What a kernel's commands on the NPU take, in cycles.

    Attributes:
        steps: how many commands.
        busy: of all of them.
        units: how long each unit of the machine decides.
        waited: cycles for which the NPU stood still, by what DMA was at.
    """

    steps: int = 0
    busy: int = 0
    units: Counter[str] = field(default_factory=Counter[str])
    waited: Counter[_Moved] = field(default_factory=Counter[_Moved])


def tell_schedule(
    kernels: Sequence[KernelOp],
    commands: Sequence[Command],
    set_up: int,
    memory: MemoryPlan,
    machine: Machine,
) -> None:
    """Says of each kernel of a segment what the machine makes of it, by the performance model.

    Args:
        kernels: in order; a command's `layer` is an index.
        commands: of the segment, with their waits.
        set_up: how many of them are a session's set-up, which takes no time in a run.
        memory: the segment's buffers.
        machine: the target.
    """
    times = [_Times() for _ in kernels]
    free = 0
    schedules = schedule(commands, machine, set_up=set_up)
    for command, (start, end, cost) in zip(commands[set_up:], schedules[set_up:], strict=True):
        if ENGINE[type(command)] != "npu":
            continue
        mine = times[command.layer]
        mine.steps += 1
        mine.busy += end - start
        mine.units[cost.bound] += end - start
        if start > free:
            for moved, overlap in _meanwhile(commands, schedules, command, free, start):
                mine.waited[moved] += overlap
        free = end
    for op, mine in zip(kernels, times, strict=True):
        if mine.steps and not isinstance(op, CopyOp):
            _tell_use(op, mine, memory, machine)
        # What is as short as a DMA's latency, no order of commands hides.
        if mine.waited.total() > machine.dma_latency_cycles:
            _tell_wait(op, mine.waited, kernels)


def _meanwhile(
    commands: Sequence[Command],
    schedules: Sequence[tuple[int, int, Cost]],
    command: Command,
    free: int,
    start: int,
) -> Iterator[tuple[_Moved, int]]:
    """(what DMA moved, for how many cycles) between two times before a command that waited."""
    until = start
    for number in reversed(range(max(command.waits) + 1)):
        if ENGINE[type(commands[number])] == "npu":
            continue
        begin = schedules[number][0]
        if until > max(begin, free):
            yield _moved(commands[number]), until - max(begin, free)
            until = max(begin, free)
        if begin <= free:
            return


def _tell_use(op: KernelOp, times: _Times, memory: MemoryPlan, machine: Machine) -> None:
    binding = op.kernel_plan.result
    buffer, stage = memory.buffers[binding.buffer], binding.stage
    rows, channels = buffer.slices if stage is None else stage.slices
    shape = buffer.shape if stage is None else stage.shape
    images = buffer.images if stage is None else 1
    slices = images * rows * channels
    # Elements of the fullest slice, times all slices, against those that there are.
    fullest = shape[0] // images * -(-shape[1] // rows) * shape[2] * -(-shape[3] // channels)
    share = _per_cent(prod(shape), fullest * machine.slices)
    macs = layer_row(op).macs
    used = _per_cent(macs, times.busy * machine.macs_per_cycle)
    (unit, _), *_ = times.units.most_common(1)
    analysis(
        op,
        "utilisation",
        "{cycles:,} {cycles:cycle|cycles} on the NPU in {steps:,} {steps:step|steps}, bound by "
        "{bound}; {macs:,} {macs:multiply-accumulate|multiply-accumulates}, {used:g} % of what the "
        "MAC array does meanwhile",
        cycles=times.busy,
        steps=times.steps,
        bound=_UNITS[unit],
        macs=macs,
        used=used,
    )
    if share < _EVEN:
        missed(
            op,
            "slices",
            "its result of {shape} (NHWC) goes over {slices} of {all} slices, {rows} along H and "
            "{channels} along C: {share:g} % of them work, as the fullest has most",
            way_out="extents of H and C that the slices divide",
            shape="x".join(map(str, shape)),
            slices=slices,
            all=machine.slices,
            rows=rows,
            channels=channels,
            share=share,
        )


def _per_cent(part: int, whole: int) -> float:
    """To two places, as people read it; what is little is not nothing."""
    share = 100 * part / whole
    return round(share, 2) if share >= 0.1 else float(f"{share:.1g}")


def _tell_wait(op: KernelOp, waits: Mapping[_Moved, int], kernels: Sequence[KernelOp]) -> None:
    """Says what DMA was at while the NPU stood still for a kernel."""
    longest = max(waits, key=lambda moved: waits[moved])
    batch_helps = longest.what == "parameters"
    missed(
        op,
        "wait",
        "the NPU stands still for {cycles:,} cycles, the longest ({most:,}) for DMA of {what} of "
        "{whose}, {bytes:,} {bytes:byte|bytes}",
        way_out="a larger batch loads parameters once for more samples" if batch_helps else "",
        cycles=sum(waits.values()),
        most=waits[longest],
        what=longest.what,
        whose="its own" if kernels[longest.layer] is op else described(kernels[longest.layer]),
        bytes=longest.size,
    )


def _moved(command: Command) -> _Moved:
    match command:
        case Load(source=DramFlat(size=size)):
            return _Moved("parameters", command.layer, size)
        case Load(source=DramTile() as tile) | Store(target=DramTile() as tile):
            what = "a tensor to SRAM" if isinstance(command, Load) else "a tensor to DRAM"
            return _Moved(what, command.layer, prod(tile.extent) * tile.element)
        case Copy(source=view):
            return _Moved("a copy in DRAM", command.layer, prod(view.extent) * view.element)
        case _:
            return _Moved("a tensor", command.layer, 0)
