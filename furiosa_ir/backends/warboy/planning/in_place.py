"""Which operand's place in SRAM a kernel's result may take, element by element.

The vector engine reads an element of each operand before it writes the result's element of the same
place, and never looks back. So a result may lie where an operand lies whose last reader the kernel
is, if both are sliced in one way. What a dot product or a pool reads first it reads in windows, and
an instruction that works along an axis reads what other steps have written: neither makes way.
"""

from __future__ import annotations

from collections.abc import Sequence

from furiosa_ir.backends.warboy.dialect.plan import OperandBinding
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.tiles import Task


def in_place_operand(
    task: Task, storages: Sequence[Storage], layouts: Sequence[Layout]
) -> int | None:
    """The number of the operand whose place the result may take; None if there is none.

    Args:
        task: the kernel.
        storages: all buffers.
        layouts: of each buffer.
    """
    geometry, result = task.geometry, task.result
    if geometry.whole or not _is_whole(result, storages):
        return None
    if storages[result.buffer].writers != [task.number]:
        return None
    heads = () if geometry.kind == "vector" else (0, geometry.second)
    for number, binding in enumerate(task.operands):
        if binding is None or number in heads or not _is_whole(binding, storages):
            continue
        mine, its = storages[binding.buffer], storages[result.buffer]
        if (
            binding.extent == result.extent
            and mine.element == its.element
            and layouts[binding.buffer] == layouts[result.buffer]
            and max((*mine.readers, *mine.writers)) == task.number
            and sum(b is not None and b.buffer == binding.buffer for b in task.operands) == 1
        ):
            return number
    return None


def _is_whole(binding: OperandBinding, storages: Sequence[Storage]) -> bool:
    return binding.extent == storages[binding.buffer].shape
