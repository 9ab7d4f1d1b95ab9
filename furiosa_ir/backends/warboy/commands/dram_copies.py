"""Copies in DRAM as records: movements that no view, window or alias expresses."""

from __future__ import annotations

from collections.abc import Iterator

from furiosa_ir.backends.warboy.commands.kernel_steps import DramMap, Issued
from furiosa_ir.backends.warboy.dialect.plan import CopyPlan
from furiosa_ir.backends.warboy.enf.records import Copy, DramView


def copy_commands(plan: CopyPlan, dram: DramMap, layer: int) -> Iterator[Issued]:
    """The commands of a copy; none if the result is an alias."""
    for move in plan.moves:
        # Dimensions of extent 1 say nothing, and a view has one dimension to eight.
        axes = [i for i, extent in enumerate(move.extent) if extent != 1] or [0]
        extent = tuple(move.extent[i] for i in axes) if move.extent else (1,)
        element = dram.memory.buffers[plan.result].element
        source, target = (
            DramView(
                dram.region(buffer),
                dram.addresses[buffer] + offset,
                extent,
                tuple(strides[i] for i in axes) if strides else (0,),
                element,
            )
            for buffer, offset, strides in (
                (move.source, move.source_offset, move.source_strides),
                (plan.result, move.target_offset, move.target_strides),
            )
        )
        yield Copy(source, target, layer), None
