"""The performance model: how many cycles each unit of the machine is busy with a command.

One model for everybody: the planner chooses tiles by it and the simulator's timeline uses it. It is
deterministic and made from the published parameters; how the work maps to the MAC array is not
published, so that part is a choice, calibrated on published latencies (see `warboy.toml`):

* Tiles in order "HCW" lie along the array's width by their columns: one cycle takes 32 columns of
  one (row, tap, input channel) times 4 output channels. The accumulators are the results.
* Tiles in order "HWC" lie along it by input channels: one cycle takes 32 channels of one (pixel,
  tap) times 4 output channels, which the adder tree sums.
* Each slice computes the outputs that it stores, and the fetch network brings it what it needs of
  the others' slices: 16 bytes a cycle, each byte once a step (taps reuse the feed buffer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from furiosa_ir.backends.warboy.enf.records import (
    Command,
    Copy,
    Dot,
    DramFlat,
    DramTile,
    DramView,
    Load,
    Pool,
    Shape4,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.machine.description import Machine


@dataclass(frozen=True, slots=True)
class Cost:
    """Cycles for which a command keeps each unit busy; the units of one step are pipelined.

    Attributes:
        dma: DRAM transfer.
        fetch: fetch network.
        dot: dot-product engine (or, for a `Pool`, the window reduction).
        vector: vector engine.
        commit: commit unit.
        warmup: until the step's first result, or the DMA's first byte.
    """

    dma: int = 0
    fetch: int = 0
    dot: int = 0
    vector: int = 0
    commit: int = 0
    warmup: int = 0

    @property
    def cycles(self) -> int:
        """From the command's start to its end: its slowest unit plus the warm-up."""
        return max(self.dma, self.fetch, self.dot, self.vector, self.commit) + self.warmup

    @property
    def occupancy(self) -> int:
        """Until its engine takes the next command.

        A DMA's latency overlaps with the next one's transfer; a kernel fills its pipeline anew.
        """
        return self.dma or self.cycles

    @property
    def bound(self) -> str:
        """The unit that decides the duration."""
        units = ("dma", "fetch", "dot", "vector", "commit")
        return max(units, key=lambda unit: getattr(self, unit))


Units = tuple[int, int, int, int, int]
"""Fetch, dot, vector, commit and warmup of a `Cost`."""


def command_cost(command: Command, machine: Machine) -> Cost:
    """The cycles of one command on `machine`."""
    match command:
        case Load(source=source) | Store(target=source):
            return dma_cost(transfer_bytes(source, machine), machine)
        case Copy(source=source, target=target):
            moved = transfer_bytes(source, machine) + transfer_bytes(target, machine)
            return dma_cost(moved, machine)
        case Vector():
            return KernelCost(command, machine).at(command.operands, command.result)
        case Dot() | Pool():
            return KernelCost(command, machine).at((command.x, *command.operands), command.result)


def dma_cost(transferred: int, machine: Machine) -> Cost:
    """The cycles of a DMA of so many bytes of DRAM traffic."""
    busy = _ceil(transferred, machine.dram_bytes_per_cycle) + machine.dma_descriptor_cycles
    return Cost(dma=busy, warmup=machine.dma_latency_cycles)


def transfer_bytes(side: DramTile | DramFlat | DramView, machine: Machine) -> int:
    """DRAM traffic in bytes: runs of consecutive bytes, each in whole bursts (32 bytes)."""
    burst = machine.size_dram_bulk
    if isinstance(side, DramFlat):
        return _ceil(side.size, burst) * burst
    run, count = contiguous_runs(side.extent, side.strides, side.element)
    return _ceil(run, burst) * burst * count


def contiguous_runs(extent: Sequence[int], strides: Sequence[int], element: int) -> tuple[int, int]:
    """(bytes of a run, number of runs) of a strided view; an element repeated is read once."""
    run, count = element, 1
    for stride, size in sorted(zip(map(abs, strides), extent, strict=True)):
        if size == 1 or stride == 0:
            continue
        if stride == run and count == 1:
            run *= size
        else:
            count *= size
    return run, count


def busiest_slice(tile: SramTile) -> Shape4:
    """(N, H, W, C) of the tile's window that the slice with the most of it holds."""
    n, h, w, c = tile.extent
    n = 1 if tile.images > 1 else n
    rows = _share(tile.offset[1], h, tile.shape[1], tile.slices[0])
    channels = _share(tile.offset[3], c, tile.shape[3], tile.slices[1])
    return n, rows, w, channels


def _share(offset: int, extent: int, whole: int, parts: int) -> int:
    block = -(-whole // parts)
    first = block - offset % block
    if first >= extent:
        return extent
    rest = extent - first
    return max(first, min(rest, block))


def _slices(tile: SramTile) -> int:
    """In how many slices a tile's window lies, of those that its whole buffer is spread over."""
    ho, co = tile.slices
    return ho * co * (tile.extent[0] if tile.images > 1 else 1)


def _ceil(value: int, unit: int) -> int:
    return -(-value // unit)


def _line_bytes(tile: SramTile, share: Shape4, machine: Machine) -> int:
    """Bytes of `share` with the innermost extent in whole lines: padding travels along."""
    n, h, w, c = share
    line = machine.line_bytes
    if tile.order == "HCW":
        return n * h * c * _ceil(w * tile.element, line) * line
    return n * h * w * _ceil(c * tile.element, line) * line


def warmup(sharing: int, slices: int, machine: Machine) -> int:
    """Cycles of a step's pipeline fill, and of the slices' agreement that all are done.

    Data passes over the slices that share channels, hop by hop. The agreement travels through a
    mesh, taken to be square, of the slices that the step uses: where it uses those of both PEs,
    this is what synchronising the two takes.

    Args:
        sharing: over how many slices channels are spread.
        slices: how many slices the step uses.
        machine: for what a hop takes.
    """
    across = isqrt(4 * slices - 1) + 1  # twice the side, rounded up
    return machine.warmup_base + machine.ctrl_delay + machine.hop_cycles * (sharing + across)


def _rows_read(rows: int, available: int, kernel: int, stride: int, dilation: int) -> int:
    """Input rows (or columns) that `rows` output ones read, no more than there are."""
    return max(min((rows - 1) * stride + (kernel - 1) * dilation + 1, available), 1)


class KernelCost:
    """What a step of a kernel costs, wherever its tiles lie.

    What does not depend on where is looked at once: the planner asks for a kernel's cycles with
    dozens of layouts of its buffers.

    Args:
        command: the step; of its tiles, the result's extent alone matters here.
        machine: the target.
    """

    __slots__ = ("_command", "_lookups", "_machine", "_parameters", "_passes")

    def __init__(self, command: Dot | Pool | Vector, machine: Machine) -> None:
        self._command, self._machine = command, machine
        program = command.program
        self._passes = max(_ceil(len(program), machine.vector_stages), 1)
        self._lookups = [instruction.opcode for instruction in program].count("lookup")
        self._parameters = sum([p.memory.size for p in command.parameters])

    def at(self, tiles: Sequence[SramTile], result: SramTile) -> Cost:
        """The cost with these tiles in place of the command's.

        Args:
            tiles: what the engine reads first (not of a `Vector`), then the program's operands.
            result: what it writes.
        """
        return Cost(0, *self._units(tiles, result))

    def cycles_at(self, tiles: Sequence[SramTile], result: SramTile) -> int:
        """The cost's cycles alone."""
        *busy, first = self._units(tiles, result)
        return max(busy) + first

    def _units(self, tiles: Sequence[SramTile], result: SramTile) -> Units:
        command = self._command
        share = busiest_slice(result)
        if isinstance(command, Vector):
            return self._with_epilogue(share, tiles, result, tiles, 0, 0)
        x = tiles[0]
        if isinstance(command, Dot):
            loaded, dot = self._products(command, x, share)
        else:
            loaded, dot = self._windows(command, x, share)
        return self._with_epilogue(share, tiles[1:], result, (x,), loaded, dot)

    def _with_epilogue(
        self,
        share: Shape4,
        operands: Sequence[SramTile],
        result: SramTile,
        sources: Sequence[SramTile],
        loaded: int,
        dot: int,
    ) -> Units:
        """The cost with the vector program over the busiest slice's elements.

        Args:
            share: of the result that the busiest slice writes.
            operands: of the program.
            result: where it goes.
            sources: the tiles that data comes from.
            loaded, dot: bytes that the dot-product engine reads, and cycles that it takes.
        """
        machine = self._machine
        n, rows, columns, channels = share
        elements = n * rows * columns * channels
        fetched = self._parameters
        for tile in operands:
            mine = busiest_slice(tile)
            n, rows, columns, channels = mine
            elements = max(elements, n * rows * columns * channels)
            fetched += _line_bytes(tile, mine, machine)
        fetch, width = -(-fetched // machine.fetch_width), machine.fetch_width
        if loaded:
            fetch += -(-loaded // width)
        vector = -(-elements // machine.vector_lanes) * self._passes
        if self._lookups:
            ports = elements * self._lookups * machine.lookup_port_cycles
            vector = max(vector, -(-ports // machine.num_table_ports))
        commit = -(-_line_bytes(result, share, machine) // machine.commit_width)
        sharing, slices = result.slices[1], _slices(result)
        for tile in sources:
            sharing, slices = max(sharing, tile.slices[1]), max(slices, _slices(tile))
        return fetch, dot, vector, commit, warmup(sharing, slices, machine)

    def _products(self, command: Dot, x: SramTile, share: Shape4) -> tuple[int, int]:
        """(bytes loaded, cycles) of the products that the busiest slice sums."""
        machine = self._machine
        n, rows, columns, outputs = share
        _, kernel_h, kernel_w, inner = command.weight_shape
        # Spread zeros (input_dilation) are not fetched, and the sequencer skips their products.
        spread_h, spread_w = command.input_dilation
        taps = _ceil(kernel_h, spread_h) * _ceil(kernel_w, spread_w)
        sets = _ceil(outputs, machine.mac_height)
        if x.order == "HCW":
            lines = _ceil(columns, machine.mac_width) * inner
        elif inner == 1:
            # Depthwise: the array's width takes channels, which nothing sums.
            lines, sets = columns * _ceil(outputs, machine.mac_width), 1
        else:
            lines = columns * _ceil(inner, machine.mac_width)
        dot = _ceil(n * rows * lines * taps * sets * 100, machine.dot_efficiency_percent)
        groups_here = _ceil(outputs * command.group, command.weight_shape[0])
        channels = min(inner * groups_here, x.extent[3])
        read = _rows_read(
            _ceil(rows, spread_h), x.extent[1], kernel_h, command.strides[0], command.dilations[0]
        )
        loaded = _line_bytes(x, (n, read, x.extent[2], channels), machine)
        if command.weight is not None:
            loaded += outputs * kernel_h * kernel_w * inner
        if command.bias is not None:
            loaded += outputs * 4
        return loaded, dot

    def _windows(self, command: Pool, x: SramTile, share: Shape4) -> tuple[int, int]:
        """(bytes loaded, cycles) of the windows that the busiest slice reduces."""
        machine = self._machine
        n, rows, columns, channels = share
        kernel_h, kernel_w = command.window
        read = _rows_read(rows, x.extent[1], kernel_h, command.strides[0], command.dilations[0])
        loaded = _line_bytes(x, (n, read, x.extent[2], channels), machine)
        if x.order == "HCW":
            lines = _ceil(columns, machine.mac_width) * channels
        else:
            lines = columns * _ceil(channels, machine.mac_width)
        return loaded, n * rows * lines * kernel_h * kernel_w
