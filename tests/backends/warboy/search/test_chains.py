"""A chain's costs are those of its layouts, and what it finds depends on its seed alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.planning.decisions import Decisions
from furiosa_ir.backends.warboy.search.chains import Space, jobs, packed
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.native_process import Order
from tests.backends.warboy.search.digits import MACHINE, workloads


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(workloads(), MACHINE)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 300))
def test_a_walk_s_cost_is_that_of_its_layouts(space: Space, seed: int, candidates: int):
    first = Space(workloads(), MACHINE).cost()
    best, cost, end = space.walk(str(seed), space.start, candidates, (1.0, 0.0))
    assert cost <= first
    space.set(best)
    assert space.cost() == cost
    assert space.walk(str(seed), space.start, candidates, (1.0, 0.0)) == (best, cost, end)


def test_a_worker_walks_as_this_process(space: Space):
    options = {"seed": "1/2/3", "start": space.start, "candidates": 500, "heat": [1.0, 0.5]}
    answer = jobs({}, packed(workloads(), MACHINE))["chain"](Order(options, b"", ()))
    best, cost, end = space.walk("1/2/3", space.start, 500, (1.0, 0.5))
    assert answer.value == {"best": best, "cost": cost, "end": end}


def test_decisions_are_text(space: Space):
    best, _, _ = space.walk("7", space.start, 500, (1.0, 0.0))
    (decisions,) = space.decisions(best)
    assert Decisions.from_json(decisions.to_json()) == decisions
    (workload,) = workloads()
    for layout, slicing in zip(
        decisions.layouts(workload.storages, MACHINE), decisions.slicings, strict=True
    ):
        assert (*layout.slices, layout.order, layout.images) == slicing


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "[1]", "[[1,2]]", '{"a":1}', "[" * 100_000),
        *('[[1e999,1,"HWC"]]', '[[1.5,1,"HWC"]]', '[[1,true,"HWC"]]', '["123"]', "[[1,1,3]]"),
    ],
)
def test_another_form_is_refused(text: str):
    with pytest.raises(CompilationFailure, match="no list of slicings"):
        Decisions.from_json(text)


def test_what_no_buffer_can_be_is_refused():
    (workload,) = workloads()
    first, *others = Decisions.of(workload.layouts).slicings
    with pytest.raises(CompilationFailure, match="buffers of"):
        Decisions((first,)).layouts(workload.storages, MACHINE)
    for wrong in (
        (3, 5, "HWC", 1),
        (*first[:2], "CHW", 1),
        (128, 128, "HCW", 1),
        (*first[:3], 2),
    ):
        with pytest.raises(CompilationFailure, match=r"buffer 0, .* cannot lie in"):
            Decisions((wrong, *others)).layouts(workload.storages, MACHINE)
