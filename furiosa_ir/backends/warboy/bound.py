"""The least time of a run under the performance model: what schedules are measured against.

For each unit of the machine the sum, over the layers, of the fewest cycles that it needs for each;
for DMA the traffic that no plan avoids. The greatest of these is a bound: the units may all work at
once, but none of them faster. The NPU's engine as a whole is one of them: it takes the layers one
after the other, each for as long as its busiest unit and the shortest warm-up, between the first
byte of an input and the last of an output. A layer over more slices takes less work of each, but
longer until they agree: the best number of them counts. On two PEs a layer that need not wait for
some other may share its time with that one, each on one PE: then half of what it takes there
counts, if that is less.

Work that is spread over the slices takes at least its whole divided by their number. Within a slice
the array's lanes are counted in whole lines, as `command_cost` does: 32 columns or 32 input
channels, whichever order wastes fewer, times whole sets of 4 output channels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod

import numpy as np

from furiosa_ir.backends.warboy.command_cost import transfer_bytes, warmup
from furiosa_ir.backends.warboy.enf.commands import kind_of
from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    Dot,
    Load,
    NpuSegment,
    Pool,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.enf.section import section_size
from furiosa_ir.backends.warboy.layer_order import free_layers
from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.host_model import tensors_bytes
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program


@dataclass(frozen=True, slots=True)
class RunBound:
    """The least of a run.

    Attributes:
        units: "dma", "fetch", "dot", "vector", "commit" and "npu", the engine as a whole -> cycles
            that no plan goes below.
        dram_bytes: DRAM traffic that no plan avoids: inputs and outputs once, and the constants
            that SRAM cannot hold.
        traffic_bytes: what this program's run moves, in whole bursts.
    """

    units: dict[str, float]
    dram_bytes: int
    traffic_bytes: int

    @property
    def cycles(self) -> int:
        """The bound: the unit that has most to do."""
        return ceil(max(self.units.values(), default=0.0))


_UNITS: tuple[str, ...] = ("dma", "fetch", "dot", "vector", "commit", "npu")


def run_bound(program: Program) -> RunBound:
    """The bound of a program's runs (warm)."""
    machine = Machine.from_parameters(program.machine)
    units: dict[str, float] = dict.fromkeys(_UNITS, 0.0)
    traffic = compulsory = 0
    for segment in program.segments:
        if not isinstance(segment, NpuSegment):
            continue
        run = segment.commands[segment.setup :]
        moved, exchanged = _dram_bytes(program, segment, run, machine)
        traffic += moved
        compulsory += exchanged + max(section_size(segment.constants) - machine.sram_bytes, 0)
        by_layer = _by_layer(run)
        free = free_layers(run) if machine.slices > PE_SLICES else frozenset[int]()
        for commands in by_layer:
            least = _layer(commands, machine)
            for unit, cycles in least.items():
                units[unit] += cycles
            images, rows = (
                max(c.result.offset[d] + c.result.extent[d] for c in commands) for d in (0, 1)
            )
            work = max(least.values()) * machine.slices
            alone = _least_step(work, images * rows, machine.slices, machine)
            if commands[0].layer in free:
                alone = min(alone, _least_step(work, images * rows, PE_SLICES, machine) / 2)
            units["npu"] += alone
        # A copy in DRAM reads and writes in one transfer, with one latency.
        units["npu"] += (2 if by_layer else 1 if run else 0) * machine.dma_latency_cycles
    units["dma"] = compulsory / machine.dram_bytes_per_cycle
    return RunBound(units, compulsory, traffic)


def _dram_bytes(
    program: Program, segment: NpuSegment, run: Sequence[Command], machine: Machine
) -> tuple[int, int]:
    """(bytes of DRAM that a run moves, in whole bursts; of inputs and outputs what it has to).

    A network may need no more than a part of an input, and an output may be an input under another
    shape: more than a run reads and writes is not counted as what it has to move.
    """
    moved = read = written = 0
    for command in run:
        kind = kind_of(command)
        source, target = kind.dram_read(command), kind.dram_written(command)
        if source is not None:
            size = transfer_bytes(source, machine)
            moved += size
            read += size if source.region == "workspace" else 0
        if target is not None:
            written += transfer_bytes(target, machine)
    inputs, outputs = (tensors_bytes(program, t) for t in (segment.reads, segment.makes))
    return moved + written, min(inputs, read) + min(outputs, written)


def _least_step(work: float, rows: int, most: int, machine: Machine) -> float:
    """Cycles of a layer in one step over the best number of slices.

    Args:
        work: cycles of its busiest unit, were it done by one slice.
        rows: of its result, of all images: beyond as many slices, some share channels.
        most: how many slices there are for it.
        machine: the target.
    """
    slices, warmups = _warmups(min(rows, machine.slices), machine)
    return float((work / slices[:most] + warmups[:most]).min())


@lru_cache(maxsize=1024)
def _warmups(rows: int, machine: Machine) -> tuple[Array, Array]:
    """Each number of slices, and the shortest warm-up of a step of so many rows over it."""
    slices = range(1, machine.slices + 1)
    shortest = [warmup(ceil(count / rows), count, machine) for count in slices]
    return np.array(slices, np.float64), np.array(shortest, np.float64)


def _by_layer(commands: Sequence[Command]) -> Collection[list[Dot | Pool | Vector]]:
    layers: dict[int, list[Dot | Pool | Vector]] = defaultdict(list)
    for command in commands:
        if not isinstance(command, Load | Store | Copy) and not _only_moves(command):
            layers[command.layer].append(command)
    return layers.values()


def _only_moves(command: Dot | Pool | Vector) -> bool:
    """Whether it is a copy in SRAM: another plan could have done without it."""
    return isinstance(command, Vector) and not command.program


def _layer(commands: Sequence[Dot | Pool | Vector], machine: Machine) -> dict[str, float]:
    """The fewest cycles of each unit for a layer: its commands' work, spread evenly."""
    # A plan that splits columns could have left them whole: no line is then counted twice.
    columns = {(c.result.offset[2], c.result.extent[2]) for c in commands}
    split = len(columns) > 1
    dot = vector = commit = fetch = window = 0.0
    for command in commands:
        elements = prod(command.result.extent)
        most = max([elements, *(prod(tile.extent) for tile in command.operands)])
        passes = max(ceil(len(command.program) / machine.vector_stages), 1)
        lookups = sum(each.opcode == "lookup" for each in command.program)
        ports = lookups * machine.lookup_port_cycles / machine.num_table_ports
        vector += most * max(passes / machine.vector_lanes, ports)
        commit += elements * command.result.element / machine.commit_width
        fetch += sum(map(_tile_bytes, command.operands)) / machine.fetch_width
        if not isinstance(command, Vector):
            # Steps read what windows overlap in again: of all of them only the largest counts.
            window = max(window, _tile_bytes(command.x) / machine.fetch_width)
        if isinstance(command, Dot):
            dot += _dot(command, machine, split=split)
        elif isinstance(command, Pool):
            n, rows, width, channels = command.result.extent
            lines = _lines(width, channels, machine, split=split)
            dot += n * rows * lines * prod(command.window)
    whole = {"fetch": fetch + window, "dot": dot, "vector": vector, "commit": commit}
    return {unit: cycles / machine.slices for unit, cycles in whole.items()}


def _tile_bytes(tile: SramTile) -> int:
    return prod(tile.extent) * tile.element


def _dot(command: Dot, machine: Machine, *, split: bool) -> float:
    n, rows, columns, outputs = command.result.extent
    _, kernel_h, kernel_w, inner = command.weight_shape
    spread_h, spread_w = command.input_dilation
    taps = ceil(kernel_h / spread_h) * ceil(kernel_w / spread_w)
    sets = ceil(outputs / machine.mac_height)
    lined = (columns / machine.mac_width if split else ceil(columns / machine.mac_width)) * inner
    if inner == 1:
        # Depthwise: lines of columns for sets of channels, or lines of channels.
        work = min(lined * sets, columns * ceil(outputs / machine.mac_width))
    else:
        work = min(lined, columns * ceil(inner / machine.mac_width)) * sets
    return n * rows * taps * work * 100 / machine.dot_efficiency_percent


def _lines(columns: int, channels: int, machine: Machine, *, split: bool) -> float:
    across = columns / machine.mac_width
    return min(
        (across if split else ceil(across)) * channels,
        columns * ceil(channels / machine.mac_width),
    )
