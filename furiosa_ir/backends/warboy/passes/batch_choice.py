"""In how many passes a segment's images take the least time, and in how many slices.

Ways go to commands on trial, whose timeline is what a program reports: all images at once; the best
way of half of them, twice, of a third, three times, and so on; passes that overlap, if they have
less for an engine to do. On two PEs a
small segment is tried in one PE's slices as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from math import inf

from xdsl.dialects.func import FuncOp, ReturnOp

from furiosa_ir.backends.warboy.dialect.kernels import MOVEMENT, CopyOp
from furiosa_ir.backends.warboy.dialect.segment import kernels_of
from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.split_columns import may_spill
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

    def times(self, count: int) -> Way:
        """This way for a part of the images, and then for each of the others."""
        return replace(self, parts=count * self.parts, groups=count * self.groups)


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
    if work.images > 1 and _one_spills(function, work, machine):
        return Way(work.images)
    found = [_Choice(machine, s).best(function, work) for s in (None, PE_SLICES)[: 1 + narrow]]
    return min(found, key=lambda each: each.cycles).way


def _one_spills(function: FuncOp, work: ImageWork, machine: Machine) -> bool:
    """Whether one image's activations may leave SRAM: nothing is gained by several at once then.

    Each pass works band by band, in hundreds of kernels; trials of that would take minutes.
    """
    single = part_of(function, work, work.images)
    with unheard_rewrites():
        assign_views(single)
        return _is_whole(work) and may_spill(single, machine)


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
        once: number of parts -> a run of one of them, its images at once; None: do not fit.
    """

    way: Way
    cycles: float
    once: Mapping[int, Run | None]


@dataclass(frozen=True)
class _Choice:
    """Between ways on a machine, in so many slices.

    Half of the images have a best way; that one twice is a way for all, and takes no longer than
    twice; and so on for a third, a fifth. So no image takes longer in a batch than in one that it
    is a multiple of.

    Attributes:
        machine: the target.
        slices: how many of its slices a plan may use; None: all.
        known: number of images -> what they take, as parts of others.
    """

    machine: Machine
    slices: int | None
    known: dict[int, _Found] = field(default_factory=dict[int, "_Found"])

    def best(self, function: FuncOp, work: ImageWork, *, is_part: bool = False) -> _Found:
        """The best way for all images of a segment.

        Args:
            function: the segment.
            work: what of it works image by image.
            is_part: it is a part of another one: that its parts' best way takes so many times as
                long for all of them is then taken for granted.
        """
        if is_part and work.images in self.known:
            return self.known[work.images]
        whole = self._run(function, Way())
        way, least, once = Way(), _cycles(whole), {1: whole}
        likely: list[Way] = []
        size = sum(not isinstance(op, ConstantOp) for op in function.body.block.ops)
        for count in _primes(work.images):
            if count * size <= MAX_KERNELS:
                part = part_of(function, work, count)
                found = self.best(part, image_work(part), is_part=True)
                once |= {count * parts: run for parts, run in found.once.items()}
                repeated = replace(found.way.times(count), slices=None)
                if is_part and count * found.cycles < least:
                    way, least = repeated, count * found.cycles
                elif not is_part:
                    likely.append(repeated)
                likely.append(Way(repeated.parts))
        likely += self._less_busy(function, once, least)
        if not _is_whole(work):
            likely += [Way(each.parts, each.parts) for each in likely]
        failed: set[int] = set()
        for each in sorted(dict.fromkeys(likely), key=lambda each: each.parts):
            if each.parts * size > MAX_KERNELS or _gains_less(each, failed, once):
                continue
            cycles = _cycles(self._run(function, each))
            if cycles < least:
                way, least = each, cycles
            elif each.groups == 1:
                failed.add(each.parts)
        found = _Found(replace(way, slices=self.slices), least, once)
        if is_part:
            self.known[work.images] = found
        return found

    def _less_busy(
        self, function: FuncOp, once: Mapping[int, Run | None], least: float
    ) -> Iterator[Way]:
        """Passes that may take less, by how long an engine works on them at least.

        They overlap: the next one's inputs are loaded meanwhile, and what one leaves to be stored
        is stored behind it.
        """
        kernels = len(kernels_of(function))
        runs = {
            parts: run.busy * parts for parts, run in once.items() if parts > 1 and run is not None
        }
        is_small = max(runs, default=0) * kernels <= MAX_TRIED
        for parts in sorted(runs, key=runs.__getitem__)[: len(runs) if is_small else FINALISTS]:
            if runs[parts] < least * WORTH:
                yield Way(parts)

    def _run(self, function: FuncOp, way: Way) -> Run | None:
        """A run on this way, by its commands; None: it does not fit."""
        copy = function.clone()
        with unheard_rewrites():
            work = image_work(copy)
            take(copy, work, replace(way, slices=self.slices))
        # What several images at once would need bands for, passes of one image need none for, or
        # smaller ones; and plans of bands of many images take minutes.
        return trial(copy, self.machine, bands=way.parts == work.images)


def _gains_less(way: Way, failed: Set[int], once: Mapping[int, Run | None]) -> bool:
    """Whether fewer passes have gained nothing, and these have no less for an engine to do.

    What p passes hide behind each other is at most 1 - 1/p of what there is to hide, which grows
    ever less with p, and what each begins with grows as p does: where two passes gain nothing, four
    do not, unless what an engine does for an image gets less.

    Args:
        way: passes, planned together.
        failed: numbers of passes that were tried, and gained nothing.
        once: number of parts -> a run of one of them; None: does not fit.
    """
    run, whole = once.get(way.parts), once[1]
    if way.groups > 1 or run is None or whole is None:
        return False
    fewer = any(way.parts % parts == 0 for parts in failed if parts < way.parts)
    return fewer and run.busy * way.parts >= whole.busy


def _primes(number: int) -> Iterator[int]:
    """The primes that divide a number, each once, the least first."""
    divisor = 2
    while number > 1:
        if number % divisor == 0:
            yield divisor
            while number % divisor == 0:
                number //= divisor
        divisor += 1


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
