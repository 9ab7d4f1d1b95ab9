"""Layouts that buffers agree on: of some for each buffer, those with which all kernels take least.

A kernel's cost depends on the layouts of the buffers that it reads and writes, so a choice that is
best for one buffer, the others as they stand, need not be best for all: two may have to change at
once. The least sum over all kernels is found by dynamic programming over the graph of buffers that
share a kernel, which are eliminated one after the other (min-sum variable elimination: Bertele and
Brioschi, Nonserial Dynamic Programming, 1972). Networks are narrow, so tables stay small; where one
would not, a buffer keeps the layout that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from furiosa_ir.backends.warboy.planning.layout_choice import LayoutModel
from furiosa_ir.backends.warboy.planning.layouts import Layout
from furiosa_ir.numerics.array import Array

MOST = 1 << 20
"""Entries of a table: 8 MB."""

Choices = Mapping[int, Sequence[Layout]]
"""Buffer -> the layouts to choose from."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cycles that depend on the choices of some buffers.

    Attributes:
        buffers: which; an axis each.
        cycles: float64, by the number of each buffer's choice.
    """

    buffers: tuple[int, ...]
    cycles: Array


@dataclass(frozen=True, slots=True)
class Agreement:
    """The best choices.

    Attributes:
        cycles: of all kernels.
        chosen: buffer -> the number of its choice.
        is_least: nothing was left out: no choices take fewer cycles.
    """

    cycles: float
    chosen: Mapping[int, int]
    is_least: bool


def evaluations(model: LayoutModel, choices: Choices) -> int:
    """How many costs `kernel_tables` asks for."""
    return sum(
        prod(len(choices[b]) for b in model.buffers(k) if b in choices) for k in model.kernels
    )


def kernel_tables(model: LayoutModel, choices: Choices) -> dict[int, Table]:
    """What each kernel takes, by the choices of its buffers.

    Args:
        model: buffers without choices stay as they are in it.
        choices: of the others.
    """
    kept = list(model.layouts)
    tables: dict[int, Table] = {}
    for k in model.kernels:
        buffers = tuple(b for b in model.buffers(k) if b in choices)
        options = [choices[b] for b in buffers]
        cycles = np.empty([len(o) for o in options])
        for at in product(*(range(len(o)) for o in options)):
            for buffer, option, number in zip(buffers, options, at, strict=True):
                model.layouts[buffer] = option[number]
            cycles[at] = model.cost(k)
        for buffer in buffers:
            model.layouts[buffer] = kept[buffer]
        tables[k] = Table(buffers, cycles)
    return tables


def waste_tables(model: LayoutModel, choices: Choices) -> list[Table]:
    """What the room is worth that buffers waste, by the choice of each."""
    kept = list(model.layouts)
    tables: list[Table] = []
    for buffer, options in choices.items():
        wastes: list[float] = []
        for layout in options:
            model.layouts[buffer] = layout
            wastes.append(model.waste(buffer))
        model.layouts[buffer] = kept[buffer]
        tables.append(Table((buffer,), np.array(wastes)))
    return tables


def at_once(a: Table, b: Table, counts: Mapping[int, int]) -> list[Table]:
    """The cycles of two kernels at the same time: the longer one's.

    Where a table of the buffers of both would be too large, half of each, which is no more.
    """
    axes = tuple(dict.fromkeys((*a.buffers, *b.buffers)))
    if _size(axes, counts) > MOST:
        return [Table(each.buffers, each.cycles / 2) for each in (a, b)]
    return [Table(axes, np.maximum(*(_sum([each], axes, counts) for each in (a, b))))]


def agree(tables: Sequence[Table], counts: Mapping[int, int]) -> Agreement:
    """The choices with the least sum of tables.

    Args:
        tables: whose sum counts.
        counts: buffer -> how many choices it has; the first is what it keeps, where the buffers of
            a table would be too many.
    """
    left = dict(counts)
    tables = list(tables)
    solved: list[tuple[int, tuple[int, ...], Array]] = []
    chosen: dict[int, int] = {}
    while left:
        scopes = {b: _scope(b, tables) for b in left}
        buffer = min(left, key=lambda b: (_size(scopes[b], counts), b))
        if _size(scopes[buffer], counts) > MOST:
            # The one that shares tables with most of the others: they need not ask for it any more.
            kept = max(left, key=lambda b: (len(scopes[b]), -b))
            tables = [_fixed(table, kept) for table in tables]
            chosen[kept] = 0
            del left[kept]
            continue
        mine = [table for table in tables if buffer in table.buffers]
        others = tuple(b for b in scopes[buffer] if b != buffer)
        total = _sum(mine, (*others, buffer), counts)
        solved.append((buffer, others, total.argmin(axis=-1)))
        tables = [table for table in tables if buffer not in table.buffers]
        tables.append(Table(others, total.min(axis=-1)))
        del left[buffer]
    is_least = not chosen
    for buffer, others, best in reversed(solved):
        chosen[buffer] = int(best[tuple(chosen[b] for b in others)])
    return Agreement(float(sum(float(table.cycles) for table in tables)), chosen, is_least)


def _scope(buffer: int, tables: Sequence[Table]) -> tuple[int, ...]:
    """The buffers that share a table with one, and that one."""
    found = {buffer: None}
    for table in tables:
        if buffer in table.buffers:
            found |= dict.fromkeys(table.buffers)
    return tuple(found)


def _size(scope: Sequence[int], counts: Mapping[int, int]) -> int:
    return prod(counts[b] for b in scope)


def _sum(tables: Sequence[Table], axes: Sequence[int], counts: Mapping[int, int]) -> Array:
    """The sum of tables, with these buffers as axes."""
    total = np.zeros([counts[b] for b in axes])
    for table in tables:
        order = sorted(range(len(table.buffers)), key=lambda i: axes.index(table.buffers[i]))
        there = [table.buffers[i] for i in order]
        shape = [counts[b] if b in there else 1 for b in axes]
        total += table.cycles.transpose(order).reshape(shape)
    return total


def _fixed(table: Table, buffer: int) -> Table:
    """A table with one buffer's first choice made."""
    if buffer not in table.buffers:
        return table
    axis = table.buffers.index(buffer)
    others = tuple(b for b in table.buffers if b != buffer)
    return Table(others, table.cycles.take(0, axis=axis))
