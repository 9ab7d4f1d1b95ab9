"""What a kernel's steps are expected to cost, before there are addresses."""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.backends.warboy.command_cost import command_cost
from furiosa_ir.backends.warboy.dialect.plan import OperandBinding, Shape4, Stage
from furiosa_ir.backends.warboy.enf.records import (
    Dot,
    Parameter,
    Pool,
    SramFlat,
    SramTile,
    Vector,
)
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.dram_runs import transfers_cycles, window_transfers
from furiosa_ir.backends.warboy.planning.geometry import groups_in, reading
from furiosa_ir.backends.warboy.planning.layouts import Layout, flat_bytes
from furiosa_ir.backends.warboy.planning.tiles import CHANNELS, Split, Task, steps
from furiosa_ir.backends.warboy.planning.views import shifted
from furiosa_ir.backends.warboy.vector_engine import Instruction

_ORIGIN: Shape4 = (0, 0, 0, 0)


def step_command(
    task: Task, operands_at: Sequence[SramTile | None], result: SramTile, machine: Machine
) -> Dot | Pool | Vector:
    """One step of a kernel as far as its cost depends on it: neither addresses nor registers.

    Args:
        task: the kernel.
        operands_at: for each operand the tile that the step reads; None for parameters.
        result: the tile that it writes.
        machine: for the striping of parameters.
    """
    geometry = task.geometry
    program = tuple([Instruction(opcode, ()) for opcode in task.opcodes])
    parameters = tuple(
        [
            Parameter(SramFlat(0, p.size, flat_bytes(p.size, machine)), (1, 1, 1, 1), 1)
            for p, name in zip(geometry.parameters, task.roles, strict=True)
            if p is not None and name == ""
        ]
    )
    tiles = [tile for tile in operands_at if tile is not None]
    if geometry.kind == "vector":
        return Vector(tuple(tiles), parameters, program, result, 0)
    x, *operands = tiles
    window = geometry.window
    kernel, strides, dilations, input_dilation = ((1, 1),) * 4
    if window is not None:
        kernel, strides = window.kernel, window.strides
        dilations, input_dilation = window.dilations, window.input_dilation
    if geometry.kind == "pool":
        return Pool(
            x, "max", kernel, strides, dilations, (0, 0, 0, 0), 0, tuple(operands), parameters,
            program, result, 0,
        )  # fmt: skip
    flat = SramFlat(0, 0, 0)
    batched = geometry.kind == "batched"
    return Dot(
        x=x,
        weight=None if batched else flat,
        weight_shape=(result.extent[CHANNELS], *kernel, geometry.inner),
        bias=flat if "bias" in task.roles else None,
        strides=strides,
        dilations=dilations,
        input_dilation=input_dilation,
        pads=(0, 0, 0, 0),
        group=groups_in(geometry, 0, result.extent[CHANNELS]),
        x_zp=0,
        weight_zp=0,
        batched=batched,
        operands=tuple(operands),
        parameters=parameters,
        program=program,
        result=result,
        layer=0,
    )


def split_work(
    task: Task,
    split: Split,
    layouts: Sequence[Layout],
    storages: Sequence[Storage],
    machine: Machine,
    *,
    last: bool,
) -> tuple[float, float]:
    """The cycles of all of a kernel's steps on the NPU, and of the DMA that they need.

    The first step stands for all.

    Args:
        task: the kernel.
        split: how its loops are split.
        layouts: of each buffer.
        storages: all buffers, with their allocations.
        machine: the target.
        last: no kernel reads the result: it is stored, and nothing else hides that.
    """
    reads = reading(task.geometry, _ORIGIN, split.tile)
    count = steps(task.geometry, split.tile)
    tiles: list[SramTile | None] = []
    moved = 0
    for binding, stage, window, element in zip(
        task.operands, split.stages, reads.windows, task.elements, strict=False
    ):
        if binding is None or window is None:
            tiles.append(None)
            continue
        tiles.append(_tile(binding, stage, window, element, layouts, storages))
        if stage is not None:
            moved += window_traffic(storages[binding.buffer], window[1], machine) * count
    stage, element = split.stages[-1], task.elements[-1]
    result = _tile(task.result, stage, (_ORIGIN, split.tile), element, layouts, storages)
    extent = task.geometry.result if stage is None else split.tile
    size = window_traffic(storages[task.result.buffer], extent, machine)
    size *= 1 if stage is None else count
    more = 0
    if last:
        moved += size
        more = _cycles_of_runs(storages[task.result.buffer], split.tile, machine)
    elif stage is not None:
        moved += 2 * size  # stored now, and read again later
    npu = command_cost(step_command(task, tiles, result, machine), machine).cycles * count
    dma = moved / machine.dram_bytes_per_cycle + count * more
    if moved and count > 1:
        dma += count * machine.dma_latency_cycles
    return npu, dma


def window_traffic(storage: Storage, extent: Shape4, machine: Machine) -> int:
    """Bytes of DRAM traffic of a window: short runs take whole bursts."""
    assert storage.allocation is not None
    return window_transfers(storage.allocation, extent, storage.element, machine)[1]


def _cycles_of_runs(storage: Storage, extent: Shape4, machine: Machine) -> int:
    """Cycles of DMA by which a window takes longer in runs than in one command."""
    assert storage.allocation is not None
    if not storage.allocation.runs:
        return 0
    count, moved = window_transfers(storage.allocation, extent, storage.element, machine)
    return transfers_cycles(count, moved, machine) - transfers_cycles(1, moved, machine)


def buffer_cycles(storage: Storage, machine: Machine) -> int:
    """Cycles of DMA of all of a buffer."""
    assert storage.allocation is not None
    count, moved = window_transfers(storage.allocation, storage.shape, storage.element, machine)
    return transfers_cycles(count, moved, machine)


def _tile(
    binding: OperandBinding,
    stage: Stage | None,
    window: tuple[Shape4, Shape4],
    element: int,
    layouts: Sequence[Layout],
    storages: Sequence[Storage],
) -> SramTile:
    offset, extent = window
    if stage is not None:
        return SramTile(0, stage.shape, stage.slices, stage.order, element, _ORIGIN, extent)
    layout, whole = layouts[binding.buffer], storages[binding.buffer].shape
    at = shifted(binding.offset, offset)
    return SramTile(0, whole, layout.slices, layout.order, element, at, extent, layout.images)
