"""How a kernel's loops may be split into steps, and what a split takes of SRAM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.dialect.plan import OperandBinding, Shape4, Stage
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.geometry import (
    Geometry,
    channel_unit,
    every_tile_reads,
    reading,
    tile_ranges,
)
from furiosa_ir.backends.warboy.planning.layouts import best_layout, flat_bytes

CHANNELS = 3
"""The dimension C of (N, H, W, C)."""

DOTS = ("dot", "batched")
"""Kinds of kernels that the dot-product engine works on."""


@dataclass(frozen=True)
class Task:
    """A kernel as the planner of tiles sees it.

    Attributes:
        number: its place in the program.
        geometry: its loops.
        operands: for each operand its binding, stages left open; None for parameters.
        result: the result's binding.
        elements: bytes of an element of each operand, then of the result.
        roles: for each operand "weight", "bias" or "".
        opcodes: of the instructions of its vector program.
        op: the kernel itself, which errors and remarks name.
        beside: it may run at the same time as the kernel in front of it (`pairs`).
    """

    number: int
    geometry: Geometry
    operands: tuple[OperandBinding | None, ...]
    result: OperandBinding
    elements: tuple[int, ...]
    roles: tuple[str, ...]
    opcodes: tuple[str, ...]
    op: KernelOp
    beside: bool = False

    @cached_property
    def reads(self) -> frozenset[int]:
        """The buffers it reads."""
        return frozenset(binding.buffer for binding in self.operands if binding is not None)


@dataclass(frozen=True, slots=True)
class Split:
    """How the loops of a kernel are split, and what its steps take of SRAM.

    Attributes:
        tile: (N, H, W, C) of the part of the result that a step makes.
        stages: for each operand, then for the result; None: resident, or a parameter.
        parameter_bytes: bytes of every slice that parameters take.
        stage_bytes: bytes of every slice that the stages take.
        in_place: the operand whose place in SRAM the result takes; None: it needs its own.
    """

    tile: Shape4
    stages: tuple[Stage | None, ...]
    parameter_bytes: int
    stage_bytes: int
    in_place: int | None = None


def wanted_order(geometry: Geometry, machine: Machine) -> str | None:
    """The order of the first operand that fills the MAC array's width better; None: no matter.

    In order HCW it takes 32 columns of one channel at once, in order HWC 32 channels of one column
    (`command_cost`).
    """
    width = machine.mac_width
    columns = geometry.result[2]
    if geometry.kind in DOTS and geometry.inner > 1:
        hwc, hcw = columns * -(-geometry.inner // width), -(-columns // width) * geometry.inner
    elif geometry.kind in (*DOTS, "pool"):
        channels = geometry.result[CHANNELS]
        hwc, hcw = columns * -(-channels // width), -(-columns // width) * channels
    else:
        return None
    return "HWC" if hwc <= hcw else "HCW"


def tile_candidates(geometry: Geometry) -> tuple[list[Shape4], list[Shape4]]:
    """Tiles by halves: (blocks of channels alone, rows and then channels).

    Blocks of channels are for kernels whose weights are the trouble. The others go by images, then
    rows, then columns (of kernels without a window), then channels. Both begin with the whole.
    """
    unit = channel_unit(geometry)
    whole = geometry.result
    blocks = list(_halves(whole[CHANNELS], unit)) if CHANNELS not in geometry.whole else []
    by_channel = [whole, *((*whole[:3], block) for block in blocks)]
    tile = list(whole)
    by_row = [whole]
    divisible = [d for d in (0, 1) if d not in geometry.whole]
    if geometry.window is None and 2 not in geometry.whole:
        divisible.append(2)
    for d in divisible:
        for extent in _halves(whole[d], 1):
            if d == 1 and not every_tile_reads(geometry, extent):
                break  # smaller ones neither
            tile[d] = extent
            by_row.append(_shape(tile))
    for block in blocks:
        tile[CHANNELS] = block
        by_row.append(_shape(tile))
    return by_channel, by_row


def _halves(extent: int, unit: int) -> Iterator[int]:
    parts = 2
    last = extent
    while last > unit:
        block = -(-extent // parts)
        block = -(-block // unit) * unit
        if block != last:
            yield block
            last = block
        parts *= 2


def _shape(tile: Sequence[int]) -> Shape4:
    n, h, w, c = tile
    return n, h, w, c


def steps(geometry: Geometry, tile: Shape4) -> int:
    """How many steps the tile makes."""
    count = 1
    for whole, part in zip(geometry.result, tile, strict=True):
        count *= -(-whole // part)
    return count


def make_split(
    task: Task,
    tile: Shape4,
    resident: frozenset[int],
    machine: Machine,
    *,
    slots: int,
    pinned: bool = False,
) -> Split:
    """What the kernel takes with this tile if the buffers `resident` are in SRAM.

    Args:
        task: the kernel.
        tile: the part of the result that a step makes.
        resident: buffers that need no stage.
        machine: its slices.
        slots: stages a tile if there are several: 2 to overlap transfers with work.
        pinned: parameters have places of their own for the whole program: they take no room here.
    """
    geometry = task.geometry
    count = steps(geometry, tile)
    extents = _greatest_windows(geometry, tile)
    stages: list[Stage | None] = []
    total = 0
    for index, binding in enumerate((*task.operands, task.result)):
        if binding is None or binding.buffer in resident:
            stages.append(None)
            continue
        shape = tile if index == len(task.operands) else extents[index]
        assert shape is not None
        is_result = index == len(task.operands)
        unit = machine.mac_height if is_result and geometry.kind in DOTS else 1
        order = wanted_order(geometry, machine) if index == 0 and not is_result else None
        layout = best_layout(shape, task.elements[index], machine, order, unit)
        stage = Stage(shape, layout.slices, layout.order, slots if count > 1 else 1)
        stages.append(stage)
        total += layout.slice_bytes * stage.slots
    channels = geometry.result[CHANNELS]
    blocks = -(-channels // tile[CHANNELS])
    parameters = 0
    for parameter in geometry.parameters:
        if parameter is None or pinned:
            continue
        if parameter.by_channel:
            block_size = parameter.size // channels * tile[CHANNELS]
            parameters += flat_bytes(block_size, machine) * (2 if blocks > 1 else 1)
        else:
            parameters += flat_bytes(parameter.size, machine)
    return Split(tile, tuple(stages), parameters, total)


@lru_cache(maxsize=1 << 14)
def _greatest_windows(geometry: Geometry, tile: Shape4) -> tuple[Shape4 | None, ...]:
    """The greatest window of each operand over all tiles.

    Dimensions are independent, and along one the windows of equal blocks repeat with the period of
    the input's dilation, but for the borders: blocks that begin in the padding.
    """
    window = geometry.window
    period = max(window.input_dilation) if window else 1
    greatest: list[list[int] | None] = [
        None if shape is None else [0, 0, 0, 0] for shape in geometry.operands
    ]
    first = [tile_ranges(geometry.result[d], tile[d])[0] for d in range(4)]
    for d in range(4):
        ranges = tile_ranges(geometry.result[d], tile[d])
        border = 1
        if window is not None and d in (1, 2):
            border += max(window.pads[d - 1], 0) // (window.strides[d - 1] * tile[d])
        for chosen in {*ranges[: border + period + 1], *ranges[-2:]}:
            at = [*first]
            at[d] = chosen
            offset = _shape([low for low, _ in at])
            extent = _shape([size for _, size in at])
            for best, read in zip(greatest, reading(geometry, offset, extent).windows, strict=True):
                if best is not None and read is not None:
                    best[:] = map(max, best, read[1])
    return tuple(None if best is None else _shape(best) for best in greatest)
