"""Which layout each buffer of a function gets: the one with the fewest cycles.

A buffer's slices decide how evenly its writer's work is spread, its order how well its readers
fill the MAC array (`command_cost`). Buffers are decided one after the other in the order of the
program, each with its neighbours as they stand; equal kernels are costed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from math import prod

from furiosa_ir.backends.warboy.command_cost import KernelCost, command_cost
from furiosa_ir.backends.warboy.dialect.plan import OperandBinding, Shape4
from furiosa_ir.backends.warboy.enf.records import SramTile, Vector
from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.estimate import step_command
from furiosa_ir.backends.warboy.planning.layouts import (
    Layout,
    best_layout,
    layouts,
    narrow_layouts,
)
from furiosa_ir.backends.warboy.planning.pairs import paired
from furiosa_ir.backends.warboy.planning.tiles import DOTS, Task, wanted_order

SMALL_PROGRAM = 128
"""Elements of a slice and buffer, on average, in a program that begins with one PE's layouts."""

FEW = 16
"""Kernels of a program for which that is tried however large its buffers are."""

SPACIOUS = 16
"""Buffers below a sixteenth of a slice may take more room than they need without a penalty."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What kernels cost on a machine: passes plan a function more than once, programs several.

    Attributes:
        numbers: of kinds; no two threads get the same.
        kinds: what tells kinds of kernels -> the kind's number.
        costs: of a kind.
        cycles: of a kind with some layouts.
        best: of a buffer among such kernels, their other buffers with some layouts: its layout.
    """

    numbers: Iterator[int]
    kinds: dict[object, int]
    costs: dict[int, KernelCost]
    cycles: dict[object, int]
    best: dict[object, Layout]


_MOST = 1 << 15
"""Costs that are remembered: some 8 MB."""


def _known(machine: Machine) -> _Known:
    known = _of_machine(machine)
    if max(len(known.cycles), len(known.best)) >= _MOST:
        forget()
        known = _of_machine(machine)
    return known


def forget() -> None:
    """Forgets what kernels cost: what comes next is worked out anew."""
    _of_machine.cache_clear()


@lru_cache(maxsize=4)
def _of_machine(_: Machine) -> _Known:
    return _Known(count(), {}, {}, {}, {})


class LayoutModel:
    """What the kernels of a function cost with some layouts, and the layouts to choose from.

    Attributes:
        layouts: of each buffer, as they stand.
    """

    def __init__(
        self,
        tasks: Mapping[int, Task],
        storages: Sequence[Storage],
        machine: Machine,
        *,
        apart: bool = True,
        slices: int | None = None,
    ) -> None:
        self._apart, self._slices = apart, slices
        self._tasks = tasks
        self._storages = storages
        self._machine = machine
        known = _known(machine)
        self._cycles, self._costs, self._best = known.cycles, known.costs, known.best
        # Equal kernels (a network's repeated blocks) share costs by the number of their kind.
        self._kinds = {
            k: known.kinds.setdefault((*_kind(task), *self._wholes(task)), next(known.numbers))
            for k, task in tasks.items()
        }
        pairs = paired(tasks, storages, machine)
        both = (*pairs, *pairs.values())
        self._in_one_pe = {tasks[k].result.buffer for k in both}
        self._one = replace(machine, num_slices=PE_SLICES) if both else machine
        within = machine if slices is None else replace(machine, num_slices=slices)
        self.layouts = [self._first_guess(b, within) for b in range(len(storages))]
        self._smallest: dict[int, int] = {}
        self._tiles: dict[int, tuple[Layout, SramTile]] = {}
        self._bindings = {
            k: tuple(p for p in (*task.operands, task.result) if p is not None)
            for k, task in tasks.items()
        }

    def _first_guess(self, buffer: int, machine: Machine) -> Layout:
        storage = self._storages[buffer]
        machine = self._one if buffer in self._in_one_pe else machine
        dots = [k for k in storage.writers if self._tasks[k].geometry.kind in DOTS]
        orders = [wanted_order(self._tasks[k].geometry, machine) for k in storage.readers]
        unit = machine.mac_height if dots else 1
        order = next((o for o in orders if o is not None), None)
        return best_layout(storage.shape, storage.element, machine, order, unit)

    @property
    def kernels(self) -> Iterable[int]:
        """Their numbers."""
        return self._tasks

    def around(self, buffer: int) -> tuple[int, ...]:
        """The kernels that write or read a buffer."""
        storage = self._storages[buffer]
        return tuple(dict.fromkeys((*storage.writers, *storage.readers)))

    def buffers(self, k: int) -> tuple[int, ...]:
        """The buffers that a kernel reads and writes, each once."""
        task = self._tasks[k]
        bindings = (*task.operands, task.result)
        return tuple(dict.fromkeys(p.buffer for p in bindings if p is not None))

    def kind(self, k: int) -> int:
        """Kernels of one kind cost the same with the same layouts."""
        return self._kinds[k]

    def candidates(self, buffer: int, slices: int | None = None) -> Sequence[Layout]:
        """Layouts of a buffer that neither waste SRAM nor leave most slices without work.

        Args:
            buffer: its number.
            slices: how many there are to lie in; None: the machine's.
        """
        storage = self._storages[buffer]
        slices = PE_SLICES if buffer in self._in_one_pe else slices
        smallest, found = self._candidates(storage.shape, storage.element, slices)
        self._smallest[buffer] = smallest
        return found

    def _candidates(
        self, shape: Shape4, element: int, slices: int | None = None
    ) -> tuple[int, Sequence[Layout]]:
        machine = self._machine
        slices = slices or self._slices or machine.slices
        spare = machine.slice_bytes // SPACIOUS
        return _candidates(shape, element, slices, machine.line_bytes, spare, self._apart)

    def waste(self, buffer: int) -> float:
        """Cycles that the room which a buffer's layout wastes is worth; `candidates` comes first.

        Large buffers may have to go to DRAM and back, so what they waste costs time.
        """
        layout, machine = self.layouts[buffer], self._machine
        if layout.slice_bytes <= machine.slice_bytes // SPACIOUS:
            return 0.0
        excess = (layout.slice_bytes - self._smallest[buffer]) * machine.slices
        return excess / machine.dram_bytes_per_cycle

    def improve_all(self) -> None:
        """Takes the best layout for one buffer after the other.

        In a small program, more slices may take longer to agree than they save: it begins with what
        one PE would choose, and takes to both PEs' slices where that is better. By these costs two
        PEs are then never slower, as long as the kernels are the same: which parts are copied may
        differ. Where kernels are few, both beginnings are tried.
        """
        is_one = self._slices is not None or self._machine.slices <= PE_SLICES
        if is_one or not self._is_small():
            for buffer in range(len(self._storages)):
                self._improve_alike(buffer)
            if is_one or len(self._tasks) > FEW:
                return
            found, least = list(self.layouts), self._total()
            self._widen()
            if self._total() >= least:
                self.layouts = found
            return
        self._widen()

    def _widen(self) -> None:
        """Takes what one PE would choose, then more slices wherever that is better."""
        one = replace(self._machine, num_slices=PE_SLICES)
        self.layouts = [self._first_guess(b, one) for b in range(len(self._storages))]
        for buffer in range(len(self._storages)):
            self.improve(buffer, self.candidates(buffer, PE_SLICES))
        for buffer in range(len(self._storages)):
            wide = [x for x in self.candidates(buffer) if x.images * prod(x.slices) > PE_SLICES]
            self.improve(buffer, [self.layouts[buffer], *wide])

    def _total(self) -> float:
        """Cycles of all kernels as they stand, and what buffers waste."""
        return sum(map(self.cost, self._tasks)) + sum(
            self.waste(buffer) for buffer in self._smallest
        )

    def _is_small(self) -> bool:
        elements = sum(prod(storage.shape) for storage in self._storages)
        return elements <= SMALL_PROGRAM * self._machine.slices * len(self._storages)

    def _improve_alike(self, buffer: int) -> None:
        """Takes the best layout for one buffer: where all around it is as it was, the same."""
        candidates = self.candidates(buffer)
        around = [(self._kinds[k], self._others(k, buffer)) for k in self.around(buffer)]
        key = (self._apart, buffer in self._in_one_pe, self.layouts[buffer], *around)
        known = self._best.get(key)
        if known is None:
            self.improve(buffer, candidates)
            self._best[key] = self.layouts[buffer]
        else:
            self.layouts[buffer] = known

    def _others(self, k: int, buffer: int) -> tuple[Layout | None, ...]:
        """The layouts of a kernel's buffers but for one; None: that one."""
        bindings = self._bindings[k]
        return tuple([None if p.buffer == buffer else self.layouts[p.buffer] for p in bindings])

    def improve(self, buffer: int, candidates: Iterable[Layout]) -> None:
        """Takes the best of some layouts for one buffer, the others as they stand."""
        around = self.around(buffer)
        if not around:
            return
        best, best_cost = self.layouts[buffer], float("inf")
        for layout in candidates:
            self.layouts[buffer] = layout
            cycles = 0
            for k in around:
                cycles += self.cost(k)
                if cycles > best_cost:
                    break  # whatever the others take, it is not the best
            else:
                cost = cycles + self.waste(buffer)
                if (cost, layout.slice_bytes) < (best_cost, best.slice_bytes):
                    best, best_cost = layout, cost
        self.layouts[buffer] = best

    def cost(self, k: int) -> int:
        """The cycles of a kernel in one step, its buffers in SRAM as they stand."""
        bindings, kind = self._bindings[k], self._kinds[k]
        here = [self.layouts[p.buffer] for p in bindings]
        key = (kind, *[(layout.slices, layout.order, layout.images) for layout in here])
        cycles = self._cycles.get(key)
        if cycles is None:
            *operands, result = [self._tile(p) for p in bindings]
            cycles = self._cycles[key] = self._cost(k, operands).cycles_at(operands, result)
        return cycles

    def _cost(self, k: int, operands: Sequence[SramTile]) -> KernelCost:
        """What a kernel of this kind costs with any tiles."""
        cost = self._costs.get(self._kinds[k])
        if cost is None:
            task, given = self._tasks[k], iter(operands)
            tiles = [None if p is None else next(given) for p in task.operands]
            command = step_command(task, tiles, self._tile(task.result), self._machine)
            cost = self._costs[self._kinds[k]] = KernelCost(command, self._machine)
        return cost

    def alone(self, k: int, slices: int | None = None) -> tuple[int, Layout]:
        """(cycles, layout) of a kernel whose result has a buffer of its own, in the best layout.

        Args:
            k: its number.
            slices: how many there are for the result to lie in; None: the machine's.
        """
        task = self._tasks[k]
        operands = [self._tile(p) for p in task.operands if p is not None]
        extent, element, cost = task.result.extent, task.elements[-1], self._cost(k, operands)
        found = [
            (cost.cycles_at(operands, whole_tile(extent, layout, element)), layout)
            for layout in self._candidates(extent, element, slices)[1]
        ]
        return min(found, key=lambda each: (each[0], each[1].slice_bytes))

    def copy_cost(self, k: int, layout: Layout) -> int:
        """Cycles of a copy of a kernel's result from a buffer of its own to where it is written."""
        task = self._tasks[k]
        source = whole_tile(task.result.extent, layout, task.elements[-1])
        copy = Vector((source,), (), (), self._tile(task.result), 0)
        return command_cost(copy, self._machine).cycles

    def _wholes(self, task: Task) -> Iterator[object]:
        """What buffers a kernel reads and writes: a part of more lies in fewer slices."""
        for binding in (*task.operands, task.result):
            if binding is not None:
                storage = self._storages[binding.buffer]
                yield storage.shape, storage.element

    def _tile(self, binding: OperandBinding) -> SramTile:
        layout, storage = self.layouts[binding.buffer], self._storages[binding.buffer]
        known = self._tiles.get(id(binding))
        if known is not None and known[0] is layout:
            return known[1]  # while a kernel's other buffers have one layout after the other
        tile = SramTile(
            0,
            storage.shape,
            layout.slices,
            layout.order,
            storage.element,
            binding.offset,
            binding.extent,
            layout.images,
        )
        self._tiles[id(binding)] = layout, tile
        return tile


@lru_cache(maxsize=4096)
def _candidates(
    shape: Shape4, element: int, slices: int, line: int, spare: int, apart: bool
) -> tuple[int, Sequence[Layout]]:
    """(bytes of a slice that no layout goes below, the layouts to choose from)."""
    args = shape, element, slices, line
    every, narrow = (
        [x for x in those if apart or x.images == 1]
        for those in (layouts(*args), narrow_layouts(*args))
    )
    smallest = min(layout.slice_bytes for layout in every)
    least = min(layout.rows * layout.channels for layout in every)
    spread = [x for x in every if x.rows * x.channels <= 2 * least]
    most = 2 * smallest + spare
    return smallest, [x for x in (*spread, *narrow) if x.slice_bytes <= most]


def whole_tile(shape: Shape4, layout: Layout, element: int) -> SramTile:
    """All of a buffer in SRAM."""
    origin = (0, 0, 0, 0)
    return SramTile(0, shape, layout.slices, layout.order, element, origin, shape, layout.images)


def _kind(task: Task) -> tuple[object, ...]:
    """What a kernel's cost depends on, but for the buffers that it reads and writes."""
    windows = tuple(
        None if binding is None else (binding.offset, binding.extent)
        for binding in (*task.operands, task.result)
    )
    return task.geometry, windows, task.opcodes, task.roles
