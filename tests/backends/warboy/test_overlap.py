"""Kernels by columns, results that stay until they are stored, parts that are copied into place.

On small machines with random networks, all of it wherever it is possible, whether it pays or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa_ir.backends.warboy.checker import check_program
from furiosa_ir.backends.warboy.commands.tokens import GRANULE, TokenTracker
from furiosa_ir.backends.warboy.enf.records import (
    DramTile,
    Load,
    NpuSegment,
    SramTile,
    Store,
    Vector,
)
from furiosa_ir.backends.warboy.planning import overlap, tilings
from furiosa_ir.backends.warboy.planning.part_copies import PartCopy
from furiosa_ir.backends.warboy.planning.tiles import Task, steps
from furiosa_ir.backends.warboy.planning.tilings import Tiling
from furiosa_ir.backends.warboy.simulator.timeline import timeline
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.program import Program
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import WARBOY, check, small_machine
from tests.backends.warboy.test_random_networks import random_network
from tests.draws import draws


@pytest.fixture
def eager() -> Iterator[None]:
    """Everything is large, most steps are best, and every part is copied."""

    def most_steps(_sweep: object, task: Task, tiling: Tiling) -> int:
        return -steps(task.geometry, tiling.split.tile) * tiling.keeps_result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "LARGE_INPUT", 1)
        patch.setattr(overlap, "LARGE_OUTPUT", 1)
        patch.setattr(tilings, "_tiling_cycles", most_steps)
        patch.setattr(PartCopy, "pays", True)
        yield


def _segment(program: Program) -> NpuSegment:
    (segment,) = program.segments
    assert isinstance(segment, NpuSegment)
    return segment


@pytest.mark.usefixtures("eager")
@settings(max_examples=draws(40), deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    length=st.integers(1, 8),
    layout=st.sampled_from(["NCHW", "NHWC"]),
    slices=st.sampled_from([2, 4, 64]),
    slice_bytes=st.sampled_from([4096, 16384]),
    batch=st.integers(1, 2),
    width=st.sampled_from([7, 33, 70]),
)
def test_a_random_network_in_most_steps(
    seed: int, length: int, layout: str, slices: int, slice_bytes: int, batch: int, width: int
) -> None:
    at = {"N": batch, "C": 3, "H": 5, "W": width}
    machine = small_machine(slice_bytes, slices)
    build = random_network(seed, length, layout)
    try:
        program = check([[at[d] for d in layout]], build, machine)
    except CompilationFailure as failure:
        if "does not fit" not in str(failure):
            raise
    else:
        check_program(program)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.usefixtures("eager")
def test_an_input_comes_in_parts(layout: str) -> None:
    """Each part is loaded once, and no step waits for those that it does not read."""
    at = {"N": 1, "C": 3, "H": 9, "W": 256}

    def build(emit, args):
        return Pieces(emit).conv(args[0], 8, layout=layout)

    program = check([[at[d] for d in layout]], build, small_machine(1 << 16, 8))
    check_program(program)
    segment = _segment(program)
    run = segment.commands[segment.setup :]
    loads = [
        (number, each)
        for number, each in enumerate(run)
        if isinstance(each, Load) and isinstance(each.source, DramTile)
    ]
    assert len(loads) > 3
    columns = [each.source.extent[2] for _, each in loads if isinstance(each.source, DramTile)]
    assert sum(columns) == at["W"]
    waits = [each.waits[0] - segment.setup for each in run if not isinstance(each, Load | Store)
             and each.waits]  # fmt: skip
    assert waits == [number for number, _ in loads][: len(waits)]
    assert len(waits) > 3


def test_large_transfers_overlap_with_one_kernel() -> None:
    """A network of one kernel takes little longer than its longest engine."""
    shape = (1, 64, 128, 128)
    program = check([shape], lambda emit, args: Pieces(emit).conv(args[0], 64), WARBOY)
    check_program(program)
    events = [each for each in timeline(program) if each.command >= _segment(program).setup]
    busy = {
        engine: sum(e.cost.occupancy for e in events if e.engine == engine)
        for engine in ("dma", "npu")
    }
    end = max(each.end for each in events)
    assert end < 0.85 * sum(busy.values())


def test_a_result_keeps_its_place_while_it_is_stored() -> None:
    """No kernel waits until a result is stored, as long as there is room beside it."""

    def build(emit, args):
        p = Pieces(emit)
        heads = []
        x = args[0]
        for _ in range(4):
            x = p.conv(x, 32)
            heads.append(p.conv(x, 16, (1, 1), pads=(0, 0, 0, 0)))
        return heads

    program = check([(1, 16, 32, 32)], build, WARBOY)
    segment = _segment(program)
    assert sum(isinstance(each, Store) for each in segment.commands) == 4
    kernels = [e for e in timeline(program) if e.engine == "npu"]
    for before, after in pairwise(kernels):
        assert after.start == before.end


def test_parts_are_copied_where_few_slices_would_work() -> None:
    def build(emit, args):
        p = Pieces(emit)
        a, b = (p.lookup(p.conv(args[0], 64)) for _ in range(2))
        return p.conv(p.concat(1, a, b), 8)

    program = check([(1, 16, 8, 64)], build, WARBOY)
    check_program(program)
    moves = [each for each in _segment(program).commands
             if isinstance(each, Vector) and not each.program]  # fmt: skip
    assert len(moves) == 2
    assert {each.result.offset[3] for each in moves} == {0, 64}


@given(data=st.data())
@settings(max_examples=draws(100), deadline=None)
def test_a_window_takes_the_granules_that_its_elements_lie_in(data: st.DataObject) -> None:
    """Whoever writes one of these waits for who reads it, and nobody waits for the others."""
    shape = tuple(data.draw(st.integers(1, limit)) for limit in (2, 6, 70, 40))
    slices = tuple(data.draw(st.integers(1, 4)) for _ in range(2))
    order, element = data.draw(st.sampled_from(["HCW", "HWC"])), data.draw(st.sampled_from([1, 4]))
    offset = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    extent = tuple(data.draw(st.integers(1, n - o)) for n, o in zip(shape, offset, strict=True))
    images = data.draw(st.sampled_from([1, shape[0]]))
    tile = SramTile(64, shape, slices, order, element, offset, extent, images)
    lying, number = _granules_of_elements(tile), data.draw(st.sampled_from([1, 64]))
    every = tile.slice_bytes // GRANULE
    for granule in range(every):
        tracker = TokenTracker(1 << 20, slices=number)
        load = Load(DramTile("workspace", 0, extent, (0, 0, 0, 1), element), tile, 0)
        tracker.issue(load)
        one = SramTile(64 + granule * GRANULE, (1, 1, 1, 32), (1, 1), "HWC", 1, (0,) * 4,
                       (1, 1, 1, 32))  # fmt: skip
        away = SramTile(64 + every * GRANULE, (1, 1, 1, 32), (1, 1), "HWC", 1, (0,) * 4,
                        (1, 1, 1, 32))  # fmt: skip
        waits = tracker.issue(Vector((one,), (), (), away, 0))
        assert bool(waits) == (granule in lying)


@pytest.mark.parametrize(("rows", "waits"), [(8, False), (16, False), (2, True)])
def test_images_in_slices_of_their_own_do_not_wait_for_each_other(rows: int, waits: bool) -> None:
    """Slices are told apart by the group."""

    def image(number: int) -> SramTile:
        return SramTile(
            0, (4, 16, 8, 32), (rows, 1), "HWC", 1, (number, 0, 0, 0), (1, 16, 8, 32), 4
        )

    def load(number: int) -> Load:
        return Load(DramTile("workspace", 0, (1, 16, 8, 32), (0, 0, 0, 0), 1), image(number), 0)

    tracker = TokenTracker(1 << 16, slices=64)
    away = SramTile(1 << 15, (1, 16, 8, 32), (16, 1), "HWC", 1, (0, 0, 0, 0), (1, 16, 8, 32))
    assert tracker.issue(load(0)) == ()
    assert tracker.issue(Vector((image(0),), (), (), away, 0)) == (0,)
    assert tracker.issue(load(1)) == ((1,) if waits else ())
    assert tracker.issue(load(0)) == (() if waits else (1,))


def _granules_of_elements(tile: SramTile) -> set[int]:
    """By the definition of the layout (`SramTile`)."""
    _, local_h, b, c = tile.local_shape
    hi, ci = -(-tile.shape[1] // tile.slices[0]), -(-tile.shape[3] // tile.slices[1])
    found: set[int] = set()
    for at in np.ndindex(*tile.extent):
        n, h, w, channel = (o + i for o, i in zip(tile.offset, at, strict=True))
        n, h, channel = n % (tile.shape[0] // tile.images), h % hi, channel % ci
        y, x = (channel, w) if tile.order == "HCW" else (w, channel)
        found.add((((n * local_h + h) * b + y) * c + x) * tile.element // GRANULE)
    return found
