"""The machine's parameters and the performance model."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from furiosa_ir.backends.warboy.command_cost import (
    KernelCost,
    busiest_slice,
    command_cost,
    contiguous_runs,
)
from furiosa_ir.backends.warboy.enf.records import (
    Dot,
    DramTile,
    Load,
    Pool,
    SramFlat,
    SramTile,
    Vector,
)
from furiosa_ir.backends.warboy.machine import Machine, load_machine
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import CompilationFailure, FormatFailure


def test_published_numbers():
    one, two = load_machine("warboy"), load_machine("warboy-2pe")
    assert (one.slices, two.slices) == (64, 128)
    assert (one.sram_bytes, two.sram_bytes) == (16 << 20, 32 << 20)
    assert one.dram_bytes == 16 << 30
    assert one.dram_bytes_per_cycle == 33
    tops = two.macs_per_cycle * 2 * two.clock_hz / 1e12
    assert 64 <= tops < 66


def test_parameters_round_trip():
    machine = load_machine("warboy")
    assert Machine.from_parameters(machine.parameters()) == machine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_slices": 0}, "not positive"),
        ({"what": 1}, "unknown"),
        ({"mac_width": None}, "missing"),
    ],
)
def test_wrong_parameters(change, message):
    parameters = {**load_machine("warboy").parameters(), **change}
    with pytest.raises(FormatFailure, match=message):
        Machine.from_parameters({k: v for k, v in parameters.items() if v is not None})


def test_unknown_target():
    with pytest.raises(CompilationFailure, match="no target 'warboy3'"):
        load_machine("warboy3")


def test_contiguous_runs():
    assert contiguous_runs((2, 3, 4, 5), (60, 20, 5, 1), 1) == (120, 1)
    assert contiguous_runs((1, 3, 4, 5), (999, 40, 5, 1), 1) == (20, 3)
    assert contiguous_runs((1, 4, 4, 3), (48, 4, 1, 16), 1) == (48, 1)  # NCHW
    assert contiguous_runs((1, 1, 1, 8), (0, 0, 0, 0), 4) == (4, 1)


def tile(shape, slices, order="HWC", **window):
    whole = {"offset": (0, 0, 0, 0), "extent": shape, **window}
    return SramTile(0, shape, slices, order, 1, **whole)


def test_busiest_slice_has_the_ceiling_of_the_partition():
    assert busiest_slice(tile((1, 56, 56, 60), (8, 16))) == (1, 7, 56, 4)
    part = tile((1, 56, 56, 64), (8, 16), offset=(0, 5, 0, 0), extent=(1, 4, 56, 64))
    assert busiest_slice(part)[1] == 2


def convolution(machine, slices=(8, 16), **changes):
    x, y = tile((1, 56, 56, 64), slices), tile((1, 56, 56, 64), slices)
    command = Dot(
        x, SramFlat(0, 36864, 576), (64, 3, 3, 64), None, (1, 1), (1, 1), (1, 1), (1, 1, 1, 1),
        1, 0, 0, False, (), (), (), y, 0,
    )  # fmt: skip
    return command_cost(replace(command, **changes), machine)


def test_a_convolution_that_fills_the_array_comes_near_its_peak():
    machine = load_machine("warboy-2pe")
    cost = convolution(machine)
    macs = 56 * 56 * 64 * 64 * 9
    assert cost.bound == "dot"
    busy = cost.dot * machine.dot_efficiency_percent / 100
    assert 0.9 < macs / (busy * machine.macs_per_cycle) <= 1.001


def test_half_the_slices_take_twice_the_time():
    machine = load_machine("warboy-2pe")
    assert convolution(machine, (4, 16)).dot == pytest.approx(2 * convolution(machine).dot, abs=2)


def test_dma_costs_its_bytes_and_a_latency():
    machine = load_machine("warboy")
    source = DramTile("workspace", 0, (1, 56, 56, 64), (200704, 3584, 64, 1), 1)
    cost = command_cost(Load(source, tile((1, 56, 56, 64), (8, 8)), 0), machine)
    assert cost.dma == -(-200704 // 33) + machine.dma_descriptor_cycles
    assert cost.cycles == cost.dma + machine.dma_latency_cycles
    assert cost.occupancy == cost.dma
    # Single bytes far apart cost a burst each.
    scattered = replace(source, strides=(0, 3584 * 32, 64 * 32, 32), extent=(1, 56, 56, 64))
    target = tile((1, 56, 56, 64), (8, 8))
    assert command_cost(Load(scattered, target, 0), machine).dma > 30 * cost.dma


def test_vector_is_bound_by_its_slowest_unit():
    machine = load_machine("warboy")
    x = tile((1, 56, 56, 64), (8, 8))
    cost = command_cost(Vector((x, x), (), (), x, 0), machine)
    assert cost.cycles == max(cost.fetch, cost.vector, cost.commit) + cost.warmup


def test_a_kernels_cost_follows_its_tiles():
    """What is kept of a kernel depends on none of them."""
    machine = load_machine("warboy-2pe")
    layouts = [((1, 64), "HWC"), ((4, 16), "HCW"), ((56, 2), "HCW"), ((8, 8), "HWC")]
    tiles = [replace(tile((1, 56, 56, 64), slices), order=order) for slices, order in layouts]
    lookup = (Instruction("lookup", ()),)
    x = tiles[0]
    kernels = (
        Vector((x, x), (), lookup, x, 0),
        Pool(x, "max", (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 0, (x,), (), lookup, x, 0),
    )
    for kernel in kernels:
        cost = KernelCost(kernel, machine)
        found: set[int] = set()
        for first, second, result in product(tiles, repeat=3):
            if isinstance(kernel, Vector):
                moved = replace(kernel, operands=(first, second), result=result)
            else:
                moved = replace(kernel, x=first, operands=(second,), result=result)
            assert cost.at((first, second), result) == command_cost(moved, machine)
            found.add(cost.at((first, second), result).cycles)
        assert len(found) > 4
