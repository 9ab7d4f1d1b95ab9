"""Plans that do not keep to their limits are given up, and no others."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.backends.warboy.passes.plan_tiles import prepare
from furiosa_ir.backends.warboy.planning.limits import Limits
from furiosa_ir.backends.warboy.planning.live_ranges import SramPlan, plan_live_ranges
from furiosa_ir.backends.warboy.planning.pinning import is_resident, plan_program, plan_resident
from furiosa_ir.backends.warboy.planning.run_estimate import run_cycles
from furiosa_ir.backends.warboy.planning.workload import Workload
from furiosa_ir.errors import CompilationFailure
from tests.backends.warboy.segments import build_function, small_machine
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws


def drawn(seed: int, machine: Machine) -> Workload:
    """A network that the machine may have no room for."""
    function = build_function([[1, 3, 6, 40]], random_network(seed, 10, "NCHW"))
    fuse_kernels(function)
    assign_views(function)
    return prepare(function, machine).workload


def planned(workload: Workload, machine: Machine, limits: Limits) -> SramPlan | None:
    """A plan with nothing pinned; None if there is none."""
    try:
        return plan_live_ranges(workload, machine, machine.slice_bytes, frozenset(), limits)
    except CompilationFailure:
        return None


SEEDS = st.integers(0, 1 << 16)
MACHINES = st.sampled_from([small_machine(bytes_, 4) for bytes_ in (1024, 2048, 8192)])


@given(SEEDS, MACHINES)
@settings(max_examples=draws(60), deadline=None)
def test_a_sweep_gives_up_what_takes_too_long_and_nothing_else(seed: int, machine: Machine) -> None:
    workload = drawn(seed, machine)
    plan = planned(workload, machine, Limits())
    assume(plan is not None)
    assert plan is not None
    cycles = run_cycles(workload, plan, machine)
    assert planned(workload, machine, Limits(cycles * 1.001 + 1)) == plan
    assert planned(workload, machine, Limits(cycles / 50)) is None


@given(SEEDS, MACHINES)
@settings(max_examples=draws(60), deadline=None)
def test_where_all_is_to_stay_it_does(seed: int, machine: Machine) -> None:
    workload = drawn(seed, machine)
    resident = plan_resident([workload], machine)
    try:
        (best,) = plan_program([workload], machine)
    except CompilationFailure:
        assert resident is None
        return
    if resident is not None:
        assert is_resident(workload, resident[0])
        cycles = run_cycles(workload, resident[0].sram, machine)
        assert plan_resident([workload], machine, least=cycles) is None
    else:
        assert not is_resident(workload, best)


@pytest.mark.parametrize("seed", range(4))
def test_plans_that_something_else_beats_are_left_out(seed: int) -> None:
    machine = small_machine(2048, 4)
    workload = drawn(seed, machine)
    best = plan_program([workload], machine)
    cycles = run_cycles(workload, best[0].sram, machine)
    assert plan_program([workload], machine, least=cycles + 1) == best
    with_less = plan_program([workload], machine, least=cycles / 2)
    assert run_cycles(workload, with_less[0].sram, machine) >= cycles
