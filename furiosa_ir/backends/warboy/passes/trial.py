"""What a run of a segment would take: a copy of it goes the rest of the way to commands."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.allocate import allocate_segments
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.copy_parts import copy_parts
from furiosa_ir.backends.warboy.passes.plan_tiles import plan_segments, prepare
from furiosa_ir.backends.warboy.passes.schedule import schedule_commands
from furiosa_ir.backends.warboy.passes.split_columns import may_spill, split_segment
from furiosa_ir.backends.warboy.planning.pinning import is_resident, plan_program
from furiosa_ir.backends.warboy.planning.run_estimate import run_cycles
from furiosa_ir.backends.warboy.simulator import timeline
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.rewrite_watch import unheard_rewrites


@dataclass(frozen=True)
class Estimate:
    """What a plan says of a run, before there are commands.

    Attributes:
        cycles: of a run.
        stays: whether nothing that a kernel makes leaves SRAM early, and all parameters stay.
    """

    cycles: float
    stays: bool


def estimate(function: FuncOp, machine: Machine) -> Estimate | None:
    """An estimate of a segment's run, which is planned in place; None if it does not fit.

    Args:
        function: a segment whose kernels are fused.
        machine: the target.
    """
    with unheard_rewrites():
        try:
            assign_views(function)
            copy_parts(function, machine)
            workload = prepare(function, machine).workload
            (plan,) = plan_program([workload], machine)
        except CompilationFailure:
            return None
    return Estimate(run_cycles(workload, plan.sram, machine), is_resident(workload, plan))


def trial(function: FuncOp, machine: Machine) -> int | None:
    """The cycles of a segment's run, by its commands; it is consumed. None if it does not fit.

    Args:
        function: a segment whose kernels are fused.
        machine: the target.
    """
    with unheard_rewrites():
        try:
            assign_views(function)
            copy_parts(function, machine)
            if may_spill(function, machine):
                split_segment(function, machine)
            plan_segments([function], machine)
            allocate_segments([function], machine)
            commands, set_up = schedule_commands(function, machine)
        except CompilationFailure:
            return None
    times = timeline.schedule(commands, machine, set_up=set_up)
    return max((end for _, end, _ in times[set_up:]), default=0)
