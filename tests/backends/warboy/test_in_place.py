"""Results that take an operand's place in SRAM where both would not fit, element by element."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.enf.records import Dot, Load, NpuSegment, Pool, Store, Vector
from furiosa_ir.backends.warboy.planning.areas import Area, place_areas
from furiosa_ir.backends.warboy.planning.intervals import Interval, Obstacle
from furiosa_ir.program import Program
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import Build, check, small_machine

SHAPE = (1, 8, 12, 12)
"""NCHW, of 4 slices each."""

MANY = (1, 32, 8, 8)
"""The weights for so many channels come in blocks."""


def in_place(program: Program) -> list[Dot | Pool | Vector]:
    """The commands whose result is one of the tiles that they read."""
    segment = program.segments[0]
    assert isinstance(segment, NpuSegment)
    kernels = [c for c in segment.commands if isinstance(c, Dot | Pool | Vector)]
    return [c for c in kernels if c.result in c.operands]


def moved(program: Program) -> int:
    """Loads and stores of tensors."""
    segment = program.segments[0]
    assert isinstance(segment, NpuSegment)
    return sum(
        isinstance(c, Store) or (isinstance(c, Load) and c.source.region == "workspace")
        for c in segment.commands
    )


def residual(count: int, channels: int = SHAPE[1]) -> Build:
    """Blocks of two convolutions and a sum, as in a ResNet."""

    def build(e, a: Sequence[SSAValue]):
        p, x = Pieces(e), a[0]
        for _ in range(count):
            x = p.add(p.conv(p.conv(x, channels), channels), x)
        return x

    return build


def test_a_sum_takes_the_place_of_the_shortcut_that_it_reads_last() -> None:
    roomy = check([SHAPE], residual(3), small_machine(8192))
    assert not in_place(roomy)
    for slice_bytes in (2048, 2560):
        tight = check([SHAPE], residual(3), small_machine(slice_bytes))
        assert len(in_place(tight)) == 3
        # The argument comes, the result goes.
        assert moved(tight) == moved(roomy) == 2


def test_step_by_step_results_take_the_place_of_what_the_step_reads() -> None:
    program = check([MANY], residual(3, MANY[1]), small_machine(2048))
    assert len(in_place(program)) == 24


@pytest.mark.parametrize("slice_bytes", range(1024, 2816, 128))
def test_results_are_the_same_whatever_room_there_is(slice_bytes: int) -> None:
    check([SHAPE], residual(2), small_machine(slice_bytes))


def test_areas_that_take_a_place_lie_where_the_first_of_them_does() -> None:
    areas = [
        Area("live_range", 0, 0, Interval(64, 4, 6), takes=2),
        Area("live_range", 1, 0, Interval(64, 0, 2)),
        Area("live_range", 2, 0, Interval(64, 2, 4), takes=1),
        Area("stage", 3, 0, Interval(32, 1, 5)),
    ]
    pinned = Obstacle(0, Interval(96, 0, 6))
    addresses, placement = place_areas(areas, small_machine(4096), [pinned])
    assert addresses == [96, 96, 96, 160]
    assert placement.peak == placement.bound == 192


def shortcut_is_read_again(e, a: Sequence[SSAValue]):
    p = Pieces(e)
    x = p.conv(a[0], SHAPE[1])
    return p.add(p.conv(p.add(p.conv(x, SHAPE[1]), x), SHAPE[1]), x)


def shortcut_is_the_head(e, a: Sequence[SSAValue]):
    p, x = Pieces(e), a[0]
    for _ in range(3):
        x = p.add(p.conv(x, SHAPE[1]), x)
    return x


@pytest.mark.parametrize("slice_bytes", range(1024, 2816, 256))
@pytest.mark.parametrize("build", [shortcut_is_read_again, shortcut_is_the_head])
def test_what_is_read_again_keeps_its_place(build: Build, slice_bytes: int) -> None:
    """The checker refuses a command that overwrites what its windows read."""
    program = check([SHAPE], build, small_machine(slice_bytes))
    for command in in_place(program):
        assert isinstance(command, Vector) or command.result != command.x
