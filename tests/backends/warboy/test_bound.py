"""No run is below the bound of its program, whatever network and machine it is for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xdsl.ir import Block, SSAValue

from furiosa_ir.backends.warboy.bound import run_bound
from furiosa_ir.backends.warboy.costs import program_costs
from furiosa_ir.backends.warboy.machine import Machine, load_machine
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import (
    WARBOY,
    Build,
    build_function,
    compile_segment,
    make_program,
    small_machine,
)
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws

MACHINES = (
    WARBOY,
    load_machine("warboy-2pe"),
    small_machine(4096, 8),
    small_machine(16384, 2),
    small_machine(16384, 64),
)


def hold(shapes: Sequence[Sequence[int]], build: Build, machine: Machine) -> None:
    """Compiles a network and compares bound and traffic with its run's."""
    function = build_function(shapes, build)
    returned = function.body.block.last_op
    assert returned is not None
    outputs = [shape_of(value) for value in returned.operands]
    segment, layers = compile_segment(function, machine)
    program = make_program(segment, layers, shapes, outputs, machine)
    bound, costs = run_bound(program), program_costs(program)
    assert bound.cycles <= costs.cycles
    assert bound.dram_bytes <= bound.traffic_bytes
    assert sum(c.macs for c in costs.layers.values()) <= bound.cycles * machine.macs_per_cycle


def without_dead_values(build: Build) -> Build:
    """The same network, which returns everything that nothing uses."""

    def whole(emit: Emitter, args: list[SSAValue]) -> list[SSAValue]:
        build(emit, args)
        block = args[0].owner
        assert isinstance(block, Block)
        made: list[SSAValue] = [v for op in block.ops for v in op.results if not v.uses]
        return made or args

    return whole


@settings(max_examples=draws(15), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(1, 8),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    batch=st.sampled_from([1, 2, 5]),
    channels=st.sampled_from([1, 3, 33, 257]),
    height=st.sampled_from([1, 2, 9, 65]),
    width=st.sampled_from([1, 7, 33]),
    machine=st.sampled_from(MACHINES),
)
def test_no_run_is_below_its_bound(
    seed: int,
    length: int,
    layout: str,
    batch: int,
    channels: int,
    height: int,
    width: int,
    machine: Machine,
) -> None:
    at = {"N": batch, "C": channels, "H": height, "W": width}
    assume(np.prod(list(at.values())) <= 6000)
    build = without_dead_values(random_network(seed, length, layout))
    try:
        hold([[at[d] for d in layout]], build, machine)
    except CompilationFailure:
        assume(False)


@pytest.mark.parametrize("rows", [1, 4, 9])
def test_a_copy_of_a_part_of_an_input(rows: int) -> None:
    """One transfer with one latency, and no more than that part of the input."""
    hold([(1, 9, 65, 5)], lambda e, a: Pieces(e).slice(a[0], [0] * 4, [1, rows, 9, 5]), WARBOY)


def test_an_input_under_another_shape() -> None:
    """Nothing is done for it."""
    hold([(1, 4, 4, 8)], lambda e, a: Pieces(e).reshape(a[0], 1, 128), WARBOY)


@pytest.mark.parametrize("images", [2, 6, 16])
def test_images_in_slices_of_their_own(images: int) -> None:
    """As many slices as rows of all images share no channels."""

    def build(e: Emitter, a: list[SSAValue]) -> SSAValue:
        p = Pieces(e)
        return p.conv(p.conv(a[0], 4, strides=(2, 2)), 17)

    for machine in MACHINES:
        hold([(images, 2, 2, 3)], build, machine)
