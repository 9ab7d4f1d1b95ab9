"""Which kernels should not write a part of a larger buffer in place, but have it copied there.

Each slice computes what it stores. A window of a buffer whose channels (or rows) are shared by the
slices lies in some of them, and the others have no work: where a kernel writes half the channels of
a concatenation, half the machine idles. With a buffer of its own all slices share its work, and a
copy to the window, which takes neither products nor lookups, comes behind it.

For each buffer with several writers the layouts are compared, each with the better of both ways
for every writer, together with what its readers take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.layout_choice import LayoutModel
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.tiles import Task

ROOM = 3
"""Quarters of a slice that may be taken while a part lies there twice: else others make way."""


@dataclass(frozen=True, slots=True)
class PartCopy:
    """A kernel whose result is to be copied.

    Attributes:
        kernel: its number.
        in_place, own, copy: cycles of the kernel as it writes the window, as it writes a buffer of
            its own, and of the copy from there.
    """

    kernel: int
    in_place: int
    own: int
    copy: int

    @property
    def pays(self) -> bool:
        """Whether it takes less than the kernel in place."""
        return self.own + self.copy < self.in_place


def part_copies(
    tasks: Mapping[int, Task],
    storages: Sequence[Storage],
    machine: Machine,
    *,
    slices: int | None = None,
) -> list[PartCopy]:
    """The kernels whose results are to be copied, in order.

    Args:
        tasks: the kernels of a segment.
        storages: its buffers, with readers and writers.
        machine: the target.
        slices: how many the plan may use; None: the machine's.
    """
    shared = [
        number
        for number, storage in enumerate(storages)
        if any(_is_apart(tasks[k], storage) for k in storage.writers)
    ]
    if not shared:
        return []
    model = LayoutModel(tasks, storages, machine, slices=slices)
    model.improve_all()
    room = _Room(storages, model.layouts, machine)
    return sorted(
        (each for number in shared for each in _of_buffer(number, tasks, storages, model, room)),
        key=lambda each: each.kernel,
    )


def _is_apart(task: Task, storage: Storage) -> bool:
    """Whether a kernel does more than move, and what it writes is a part that slices may share."""
    whole, part = storage.shape, task.result.extent
    moves = task.geometry.kind == "vector" and not task.opcodes
    return not moves and (part[1] < whole[1] or part[3] < whole[3])


def _of_buffer(
    number: int,
    tasks: Mapping[int, Task],
    storages: Sequence[Storage],
    model: LayoutModel,
    room: _Room,
) -> list[PartCopy]:
    storage = storages[number]
    owned: dict[int, tuple[int, Layout]] = {}
    for k in storage.writers:
        if _is_apart(tasks[k], storage):
            cycles, layout = model.alone(k)
            if room.has(k, layout):
                owned[k] = cycles, layout
    if not owned:
        return []
    kept, best, least = model.layouts[number], list[PartCopy](), float("inf")
    for layout in model.candidates(number):
        model.layouts[number] = layout
        total = model.waste(number) + sum(
            model.cost(k) for k in model.around(number) if k not in owned
        )
        copies: list[PartCopy] = []
        for k, (own, own_layout) in owned.items():
            in_place, copy = model.cost(k), model.copy_cost(k, own_layout)
            each = PartCopy(k, in_place, own, copy)
            total += own + copy if each.pays else in_place
            if each.pays:
                copies.append(each)
        if total < least:
            best, least = copies, total
    model.layouts[number] = kept
    return best


class _Room:
    """What whole buffers take of a slice while each kernel works."""

    def __init__(
        self, storages: Sequence[Storage], layouts: Sequence[Layout], machine: Machine
    ) -> None:
        self._limit = machine.slice_bytes * ROOM // 4
        self._changes: dict[int, int] = {}
        for storage, layout in zip(storages, layouts, strict=True):
            used = (*storage.writers, *storage.readers)
            if used:
                first, last = min(used), max(used)
                self._changes[first] = self._changes.get(first, 0) + layout.slice_bytes
                self._changes[last + 1] = self._changes.get(last + 1, 0) - layout.slice_bytes

    def has(self, k: int, layout: Layout) -> bool:
        """Whether a buffer with this layout has room during kernel k."""
        taken = sum(change for at, change in self._changes.items() if at <= k)
        return taken + layout.slice_bytes <= self._limit
