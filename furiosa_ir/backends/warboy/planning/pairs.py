"""Which kernels run at the same time, one on each PE: as `pair-kernels` says, where that holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.tiles import Task

LARGE = 1 << 13
"""Bytes of an input or output of a segment that a kernel may work on part by part (`overlap`)."""


def paired(
    tasks: Mapping[int, Task], storages: Sequence[Storage], machine: Machine
) -> dict[int, int]:
    """Second kernel -> first, of those that stand beside each other and may run at the same time.

    What the IR says is checked: a pass behind `pair-kernels` may have changed the kernels.
    """
    found: dict[int, int] = {}
    for k, task in tasks.items() if machine.slices > PE_SLICES else ():
        first = tasks.get(k - 1)
        if not task.beside or first is None or k - 1 in found:
            continue
        made = {first.result.buffer, task.result.buffer}
        apart = len(made) == 2 and not made & (first.reads | task.reads)
        if apart and all(is_able(each, storages) for each in (first, task)):
            found[k] = k - 1
    return found


def is_able(task: Task, storages: Sequence[Storage]) -> bool:
    """Whether a kernel works in one step of one image, on nothing large that comes or leaves."""
    made = storages[task.result.buffer]
    if made.writers != [task.number] or made.shape != task.result.extent or made.shape[0] != 1:
        return False
    if not made.readers and _bytes(made) >= LARGE:
        return False
    reads = [storages[buffer] for buffer in task.reads]
    return not any(not storage.made and _bytes(storage) >= LARGE for storage in reads)


def _bytes(storage: Storage) -> int:
    return prod(storage.shape) * storage.element
