"""Buffers that lie in DRAM in runs: which strided tiles a window of one is.

A reshape may fold what a concatenation tears apart: of a detector's 324 channels, four anchors of
each of 81 classes lie together, and the next class's lie behind the anchors of all other heads. One
strided copy cannot say that, 81 can: a kernel that stores its channels class by class saves a copy
in DRAM.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import ceil, prod

from furiosa_ir.backends.warboy.command_cost import dma_cost, transfer_bytes
from furiosa_ir.backends.warboy.dialect.plan import Allocation, Runs, Shape4
from furiosa_ir.backends.warboy.enf.records import DramTile
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.views import AxisRuns


def in_runs(folded: Sequence[AxisRuns]) -> tuple[Shape4, tuple[Runs, ...]] | None:
    """(strides, runs) of an allocation, of where the elements along (N, H, W, C) lie.

    None if runs of runs would be needed.
    """
    if max(map(len, folded)) > 2:
        return None
    n, h, w, c = (axis[-1][1] if axis else 0 for axis in folded)
    runs = [
        Runs(dimension, axis[1][0], axis[0][1])
        for dimension, axis in enumerate(folded)
        if len(axis) == 2
    ]
    return (n, h, w, c), tuple(runs)


def run_tiles(
    allocation: Allocation, address: int, region: str, offset: Shape4, extent: Shape4, element: int
) -> Iterator[tuple[Shape4, DramTile]]:
    """The strided tiles that a window of a buffer is in DRAM, and where in the buffer each begins.

    Args:
        allocation: of the buffer.
        address: of its first byte.
        region: what that is an address in.
        offset, extent: the window.
        element: bytes of an element.
    """
    known = {runs.dimension: runs for runs in allocation.runs}
    pieces = [list(_pieces(offset[d], extent[d], known.get(d))) for d in range(4)]
    for n, h, w, c in product(*pieces):
        begin = (n[0], h[0], w[0], c[0])
        at = address
        for d, (low, stride) in enumerate(zip(begin, allocation.strides, strict=True)):
            runs = known.get(d)
            number, inside = (0, low) if runs is None else divmod(low, runs.extent)
            at += inside * stride + (number * runs.stride if runs is not None else 0)
        part = (n[1], h[1], w[1], c[1])
        yield begin, DramTile(region, at, part, allocation.strides, element)


def _pieces(low: int, extent: int, runs: Runs | None) -> Iterator[tuple[int, int]]:
    """(begin, extent) of the parts of a window that lie in one run each."""
    end = low + extent
    while low < end:
        high = end if runs is None else min(end, low - low % runs.extent + runs.extent)
        yield low, high - low
        low = high


def window_transfers(
    allocation: Allocation, extent: Shape4, element: int, machine: Machine
) -> tuple[int, int]:
    """(DMA commands, bytes of DRAM traffic) of a window that begins with a run."""
    count = 1
    within = list(extent)
    for runs in allocation.runs:
        count *= -(-extent[runs.dimension] // runs.extent)
        within[runs.dimension] = min(extent[runs.dimension], runs.extent)
    n, h, w, c = within
    tile = DramTile("workspace", 0, (n, h, w, c), allocation.strides, element)
    return count, count * transfer_bytes(tile, machine)


def transfers_cycles(count: int, traffic: int, machine: Machine) -> int:
    """Cycles for which as many DMA commands behind each other keep the engine, of such traffic.

    Its queue is full of commands that have not ended: small ones wait for the latency of others.
    """
    one = dma_cost(ceil(traffic / count), machine)
    return (count - 1) * max(one.occupancy, one.cycles // machine.io_queue_depth) + one.occupancy


def pays(allocation: Allocation, shape: Shape4, element: int, machine: Machine) -> bool:
    """Whether storing a buffer in runs takes DMA less time than storing it dense and copying it.

    Each run is a command with a descriptor of its own; the copy reads all and writes the same runs.
    """
    count, traffic = window_transfers(allocation, shape, element, machine)
    dense = prod(shape) * element
    apart = count * dma_cost(0, machine).dma + dma_cost(traffic, machine).dma
    copied = dma_cost(dense, machine).dma + dma_cost(dense + traffic, machine).dma
    return apart < copied
