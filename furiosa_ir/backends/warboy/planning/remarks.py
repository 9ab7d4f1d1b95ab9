"""What the planner has to say of a kernel: tiles, what makes way in SRAM, what moves in DRAM."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from furiosa_ir.backends.warboy.dialect.kernels import KernelOp
from furiosa_ir.backends.warboy.dialect.plan import CopyPlan, Shape4
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.geometry import (
    element_bytes,
    reading,
    tensor_bytes,
    tile_ranges,
)
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.tiles import CHANNELS, Split, Task, make_split, steps
from furiosa_ir.ir.remarks import described, missed, passed


@dataclass(frozen=True)
class PlanRemarks:
    """What there is to say of one kernel's place in SRAM.

    Attributes:
        task: the kernel.
        tasks: all kernels of the function, by number.
        storages: all buffers.
        layouts: of each buffer.
        machine: the target.
    """

    task: Task
    tasks: Mapping[int, Task]
    storages: Sequence[Storage]
    layouts: Sequence[Layout]
    machine: Machine

    def tiles(
        self, split: Split, resident: frozenset[int], capacity: int, *, overlaps: bool
    ) -> None:
        """Says of a kernel in several steps why, and what that costs.

        Args:
            split: the steps.
            resident: buffers that lie in SRAM before it begins.
            capacity: bytes of a slice that are planned with.
            overlaps: steps may hide how long an input is loaded or the result stored.
        """
        task, count = self.task, steps(self.task.geometry, split.tile)
        if count == 1:
            return
        involved = task.reads | {task.result.buffer}
        whole = make_split(task, task.geometry.result, involved, self.machine, slots=1)
        need = sum(self.layouts[b].slice_bytes for b in involved) + whole.parameter_bytes
        others = sum(self.layouts[b].slice_bytes for b in resident - involved)
        if overlaps and need + others <= capacity:
            passed(
                task.op,
                "overlap",
                "in {tiles} tiles of {tile}: while one is made, the next one's operands are loaded "
                "or the one before is stored",
                tiles=count,
                tile="x".join(map(str, split.tile)),
            )
            return
        wider = self.machine.slices == 64 and need + others <= 2 * capacity
        missed(
            task.op,
            "tiles",
            "in {tiles} tiles of {tile}, the result being {result}: in one it takes {need:,} bytes "
            "of a slice ({parameters:,} of parameters), of {capacity:,}, where tensors of other "
            "layers hold {others:,}",
            way_out="--target-npu warboy-2pe has twice the slices"
            if wider
            else "a smaller batch or resolution",
            tiles=count,
            tile="x".join(map(str, split.tile)),
            result="x".join(map(str, task.geometry.result)),
            need=need,
            parameters=whole.parameter_bytes,
            capacity=capacity,
            others=others,
        )
        self._reloaded(split)

    def _reloaded(self, split: Split) -> None:
        """Says of operands that pass by tiles how much of them is loaded more than once."""
        task = self.task
        loaded = [0] * len(task.operands)
        known: list[object] = [None] * len(task.operands)
        for offset, extent in _tiles(task.geometry.result, split.tile):
            windows = reading(task.geometry, offset, extent).windows
            for index, window in enumerate(windows):
                if window is not None and window != known[index]:
                    known[index] = window
                    loaded[index] += prod(window[1])
        for index, binding in enumerate(task.operands):
            if binding is None or split.stages[index] is None:
                continue
            size, element = prod(binding.extent), task.elements[index]
            if loaded[index] > size:
                missed(
                    task.op,
                    "reload",
                    "{loaded:,} bytes are loaded for the {bytes:,} of its operand ({source}): "
                    "its tiles overlap, or come once for each block of channels",
                    loaded=loaded[index] * element,
                    source=self._maker(binding.buffer),
                    bytes=size * element,
                )

    def result(self, split: Split) -> None:
        """Says of a result that kernels read and that goes to DRAM nevertheless."""
        buffer = self.task.result.buffer
        if split.stages[-1] is None or not self.storages[buffer].readers:
            return
        missed(
            self.task.op,
            "result-in-dram",
            "its result, {bytes:,} {bytes:byte|bytes}, is not kept in SRAM for {readers}: there is "
            "no room for all of it, {slice:,} {slice:byte|bytes} of a slice",
            bytes=tensor_bytes(self.task.op.result),
            readers=self._kernels(self.storages[buffer].readers),
            slice=self.layouts[buffer].slice_bytes,
        )

    def evicted(self, buffer: int, again: int, *, stored: bool) -> None:
        """Says what makes way for the kernel.

        Args:
            buffer: what makes way.
            again: number of the next kernel that needs it; one that is none: nobody does.
            stored: it has to be stored first.
        """
        if again not in self.tasks:
            return
        missed(
            self.task.op,
            "spill",
            "the {bytes:,} {bytes:byte|bytes} of {source} {bytes:makes|make} way for it in SRAM "
            "and {bytes:is|are} {how} for {again}",
            way_out="a smaller batch or resolution",
            bytes=self._bytes(buffer),
            source=self._maker(buffer),
            how="stored to DRAM and loaded again" if stored else "loaded again from DRAM",
            again="itself, by tiles" if again == self.task.number else self._kernels([again]),
        )

    def refilled(self, buffer: int) -> None:
        """Says that an operand is loaded that lay in SRAM before."""
        missed(
            self.task.op,
            "refill",
            "its operand ({source}), {bytes:,} {bytes:byte|bytes}, is loaded again: it had to make "
            "way in SRAM",
            source=self._maker(buffer),
            bytes=self._bytes(buffer),
        )

    def _bytes(self, buffer: int) -> int:
        storage = self.storages[buffer]
        return prod(storage.shape) * storage.element

    def _maker(self, buffer: int) -> str:
        writers = self.storages[buffer].writers
        return self._kernels(writers) if writers else "an argument or a copy"

    def _kernels(self, numbers: Iterable[int]) -> str:
        return described(*(self.tasks[k].op for k in numbers))


def _tiles(whole: Shape4, tile: Shape4) -> Iterator[tuple[Shape4, Shape4]]:
    """(offset, extent) of each step, blocks of channels outermost."""
    ranges = [tile_ranges(whole[d], tile[d]) for d in range(4)]
    for c, n, h, w in product(ranges[CHANNELS], *ranges[:CHANNELS]):
        yield (n[0], h[0], w[0], c[0]), (n[1], h[1], w[1], c[1])


def tell_copies(kernels: Sequence[KernelOp], copies: Mapping[int, CopyPlan]) -> None:
    """Says of each copy in DRAM what is left of it."""
    for number, plan in copies.items():
        op, size = kernels[number], tensor_bytes(kernels[number].result)
        if plan.moves:
            missed(
                op,
                "copy",
                "it moves {moved:,} of {bytes:,} {bytes:byte|bytes} in DRAM, by {moves} DMA "
                "{moves:command|commands}",
                moved=sum(prod(m.extent) for m in plan.moves) * element_bytes(op.result),
                bytes=size,
                moves=len(plan.moves),
            )
        else:
            passed(
                op,
                "copy",
                "it moves nothing: its {bytes:,} {bytes:byte lies|bytes lie} in DRAM as strides "
                "can read {bytes:it|them}",
                bytes=size,
            )


def tell_shared_weights(tasks: Iterable[Task], pinned: Container[int]) -> None:
    """Says of weights that several kernels read that each of them loads them.

    Args:
        tasks: the kernels.
        pinned: numbers of those whose parameters stay, and are loaded once for all of them.
    """
    seen: dict[object, KernelOp] = {}
    for task in tasks:
        for index, role in enumerate(task.roles):
            value = task.op.inputs[index]
            if role != "weight" or task.number in pinned:
                continue
            if value in seen:
                missed(
                    task.op,
                    "shared-weights",
                    "its weights, {bytes:,} {bytes:byte|bytes}, are loaded again: {first} reads "
                    "them, too",
                    bytes=tensor_bytes(value),
                    first=described(seen[value]),
                )
            seen.setdefault(value, task.op)
