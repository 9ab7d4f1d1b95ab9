"""What `Space.least` says no layouts go below, none does: neither the planner's nor those found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.backends import read_program
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.copy_parts import copy_parts
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.plan_tiles import prepare
from furiosa_ir.backends.warboy.search.chains import Space
from furiosa_ir.backends.warboy.simulator.timeline import cycles
from furiosa_ir.driver import compile_source
from tests.backends.warboy.search.digits import MACHINE, workloads
from tests.backends.warboy.segments import WARBOY, build_function, check
from tests.backends.warboy.test_random_networks import random_network
from tests.conftest import DIGITS
from tests.draws import draws


@settings(max_examples=draws(60), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(1, 8),
    batch=st.integers(1, 2),
    width=st.sampled_from([7, 40, 130]),
)
def test_no_plan_of_a_random_network_takes_less(
    seed: int, length: int, batch: int, width: int
) -> None:
    shape, build = (batch, 3, 9, width), random_network(seed, length, "NCHW")
    function = build_function([shape], build)
    fuse_kernels(function)
    assign_views(function)
    copy_parts(function, WARBOY)
    space = Space([prepare(function, WARBOY).workload], WARBOY)
    took = cycles(check([shape], build))
    assert space.least() <= took


@pytest.mark.parametrize("seconds", [0, 1])
def test_no_search_finds_less(seconds: int) -> None:
    search = f"search-plan{{seconds={seconds}}}," if seconds else ""
    tail = f"fuse-kernels,assign-views,{search}plan-tiles,allocate,schedule"
    made = compile_source(
        DIGITS / "digits_int8.tflite", target="warboy-2pe", passes=f"graph,ftensor,{tail}"
    )
    assert made.enf is not None
    least = Space(workloads(), MACHINE).least()
    assert 0.5 * cycles(read_program(made.enf)) < least <= cycles(read_program(made.enf))
