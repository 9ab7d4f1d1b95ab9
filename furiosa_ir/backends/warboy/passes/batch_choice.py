"""In how many passes a segment's images take the least time, and in how many slices.

Ways go to commands on trial, whose timeline is what a program reports: all images at once; the best
way of half of them, twice; passes that overlap, if they have less for an engine to do. On two PEs a
small segment is tried in one PE's slices as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from xdsl.dialects.func import FuncOp, ReturnOp

from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, CopyOp
from furiosa_ir.backends.warboy.dialect.segment import kernels_of
from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.trial import Run, trial
from furiosa_ir.backends.warboy.planning.batch_rewrite import part_of, split_batch
from furiosa_ir.backends.warboy.planning.decisions import limit_slices
from furiosa_ir.backends.warboy.planning.images import ImageWork, image_work
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.ir.rewrite_watch import unheard_rewrites

MAX_KERNELS = 2000
"""Operations that a segment of several passes may have: planning takes its time for each."""

FINALISTS = 3
"""Numbers of passes that are tried, of those whose engines may have less to do."""

WORTH = 0.995
"""Of the least cycles: as long an engine may work at most on a way that is tried."""

MAX_TRIED = 128
"""Kernels of all passes with which any number of them is tried."""

MAX_NARROW = 32
"""Kernels of a segment for which a plan in one PE's slices is tried as well."""


@dataclass(frozen=True)
class Way:
    """A way for a segment's images to take.

    Attributes:
        parts: in how many passes.
        groups: passes are planned in so many groups of as many, each as if there were no others.
        slices: how many slices the plan may use; None: the machine's.
    """

    parts: int = 1
    groups: int = 1
    slices: int | None = None

    @property
    def twice(self) -> Way:
        """This way for half of the images, and then for the other half."""
        return replace(self, parts=2 * self.parts, groups=2 * self.groups)


def best_way(function: FuncOp, work: ImageWork, machine: Machine) -> Way:
    """The way on which a run takes the fewest cycles.

    Args:
        function: a segment whose kernels are fused.
        work: what of it works image by image.
        machine: the target.
    """
    narrow = _may_be_narrow(function, work, machine)
    if work.images == 1 and not narrow:
        return Way()
    found = [_Choice(machine, s).best(function, work) for s in (None, PE_SLICES)[: 1 + narrow]]
    return min(found, key=lambda each: each.cycles).way


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


@dataclass(frozen=True)
class _Found:
    """What some images take.

    Attributes:
        way: the best one.
        cycles: of a run on it; infinity: they do not fit on any.
        once: runs of all images at once, of a half of them, a quarter, ...; None: do not fit.
    """

    way: Way
    cycles: float
    once: tuple[Run | None, ...]


@dataclass(frozen=True)
class _Choice:
    """Between ways on a machine, in so many slices.

    Half of the images have a best way; that one twice is a way for all, and takes no longer than
    twice. So no image takes longer in a batch than in one half as large.
    """

    machine: Machine
    slices: int | None

    def best(self, function: FuncOp, work: ImageWork, *, is_half: bool = False) -> _Found:
        """The best way for all images of a segment.

        Args:
            function: the segment.
            work: what of it works image by image.
            is_half: it is half of another one: that its best way twice takes twice as long is
                then taken for granted.
        """
        once = self._run(function, Way())
        way, least, halves = Way(), _cycles(once), ()
        likely: list[Way] = []
        size = sum(not isinstance(op, ConstantOp) for op in function.body.block.ops)
        if work.images % 2 == 0 and 2 * size <= MAX_KERNELS:
            half = part_of(function, work, 2)
            found = self.best(half, image_work(half), is_half=True)
            halves, twice = found.once, replace(found.way.twice, slices=None)
            if is_half and 2 * found.cycles < least:
                way, least = twice, 2 * found.cycles
            elif not is_half:
                likely.append(twice)
            likely.append(Way(twice.parts))
        likely += self._less_busy(function, halves, least)
        if not _is_whole(work):
            likely += [Way(each.parts, each.parts) for each in likely]
        for each in dict.fromkeys(likely):
            if each.parts * size <= MAX_KERNELS:
                cycles = _cycles(self._run(function, each))
                if cycles < least:
                    way, least = each, cycles
        return _Found(replace(way, slices=self.slices), least, (once, *halves))

    def _less_busy(
        self, function: FuncOp, halves: Sequence[Run | None], least: float
    ) -> Iterator[Way]:
        """Passes that may take less, by how long an engine works on them at least.

        They overlap: the next one's inputs are loaded meanwhile, and what one leaves to be stored
        is stored behind it.
        """
        kernels = len(kernels_of(function))
        runs = {2 << at: run.busy << at + 1 for at, run in enumerate(halves) if run is not None}
        is_small = max(runs, default=0) * kernels <= MAX_TRIED
        for parts in sorted(runs, key=runs.__getitem__)[: len(runs) if is_small else FINALISTS]:
            if runs[parts] < least * WORTH:
                yield Way(parts)

    def _run(self, function: FuncOp, way: Way) -> Run | None:
        """A run on this way, by its commands; None: it does not fit."""
        copy = function.clone()
        with unheard_rewrites():
            take(copy, image_work(copy), replace(way, slices=self.slices))
        return trial(copy, self.machine)


def _cycles(run: Run | None) -> float:
    return inf if run is None else run.cycles


def _is_whole(work: ImageWork) -> bool:
    """Whether nothing comes behind what works image by image."""
    users = (use.operation for value in work.outputs for use in value.uses)
    return all(user in work.operations or isinstance(user, ReturnOp) for user in users)


def take(function: FuncOp, work: ImageWork, way: Way) -> None:
    """Has the images of a segment take a way, in place."""
    if way.parts > 1:
        split_batch(function, work, way.parts, groups=way.groups)
    limit_slices(function, way.slices)
