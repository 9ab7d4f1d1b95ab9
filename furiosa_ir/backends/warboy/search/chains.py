"""A chain of the search: from layouts to layouts, one buffer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil
from random import Random
from typing import Any, cast

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.decisions import Decisions
from furiosa_ir.backends.warboy.planning.estimate import buffer_cycles
from furiosa_ir.backends.warboy.planning.layout_agreement import (
    Table,
    agree,
    at_once,
    evaluations,
    kernel_tables,
    waste_tables,
)
from furiosa_ir.backends.warboy.planning.layout_choice import LayoutModel
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.overlap import is_large_output, large_input
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.backends.warboy.search.plain_data import decode, encode
from furiosa_ir.native_process import Answer, Job, Order

EVALUATIONS = 300_000
"""Costs of kernels that dynamic programming may ask for: three seconds."""

HEAT = 0.25
"""Of a kernel's mean cycles: how much worse a step may be in the beginning, at most."""


@dataclass(frozen=True)
class Free:
    """A decision: the layout of a buffer.

    Attributes:
        segment: whose buffer.
        buffer: its number there.
        layouts: to choose from; the first is the planner's own.
        around: kernels that write or read it.
    """

    segment: int
    buffer: int
    layouts: tuple[Layout, ...]
    around: tuple[int, ...]


class Space:
    """The layouts of all buffers of a program; a state is a number for each that is free.

    Args:
        workloads: of each segment, planned by the planner's own decisions.
        machine: the target.
    """

    def __init__(self, workloads: Sequence[Workload], machine: Machine) -> None:
        self._models = [LayoutModel(w.tasks, w.storages, machine) for w in workloads]
        self._free: list[Free] = []
        for number, (workload, model) in enumerate(zip(workloads, self._models, strict=True)):
            model.layouts = list(workload.layouts)
            for buffer, known in enumerate(workload.layouts):
                around = model.around(buffer)
                choices = tuple(dict.fromkeys((known, *model.candidates(buffer))))
                if around and len(choices) > 1:
                    self._free.append(Free(number, buffer, choices, around))
        self._workloads, self._machine = workloads, machine
        self._kernels = sum(len(w.tasks) for w in workloads)

    @property
    def start(self) -> list[int]:
        """The planner's own state."""
        return [0] * len(self._free)

    def set(self, state: Sequence[int]) -> None:
        """Takes a state's layouts."""
        for free, choice in zip(self._free, state, strict=True):
            self._models[free.segment].layouts[free.buffer] = free.layouts[choice]

    def cost(self) -> float:
        """Cycles of all kernels as they stand, and of what buffers waste."""
        kernels = sum(m.cost(k) for m in self._models for k in m.kernels)
        return kernels + sum(self._models[f.segment].waste(f.buffer) for f in self._free)

    def agreed(self) -> list[int]:
        """The state that dynamic programming finds, of as many layouts as its time allows."""
        state = self.start
        for number, model in enumerate(self._models):
            mine = {f.buffer: at for at, f in enumerate(self._free) if f.segment == number}
            choices = self._choices(number, within=EVALUATIONS)
            tables = (*kernel_tables(model, choices).values(), *waste_tables(model, choices))
            found = agree(tables, {b: len(layouts) for b, layouts in choices.items()})
            for buffer, number_chosen in found.chosen.items():
                every = self._free[mine[buffer]].layouts
                state[mine[buffer]] = every.index(choices[buffer][number_chosen])
        return state

    def _choices(self, number: int, within: int | None = None) -> dict[int, tuple[Layout, ...]]:
        """The layouts of a segment's buffers.

        Args:
            number: of the segment.
            within: how many costs of kernels may be asked for: so many layouts of each buffer are
                left as that allows, those that suit the kernels around it best; None: all.
        """
        model = self._models[number]
        choices = {f.buffer: f.layouts for f in self._free if f.segment == number}
        keep = max(map(len, choices.values()), default=0)
        ranked = choices
        while within is not None and keep > 1 and evaluations(model, choices) > within:
            if ranked is choices:
                ranked = {f.buffer: self._ranked(f) for f in self._free if f.segment == number}
            keep = keep * 2 // 3
            choices = {b: layouts[:keep] for b, layouts in ranked.items()}
        return choices

    def _ranked(self, free: Free) -> tuple[Layout, ...]:
        """A buffer's layouts: the one that it has, then the best for the kernels around it."""
        model = self._models[free.segment]
        kept = model.layouts[free.buffer]
        costs: list[tuple[float, int]] = []
        for at, layout in enumerate(free.layouts):
            model.layouts[free.buffer] = layout
            costs.append((self._local(model, free), at))
        model.layouts[free.buffer] = kept
        (own,) = [at for at, layout in enumerate(free.layouts) if layout == kept]
        order = [own, *(at for _, at in sorted(costs) if at != own)]
        return tuple(free.layouts[at] for at in order)

    def least(self) -> int:
        """Cycles of a run that no state goes below.

        All kernels begin when the one before is done: the first not before its input is there, of a
        large one (`overlap`) the second not before all of it is; behind the last there is a store.
        The kernels together take no less than with the layouts that they agree on best, or, where
        those are too many to compare, each with the layouts that suit it alone.
        """
        machine, total = self._machine, 0
        for number, workload in enumerate(self._workloads):
            storages = workload.storages
            if not workload.tasks:
                continue
            first, last = workload.tasks[min(workload.tasks)], workload.tasks[max(workload.tasks)]
            arguments = [
                storages[b]
                for b in first.reads
                if (known := storages[b].allocation) is not None and known.kind == "argument"
            ]
            load = sum(buffer_cycles(storage, machine) for storage in arguments)
            whole, behind = self._kernels_least(number, first.number)
            large = large_input(workload, first) is not None
            work = max(whole, load + behind) if large else load + whole
            latencies, store, made = bool(arguments), 0, storages[last.result.buffer]
            if made.stored and not workload.copies:
                large = is_large_output(workload, last)
                store = machine.dma_descriptor_cycles if large else buffer_cycles(made, machine)
                latencies += 1
            total += ceil(work) + store + latencies * machine.dma_latency_cycles
        return total

    def _kernels_least(self, number: int, first: int) -> tuple[float, float]:
        """Cycles that all kernels of a segment take at least, and all but the first one."""
        workload, model = self._workloads[number], self._models[number]
        choices = self._choices(number)
        if evaluations(model, choices) <= EVALUATIONS:
            tables = kernel_tables(model, choices)
            counts = {b: len(layouts) for b, layouts in choices.items()}
            for every in (_longer(tables, workload, counts), _halved(tables, workload)):
                found = [
                    agree([t for k, those in every.items() if k != without for t in those], counts)
                    for without in (None, first)
                ]
                if all(each.is_least for each in found):
                    whole, behind = (each.cycles for each in found)
                    return whole, behind
        alone = self._least_of(number)
        total = sum(alone.values())
        total -= sum(min(alone[a], alone[b]) for b, a in workload.pairs.items())
        return total, total - alone[first]

    def _least_of(self, number: int) -> dict[int, int]:
        """Kernel -> cycles with the layouts that suit it alone, of a segment."""
        choices = {free.buffer: free.layouts for free in self._free if free.segment == number}
        model, known, found = self._models[number], dict[object, int](), dict[int, int]()
        kept = list(model.layouts)
        for k in model.kernels:
            buffers = model.buffers(k)
            options = [choices.get(b, (kept[b],)) for b in buffers]
            key = model.kind(k), *options
            if key not in known:
                known[key] = min(self._costs(model, k, buffers, options))
            found[k] = known[key]
        model.layouts = kept
        return found

    @staticmethod
    def _costs(
        model: LayoutModel,
        k: int,
        buffers: Sequence[int],
        options: Sequence[Sequence[Layout]],
    ) -> Iterator[int]:
        for chosen in product(*options):
            for buffer, layout in zip(buffers, chosen, strict=True):
                model.layouts[buffer] = layout
            yield model.cost(k)

    def decisions(self, state: Sequence[int]) -> list[Decisions]:
        """What a state means, for each segment."""
        self.set(state)
        return [Decisions.of(model.layouts) for model in self._models]

    def walk(
        self, seed: str, start: Sequence[int], candidates: int, heat: tuple[float, float]
    ) -> tuple[list[int], float, list[int]]:
        """(the best state on the way, its cost, the last state) of a chain.

        Args:
            seed: of its random numbers.
            start: where it begins.
            candidates: how many states it looks at.
            heat: from 1, at which much is accepted, to 0.
        """
        random, state = Random(seed), list(start)  # noqa: S311  # no secret
        self.set(state)
        cost = self.cost()
        best, least = list(state), cost
        degree = HEAT * cost / max(self._kernels, 1)
        for number in range(candidates if self._free else 0):
            at = int(random.random() * len(self._free))
            free = self._free[at]
            choice = int(random.random() * len(free.layouts))
            limit = degree * (heat[0] + (heat[1] - heat[0]) * number / candidates)
            limit *= random.random()
            if choice == state[at]:
                continue
            model = self._models[free.segment]
            before = self._local(model, free)
            model.layouts[free.buffer] = free.layouts[choice]
            change = self._local(model, free) - before
            if change > limit:
                model.layouts[free.buffer] = free.layouts[state[at]]
                continue
            state[at] = choice
            cost += change
            if cost < least:
                best, least = list(state), cost
        self.set(best)
        return best, self.cost(), state  # without what the sum has gathered of roundings

    @staticmethod
    def _local(model: LayoutModel, free: Free) -> float:
        return sum(map(model.cost, free.around)) + model.waste(free.buffer)


def _longer(
    tables: Mapping[int, Table], workload: Workload, counts: Mapping[int, int]
) -> dict[int, list[Table]]:
    """Kernel -> its cycles; of two at the same time those of the longer one."""
    pairs = workload.pairs
    taken = {*pairs, *pairs.values()}
    every = {k: [table] for k, table in tables.items() if k not in taken}
    return every | {a: at_once(tables[a], tables[b], counts) for b, a in pairs.items()}


def _halved(tables: Mapping[int, Table], workload: Workload) -> dict[int, list[Table]]:
    """Kernel -> its cycles; half of them of two at the same time: the longer takes no less."""
    taken = {*workload.pairs, *workload.pairs.values()}
    return {k: [Table(t.buffers, t.cycles / (1 + (k in taken)))] for k, t in tables.items()}


def packed(workloads: Sequence[Workload], machine: Machine) -> bytes:
    """What workers need, as JSON: no IR, no weights."""
    bare = [
        replace(w, tasks={k: replace(t, op=cast("Any", None)) for k, t in w.tasks.items()})
        for w in workloads
    ]
    return encode((bare, machine))


def jobs(_options: Mapping[str, Any], data: bytes) -> Mapping[str, Job]:
    """`chain`: see `schedule_search.search`."""
    workloads, machine = decode(data)
    space = Space(workloads, machine)

    def chain(order: Order) -> Answer:
        given = order.options
        hot, cold = given["heat"]
        best, cost, end = space.walk(
            given["seed"], given["start"], given["candidates"], (hot, cold)
        )
        return Answer({"best": best, "cost": cost, "end": end})

    return {"chain": chain}
