"""A chain of the search: from layouts to layouts, one buffer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Any, cast

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.planning.decisions import Decisions
from furiosa_ir.backends.warboy.planning.estimate import buffer_cycles
from furiosa_ir.backends.warboy.planning.layout_choice import LayoutModel
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.backends.warboy.planning.overlap import is_large_output, large_input
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.backends.warboy.search.plain_data import decode, encode
from furiosa_ir.native_process import Answer, Job, Order

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

    def least(self) -> int:
        """Cycles of a run that no state goes below.

        Each kernel takes no less than with the layouts that suit it alone, and all begin when the
        one before is done: the first not before its input is there, of a large one (`overlap`) the
        second not before all of it is; behind the last there is a store.
        """
        machine, total = self._machine, 0
        for number, workload in enumerate(self._workloads):
            kernels, storages = self._least_of(number), workload.storages
            if not kernels:
                continue
            first, last = workload.tasks[min(kernels)], workload.tasks[max(kernels)]
            arguments = [
                storages[b]
                for b in first.reads
                if (known := storages[b].allocation) is not None and known.kind == "argument"
            ]
            load = sum(buffer_cycles(storage, machine) for storage in arguments)
            if large_input(workload, first) is not None:
                load = max(load - kernels[first.number], 0)
            latencies, store, made = bool(arguments), 0, storages[last.result.buffer]
            if made.stored and not workload.copies:
                large = is_large_output(workload, last)
                store = machine.dma_descriptor_cycles if large else buffer_cycles(made, machine)
                latencies += 1
            work = sum(kernels.values())
            # Of two at the same time, only the longer one takes time.
            work -= sum(min(kernels[a], kernels[b]) for b, a in workload.pairs.items())
            total += load + work + store + latencies * machine.dma_latency_cycles
        return total

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
