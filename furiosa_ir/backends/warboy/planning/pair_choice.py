"""Which kernels the two PEs work on at the same time, one each, and in which order all then stand.

Fused PEs share each kernel: a small one is over before 128 slices have agreed that it is, and its
channels do not fill them. Two kernels that need nothing of each other may run beside each other
instead, each over the slices of one PE (`enf.records`). That pays where both together, over 64
slices each, take less than one after the other over 128.

The choice is greedy: the pair that saves most first, as long as some order of all kernels has the
two of each pair next to each other. Pairs bring kernels forward, and buffers live longer for it:
the widest pairs are given up until the buffers still fit beside all parameters, or are no more than
before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import islice, takewhile

from xdsl.ir import Block, Operation

from furiosa_ir.backends.warboy.machine import PE_SLICES, Machine
from furiosa_ir.backends.warboy.planning.buffers import Storage
from furiosa_ir.backends.warboy.planning.layout_choice import LayoutModel
from furiosa_ir.backends.warboy.planning.layouts import flat_bytes
from furiosa_ir.backends.warboy.planning.overlap import are_together
from furiosa_ir.backends.warboy.planning.pairs import is_able
from furiosa_ir.backends.warboy.planning.tiles import Task

LEAST_SHARE = 20
"""A pair saves at least a twentieth of what its kernels take: below, costs are not that exact."""

LEAST_GAIN = 200
"""All pairs save at least a two-hundredth of the run: another order costs something, too."""

REACH = 64
"""Kernels between the two of a pair, at most: a bound on what is compared."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kernels that run at the same time.

    Attributes:
        first, second: their numbers, in the order of the program.
        apart: cycles of one after the other, over all slices.
        together: cycles of both at once, over one PE's slices each.
    """

    first: int
    second: int
    apart: int
    together: int


def needs(block: Block, kernels: Sequence[Operation]) -> list[int]:
    """For each kernel the kernels that have to run before it, as bits."""
    number = {kernel: k for k, kernel in enumerate(kernels)}
    before: dict[Operation, int] = {}
    found = [0] * len(kernels)
    for op in block.ops:
        bits = 0
        for operand in op.operands:
            owner = operand.owner
            if isinstance(owner, Operation):
                bits |= before.get(owner, 0)
        k = number.get(op)
        if k is not None:
            found[k] = bits
            bits |= 1 << k
        before[op] = bits
    return found


def is_chain(needed: Sequence[int]) -> bool:
    """Whether each kernel needs all in front of it, so that no two may run at the same time."""
    return all(bits == (1 << k) - 1 for k, bits in enumerate(needed))


def choose_pairs(
    needed: Sequence[int],
    tasks: Mapping[int, Task],
    storages: Sequence[Storage],
    machine: Machine,
) -> list[Pair]:
    """The pairs that save time, as far as they go together.

    Args:
        needed: of `needs`.
        tasks: the kernels of a segment that are no copies in DRAM.
        storages: its buffers.
        machine: the target, of more than one PE.
    """
    able = [k for k, task in tasks.items() if is_able(task, storages)]
    possible = [
        (a, b)
        for place, a in enumerate(able)
        for b in takewhile(lambda b, a=a: b - a <= REACH, islice(able, place + 1, None))
        if not needed[b] >> a & 1 and are_together(tasks[a], tasks[b])
    ]
    if not possible:
        return []
    model = LayoutModel(tasks, storages, machine)
    model.improve_all()
    whole = {k: model.cost(k) for pair in possible for k in pair}
    half = {k: model.alone(k, PE_SLICES)[0] for k in whole}
    pairs = [Pair(a, b, whole[a] + whole[b], max(half[a], half[b])) for a, b in possible]
    saving = [p for p in pairs if (p.apart - p.together) * LEAST_SHARE >= p.apart]
    saving.sort(key=lambda p: (p.together - p.apart, p.second - p.first, p.first))
    order = Order(needed)
    chosen = [pair for pair in saving if order.join(pair)]
    total = sum(model.cost(k) for k in tasks)
    if sum(p.apart - p.together for p in chosen) * LEAST_GAIN < total:
        return []
    room = _Room(tasks, storages, model, machine)
    while chosen and not room.suffices(order_of(needed, chosen)):
        chosen.remove(max(chosen, key=lambda p: p.second - p.first))
    return chosen


class Order:
    """What comes before what, once some kernels are joined.

    Args:
        needed: of `needs`.
    """

    def __init__(self, needed: Sequence[int]) -> None:
        self._before = list(needed)
        self._paired = 0

    def join(self, pair: Pair) -> bool:
        """Joins two kernels, if neither has to come before the other, nor is joined already."""
        a, b = pair.first, pair.second
        before, both = self._before, 1 << a | 1 << b
        if self._paired & both or before[b] >> a & 1 or before[a] >> b & 1:
            return False
        self._paired |= both
        earlier = before[a] | before[b]
        for k, bits in enumerate(before):
            if bits & both:
                before[k] = bits | both | earlier
        before[a] = before[b] = earlier
        return True


def order_of(needed: Sequence[int], pairs: Sequence[Pair]) -> list[int]:
    """The kernels in an order that has pairs next to each other; else they stay as they are."""
    partner = {p.first: p.second for p in pairs}
    partner |= {p.second: p.first for p in pairs}
    waits = {k: needed[k] for k in range(len(needed))}
    for pair in pairs:
        waits[pair.first] = waits[pair.second] = needed[pair.first] | needed[pair.second]
    nodes = [k for k in waits if partner.get(k, len(waits)) > k]
    ready = [k for k in nodes if not waits[k]]
    heapify(ready)
    left, done = set(nodes) - set(ready), 0
    order: list[int] = []
    while ready:
        k = heappop(ready)
        for each in (k, partner[k]) if k in partner else (k,):
            order.append(each)
            done |= 1 << each
        for other in [o for o in left if not waits[o] & ~done]:
            left.remove(other)
            heappush(ready, other)
    return order


class _Room:
    """What buffers take of a slice, in one order of the kernels or another."""

    def __init__(
        self,
        tasks: Mapping[int, Task],
        storages: Sequence[Storage],
        model: LayoutModel,
        machine: Machine,
    ) -> None:
        self._uses = [
            (layout.slice_bytes, (*storage.writers, *storage.readers))
            for storage, layout in zip(storages, model.layouts, strict=True)
            if storage.writers or storage.readers
        ]
        # Passes over a batch read the same ones.
        parameters = {
            value: flat_bytes(p.size, machine)
            for task in tasks.values()
            for value, p in zip(task.op.inputs, task.geometry.parameters, strict=True)
            if p is not None
        }
        before = self._most(range(1 + max(tasks)))
        self._limit = max(before, machine.slice_bytes - sum(parameters.values()))

    def suffices(self, order: Sequence[int]) -> bool:
        """Whether the buffers fit beside all parameters, or take no more than before."""
        return self._most(order) <= self._limit

    def _most(self, order: Sequence[int]) -> int:
        at = {k: place for place, k in enumerate(order)}
        change = [0] * (len(order) + 1)
        for size, uses in self._uses:
            places = [at[k] for k in uses if k in at]
            change[min(places)] += size
            change[max(places) + 1] -= size
        most = taken = 0
        for each in change:
            taken += each
            most = max(most, taken)
        return most


def reordered(operations: Sequence[Operation], order: Sequence[Operation]) -> Iterator[Operation]:
    """All operations of a block, its kernels in a new order, each other one before who needs it."""
    done: set[Operation] = set()

    def take(op: Operation) -> Iterator[Operation]:
        stack = [(op, False)]
        while stack:
            each, is_ready = stack.pop()
            if each in done:
                continue
            if is_ready:
                done.add(each)
                yield each
                continue
            stack.append((each, True))
            owners = [v.owner for v in each.operands]
            stack += [(o, False) for o in reversed(owners) if isinstance(o, Operation)]

    for op in (*order, *operations):
        yield from take(op)
