"""In how many passes a segment's images take the least time, and in how many slices.

What may be taken is tried: each of the ways that estimates do not rule out goes to commands, whose
timeline is what a program reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, CopyOp
from furiosa_ir.backends.warboy.dialect.segment import kernels_of
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.trial import estimate, trial
from furiosa_ir.backends.warboy.planning.batch_rewrite import part_of, split_batch
from furiosa_ir.backends.warboy.planning.decisions import limit_slices
from furiosa_ir.backends.warboy.planning.images import ImageWork, image_work
from furiosa_ir.backends.warboy.planning.layout_choice import PE_SLICES
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.ir.rewrite_watch import unheard_rewrites

MAX_KERNELS = 2000
"""Operations that a segment of several passes may have: planning takes its time for each."""

NEAR = 1.1
"""Times the least: what passes by themselves may be estimated at, to be tried."""

FAR = 1.25
"""Times what all images take at once: passes that are estimated at more are not tried."""

MAX_TRIED = 128
"""Kernels of all passes with which any number of them is tried, whatever is estimated."""

MAX_NARROW = 32
"""Kernels of a segment for which a plan in one PE's slices is tried as well."""


@dataclass(frozen=True)
class Way:
    """A way for a segment's images to take.

    Attributes:
        parts: in how many passes.
        slices: how many slices the plan may use; None: the machine's.
    """

    parts: int = 1
    slices: int | None = None


def best_way(function: FuncOp, work: ImageWork, machine: Machine) -> Way:
    """The way on which a run takes the fewest cycles.

    Args:
        function: a segment whose kernels are fused.
        work: what of it works image by image.
        machine: the target.
    """
    wide, least = _best_parts(function, work, machine, None)
    if not _may_be_narrow(function, work, machine):
        return wide
    narrow, cycles = _best_parts(function, work, machine, PE_SLICES)
    least = _cycles(function, wide, machine) if least is None else least
    cycles = _cycles(function, narrow, machine) if cycles is None else cycles
    return narrow if cycles < least else wide


def _may_be_narrow(function: FuncOp, work: ImageWork, machine: Machine) -> bool:
    """Whether one PE's plan is worth a look: a few kernels, and more to a run than their layouts.

    As long as kernels are the same, layouts that begin with one PE's are never slower
    (`LayoutModel.improve_all`).
    """
    if machine.slices <= PE_SLICES or len(kernels_of(function)) > MAX_NARROW:
        return False
    if work.images > 1 or not any(isinstance(op, MOVEMENT) for op in function.body.block.ops):
        return work.images > 1
    copy = function.clone()
    with unheard_rewrites():
        assign_views(copy)
    return any(isinstance(op, CopyOp | movement.ConcatOp) for op in copy.body.block.ops)


def _best_parts(
    function: FuncOp, work: ImageWork, machine: Machine, slices: int | None
) -> tuple[Way, float | None]:
    """(the best way in so many slices, its cycles or None, where there was nothing to compare)."""
    once = Way(1, slices)
    if work.images == 1:
        return once, None
    alone, stays = _estimates(function, work, machine, slices)
    others = {parts: cycles for parts, cycles in alone.items() if parts > 1}
    few = MAX_TRIED // max(len(kernels_of(function)), 1)
    if not others or (FAR * alone.get(1, inf) < min(others.values()) and few < 2):
        return once, None
    if not stays and alone.get(work.images, inf) <= NEAR * min(alone.values()):
        # `split-columns` makes more of an image that fills SRAM than of several.
        return Way(work.images, slices), None
    # One pass by itself says little of what is loaded and stored for others meanwhile.
    best, least = once, _cycles(function, once, machine)
    near = NEAR * min(least, *others.values())
    for parts in sorted(others):
        if others[parts] <= near or parts <= few:
            way = Way(parts, slices)
            cycles = _cycles(function, way, machine)
            if cycles < least:
                best, least = way, cycles
    return best, least


def _estimates(
    function: FuncOp, work: ImageWork, machine: Machine, slices: int | None
) -> tuple[dict[int, float], bool]:
    """(number of passes -> cycles of all of them, whether all of one image stays in SRAM)."""
    images = work.images
    size = sum(not isinstance(op, ConstantOp) for op in function.body.block.ops)
    alone: dict[int, float] = {}
    stays, parts = True, 1
    while images % parts == 0 and (parts == 1 or parts * size <= MAX_KERNELS):
        copy = part_of(function, work, parts) if parts > 1 else function.clone()
        limit_slices(copy, slices)
        found = estimate(copy, machine)
        if found is not None:
            alone[parts], stays = parts * found.cycles, found.stays
        parts *= 2
    return alone, stays


def _cycles(function: FuncOp, way: Way, machine: Machine) -> float:
    """The cycles of a run on this way, by its commands; infinity: it does not fit."""
    copy = function.clone()
    with unheard_rewrites():
        take(copy, image_work(copy), way)
    cycles = trial(copy, machine)
    return inf if cycles is None else cycles


def take(function: FuncOp, work: ImageWork, way: Way) -> None:
    """Has the images of a segment take a way, in place."""
    if way.parts > 1:
        split_batch(function, work, way.parts)
    limit_slices(function, way.slices)
