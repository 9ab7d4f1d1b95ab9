"""Which layout each buffer of a function gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.layouts import Layout, best_layout
from furiosa_ir.backends.warboy.planning.storage import Storage
from furiosa_ir.backends.warboy.planning.tiles import Task


def choose_layouts(
    tasks: Mapping[int, Task], storages: Sequence[Storage], machine: Machine
) -> list[Layout]:
    """A layout for each buffer."""
    del tasks
    return [best_layout(s.shape, s.element, machine) for s in storages]
