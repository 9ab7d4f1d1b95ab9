"""What a run of a segment would take: a copy of it goes the rest of the way to commands."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.enf.commands import ENGINE
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.allocate import allocate_segments
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.copy_parts import copy_parts
from furiosa_ir.backends.warboy.passes.pair_kernels import pair_kernels
from furiosa_ir.backends.warboy.passes.plan_tiles import plan_segments
from furiosa_ir.backends.warboy.passes.schedule import schedule_commands
from furiosa_ir.backends.warboy.passes.split_columns import may_spill, split_segment
from furiosa_ir.backends.warboy.simulator import timeline
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.rewrite_watch import unheard_rewrites


@dataclass(frozen=True)
class Run:
    """What a run takes.

    Attributes:
        cycles: from its first command's start to its last one's end.
        busy: cycles for which the busier of the two engines works.
    """

    cycles: int
    busy: int


def trial(function: FuncOp, machine: Machine, *, bands: bool = True) -> Run | None:
    """A segment's run, by its commands; the segment is consumed. None if it does not fit.

    Args:
        function: a segment whose kernels are fused.
        machine: the target.
        bands: kernels may work band by band, if something would leave SRAM else.
    """
    with unheard_rewrites():
        try:
            assign_views(function)
            copy_parts(function, machine)
            if bands and may_spill(function, machine):
                split_segment(function, machine)
            pair_kernels(function, machine)
            plan_segments([function], machine)
            allocate_segments([function], machine)
            commands, set_up = schedule_commands(function, machine)
        except CompilationFailure:
            return None
    times = timeline.schedule(commands, machine, set_up=set_up)
    busy, until = dict.fromkeys(ENGINE.values(), 0), dict.fromkeys(ENGINE.values(), 0)
    for command, (start, _, cost) in zip(commands[set_up:], times[set_up:], strict=True):
        engine = ENGINE[type(command)]
        # A command beside another takes only what it takes longer.
        busy[engine] += max(start + cost.occupancy - max(start, until[engine]), 0)
        until[engine] = max(start + cost.occupancy, until[engine])
    return Run(max((end for _, end, _ in times[set_up:]), default=0), max(busy.values()))
