"""Dynamic programming over layouts: no choices take less, and a network's kernels agree."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.planning import layout_agreement
from furiosa_ir.backends.warboy.planning.layout_agreement import Agreement, Table, agree, at_once
from furiosa_ir.backends.warboy.search.chains import Space
from tests.backends.warboy.search.digits import MACHINE, workloads

COUNTS = {buffer: 1 + buffer % 4 for buffer in range(7)}


@st.composite
def sums(draw: st.DrawFn) -> list[Table]:
    """Kernels of up to three of seven buffers."""
    tables: list[Table] = []
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    for _ in range(draw(st.integers(1, 9))):
        buffers = tuple(draw(st.permutations(range(7)))[: draw(st.integers(0, 3))])
        cycles = rng.integers(0, 99, [COUNTS[b] for b in buffers])
        tables.append(Table(buffers, np.asarray(cycles, np.float64)))
    return tables


def cycles_of(tables: list[Table], chosen: dict[int, int]) -> float:
    return sum(float(t.cycles[tuple(chosen[b] for b in t.buffers)]) for t in tables)


def hold(tables: list[Table], found: Agreement) -> None:
    """The choices take what is said."""
    assert set(found.chosen) == set(COUNTS)
    assert cycles_of(tables, dict(found.chosen)) == found.cycles


@given(sums())
def test_no_choices_take_less(tables: list[Table]) -> None:
    found = agree(tables, COUNTS)
    hold(tables, found)
    assert found.is_least
    every = product(*(range(count) for count in COUNTS.values()))
    assert found.cycles == min(
        cycles_of(tables, dict(zip(COUNTS, each, strict=True))) for each in every
    )


@given(tables=sums(), most=st.sampled_from([1, 4, 12]))
def test_what_would_be_too_large_keeps_what_it_has(tables: list[Table], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout_agreement, "MOST", most)
        found = agree(tables, COUNTS)
    hold(tables, found)
    assert found.cycles <= cycles_of(tables, dict.fromkeys(COUNTS, 0))
    assert found.is_least or agree(tables, COUNTS).cycles <= found.cycles


@given(tables=sums(), most=st.sampled_from([1, 1 << 20]))
def test_two_at_once_take_no_less_than_is_said(tables: list[Table], most: int) -> None:
    a, b = tables[0], tables[-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout_agreement, "MOST", most)
        both = at_once(a, b, COUNTS)
    for each in product(*(range(count) for count in COUNTS.values())):
        chosen = dict(zip(COUNTS, each, strict=True))
        longer = max(cycles_of([a], chosen), cycles_of([b], chosen))
        assert cycles_of(both, chosen) == longer if len(both) == 1 else True
        assert cycles_of(both, chosen) <= longer


def test_the_kernels_of_a_network_agree() -> None:
    """The state is one of the space's, and no walk goes below it."""
    space = Space(workloads(), MACHINE)
    before = space.cost()
    space.set(space.agreed())
    agreed = space.cost()
    assert agreed <= before
    space.set(space.start)
    _, cost, _ = space.walk("1", space.start, 5000, (1.0, 0.0))
    assert agreed <= cost
