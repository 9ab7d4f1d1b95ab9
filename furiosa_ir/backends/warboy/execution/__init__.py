"""How a Warboy program runs, for reports: the simulator's timeline, memory and flow of data."""

from __future__ import annotations

from furiosa_ir.backends.warboy.command_cost import Cost, transfer_bytes
from furiosa_ir.backends.warboy.enf.commands import SramPlace, kind_of
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    DramFlat,
    Load,
    NpuSegment,
    SramFlat,
    Store,
    is_beside,
)
from furiosa_ir.backends.warboy.execution.memory import MemoryWalk, tensor_bytes
from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.simulator.timeline import TimelineEntry, timeline
from furiosa_ir.execution import Bound, Engine, Event, Execution
from furiosa_ir.program import Program

_BOUNDS = {
    "weights": Bound(
        "loading weights", "a larger batch loads them once for all of its samples", batch_helps=True
    ),
    "activations": Bound(
        "loading activations",
        "they did not stay in SRAM: smaller extents or fewer channels around it keep them there",
    ),
    "input": Bound("loading inputs", "they come from DRAM: smaller ones take less"),
    "output": Bound("storing outputs", "they go to DRAM: smaller ones take less"),
    "store": Bound("storing results", "smaller results would stay in SRAM for the next layer"),
    "copy": Bound(
        "copying in DRAM",
        "a transpose or reshape at this place is a copy: put it elsewhere in the network",
    ),
    "latency": Bound(
        "the latency of DMA", "its transfers are short: fewer and larger layers have less of it"
    ),
    "fetch": Bound(
        "fetching operands",
        "each byte that is fetched is used seldom: more output channels a group use it more often",
    ),
    "dot": Bound("multiplying", "fewer channels or a smaller window are the only way"),
    "vector": Bound("the vector engine", "fewer elementwise operators behind it would help"),
    "commit": Bound("writing results to SRAM", "smaller results would help"),
    "warmup": Bound("filling the pipeline", "its steps are short: larger extents use it better"),
}


def program_execution(program: Program) -> Execution:
    """Events of every command, rectangles of SRAM, and what is made from what."""
    machine = Machine.from_parameters(program.machine)
    entries = timeline(program)
    first: dict[int, int] = {}
    walk = MemoryWalk(program)
    of_input: list[bool] = []
    for index, entry in enumerate(entries):
        first.setdefault(entry.segment, index - entry.command)
        segment, command = _command(program, entry)
        if entry.command == segment.setup:
            walk.begin(segment)
        of_input.append(walk.command(command, entry.start, entry.end))
        if entry.command == len(segment.commands) - 1:
            walk.finish(segment)
    end = max((entry.end for entry in entries), default=0)
    makes = frozenset(walk.makes())
    events: list[Event] = []
    for entry, is_input in zip(entries, of_input, strict=True):
        segment, command = _command(program, entry)
        is_end = is_input or _makes_output(program, segment, command, makes)
        bound = _bound(command, entry.cost, is_end=is_end)
        events.append(_event(entry, command, bound, first[entry.segment], machine))
    return Execution(
        clock_hz=machine.clock_hz,
        engines=_engines(machine, pairs=any(event.engine == _SECOND for event in events)),
        events=tuple(events),
        bounds=_BOUNDS,
        buffers=walk.buffers(end),
        memory_bytes=machine.slice_bytes,
        memory_title=f"SRAM of each of the {machine.slices} slices",
        memory_bound=max(
            (s.sram_bound for s in program.segments if isinstance(s, NpuSegment)), default=0
        ),
        flow=walk.flow(),
        takes=walk.takes(),
        makes=walk.makes(),
        macs_per_cycle=machine.macs_per_cycle,
        dram_bytes_per_cycle=machine.dram_bytes_per_cycle,
        link_title="PCIe Gen4 x8",
    )


_SECOND = "npu_1"
"""What reports call the second PE, while it works on another command than the first."""


def _engines(machine: Machine, *, pairs: bool) -> tuple[Engine, ...]:
    pes = machine.slices // PE_SLICES
    # Fused PEs take each command at the same time, each on its own slices, from one stream of DMA.
    npu = "PE" if pes == 1 else f"PE {' + '.join(map(str, range(pes)))}"
    units = {
        "fetch": "fetch network",
        "dot": "dot-product engine",
        "vector": "vector engine",
        "commit": "commit unit",
    }
    engines = (
        Engine("dma", "DMA", {"dma": "DRAM transfer"}, machine.io_queue_depth),
        Engine("npu", f"{npu}, {machine.slices} slices", units, machine.operand_queue_depth),
    )
    # Units are shown once: those of both PEs.
    return (*engines, Engine(_SECOND, "PE 1 beside PE 0")) if pairs else engines


def _command(program: Program, entry: TimelineEntry) -> tuple[NpuSegment, Command]:
    segment = program.segments[entry.segment]
    assert isinstance(segment, NpuSegment)
    return segment, segment.commands[entry.command]


def _makes_output(
    program: Program, segment: NpuSegment, command: Command, makes: frozenset[tuple[int, int]]
) -> bool:
    """Whether a store writes to an output of its segment."""
    if not isinstance(command, Store):
        return False
    return any(
        (command.layer, binding.tensor) in makes
        and 0 <= command.target.address - binding.address < tensor_bytes(program, binding)
        for binding in segment.outputs
    )


def _event(
    entry: TimelineEntry, command: Command, bound: str, first: int, machine: Machine
) -> Event:
    kind, cost = kind_of(command), entry.cost
    source, target = kind.dram_read(command), kind.dram_written(command)
    written = kind.sram_written(command)
    units = ("dma", "fetch", "dot", "vector", "commit")
    return Event(
        segment=entry.segment,
        command=entry.command,
        kind=type(command).__name__.lower(),
        engine=_SECOND if is_beside(command) else entry.engine,
        layer=command.layer,
        start=entry.start,
        free=entry.start + cost.occupancy,
        end=entry.end,
        waits=tuple(first + token for token in command.waits),
        bound=bound,
        busy={unit: getattr(cost, unit) for unit in units if getattr(cost, unit)},
        dram_read=0 if source is None else transfer_bytes(source, machine),
        dram_written=0 if target is None else transfer_bytes(target, machine),
        sram_read=sum(_bytes(place) for place in kind.sram_read(command)),
        sram_written=0 if written is None else _bytes(written),
    )


def _bound(command: Command, cost: Cost, *, is_end: bool) -> str:
    """What decides how long the command takes; a name of `_BOUNDS`.

    Args:
        command: the command.
        cost: its cycles.
        is_end: whether it moves an input or output of its segment.
    """
    longest = cost.cycles - cost.warmup
    if cost.warmup > longest:
        return "latency" if cost.dma else "warmup"
    match command:
        case Load(source=source):
            is_constant = isinstance(source, DramFlat) or source.region == "constant"
            return "weights" if is_constant else "input" if is_end else "activations"
        case Store():
            return "output" if is_end else "store"
        case Copy():
            return "copy"
        case _:
            return cost.bound


def _bytes(place: SramPlace) -> int:
    if isinstance(place, SramFlat):
        return place.size
    n, h, w, c = place.extent
    return n * h * w * c * place.element
