"""Data movement between kernels: views and windows where possible, copies in DRAM where not."""

from __future__ import annotations

import pytest
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.enf.records import Copy
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.passes.assign_views import assign_views
from furiosa_ir.backends.warboy.passes.fuse_kernels import fuse_kernels
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.registry import Emitter
from furiosa_ir.program import Program
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import WARBOY, build_function, check, small_machine

MACHINES = {"warboy": WARBOY, "8x4096": small_machine(4096, 8), "4x1024": small_machine(1024, 4)}


@pytest.fixture(params=MACHINES.values(), ids=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return request.param


def copies(program: Program) -> int:
    """How many DRAM copies a program has."""
    return sum(isinstance(c, Copy) for c in program.segments[0].commands)


def test_flatten_of_a_pooled_image_is_free(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.mean(p.conv(a[0], 16), (2, 3))
        return p.matmul(p.reshape(x, 2, 16), 10)

    program = check([(2, 3, 6, 6)], build, machine)
    assert copies(program) == 0
    assert not [layer for layer in program.layers if layer.operator == "copy"]


def test_flatten_of_an_image_goes_through_dram(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        return p.matmul(p.reshape(p.conv(a[0], 4), 2, 144), 10)

    assert copies(check([(2, 3, 6, 6)], build, machine)) == 0  # an alias, nothing moves


def test_transposes_around_a_convolution_are_free(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.transpose(a[0], 0, 3, 1, 2)
        return p.transpose(p.conv(x, 5), 0, 2, 3, 1)

    program = check([(1, 6, 7, 3)], build, machine)
    assert len(program.layers) == 1


def test_transpose_between_layouts(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.conv(a[0], 5)
        y = p.transpose(x, 0, 1, 3, 2)
        return p.conv(y, 4)

    check([(1, 3, 6, 7)], build, machine)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_concat_of_kernels(axis: int, machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        parts = [p.conv(a[0], 4), p.lookup(p.conv(a[0], 4)), p.pool(a[1], "max", strides=(1, 1))]
        return p.conv(p.concat(axis, *parts), 3)

    check([(1, 3, 6, 7), (1, 4, 6, 7)], build, machine)


def test_concat_of_what_is_used_elsewhere(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x, y = p.conv(a[0], 4), p.conv(a[0], 6)
        first = p.concat(1, x, y, a[0], x)
        second = p.concat(1, y, first)
        return [p.conv(first, 2), p.conv(second, 3), x, p.conv(y, 4)]

    check([(1, 3, 6, 7)], build, machine)


def test_concat_is_returned(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        heads = [p.transpose(p.conv(x, 12), 0, 2, 3, 1) for x in a]
        heads = [p.reshape(x, 1, shape_of(x)[1] * shape_of(x)[2] * 3, 4) for x in heads]
        return p.concat(1, *heads)

    program = check([(1, 3, 6, 7), (1, 5, 3, 4)], build, machine)
    assert copies(program) == 0  # the heads are stored straight into the result


def test_concat_of_arguments(machine: Machine) -> None:
    check([(2, 3), (2, 4)], lambda e, a: Pieces(e).concat(1, a[0], a[1], a[0]), machine)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_slices_of_a_kernel(axis: int, machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.conv(a[0], 6)
        ends = list(shape_of(x))
        starts = [0] * 4
        starts[axis] = 2
        part = p.slice(x, starts, ends)
        ends[axis] = 3
        other = p.slice(x, [0] * 4, ends)
        return [p.conv(part, 3), p.lookup(other), p.conv(p.concat(axis, part, other), 2)]

    check([(1, 3, 6, 7)], build, machine)


def test_strided_slice_space_to_depth(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        parts = [
            p.slice(a[0], [0, 0, i, j], [1, 3, 8, 8], [1, 1, 2, 2])
            for j in range(2)
            for i in range(2)
        ]
        return p.conv(p.concat(1, *parts), 4)

    check([(1, 3, 8, 8)], build, machine)


def test_slice_of_folded_axes(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.lookup(a[0])
        return p.lookup(p.slice(x, [0, 1, 0, 1, 0], [2, 3, 4, 4, 2]))

    check([(2, 3, 4, 5, 2)], build, machine)


@pytest.mark.parametrize("value", [3, -128, 7])
@pytest.mark.parametrize("pads", [(0, 0, 1, 2, 0, 0, 2, 1), (0, 1, 0, 1, 0, 2, 1, 0)])
def test_pad_before_windows(pads: tuple[int, ...], value: int, machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.pad(p.lookup(a[0]), pads, value)
        return [p.conv(x, 4), p.pool(x, "max"), p.pool(x, "sum", x_zp=3)]

    check([(1, 3, 6, 7)], build, machine)


def test_pad_merges_into_the_convolution(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        return p.conv(p.pad(a[0], (0, 0, 1, 1, 0, 0, 2, 2), 3), 4, pads=(0, 0, 0, 0))

    assert len(check([(1, 3, 6, 7)], build, machine).layers) == 1


def test_pad_is_returned(machine: Machine) -> None:
    check([(3, 5)], lambda e, a: Pieces(e).pad(a[0], (1, 0, 2, 1), 9), machine)


def test_reshapes_of_many_ranks(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.lookup(p.reshape(p.lookup(a[0]), 4, 15))
        y = p.lookup(p.reshape(x, 2, 3, 2, 5))
        z = p.lookup(p.reshape(y, 60))
        return [p.reshape(z, 1, 2, 3, 1, 2, 5), p.lookup(p.reshape(y, 5, 2, 3, 2, 1))]

    check([(3, 4, 5)], build, machine)


def test_channel_shuffle(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.conv(a[0], 6)
        x = p.reshape(x, 1, 2, 3, 5, 4)
        x = p.transpose(x, 0, 2, 1, 3, 4)
        return p.conv(p.reshape(x, 1, 6, 5, 4), 4)

    check([(1, 3, 5, 4)], build, machine)


def test_depth_to_space(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.reshape(p.conv(a[0], 8), 1, 2, 2, 2, 5, 4)
        return p.lookup(p.reshape(p.transpose(x, 0, 1, 4, 2, 5, 3), 1, 2, 10, 8))

    check([(1, 3, 5, 4)], build, machine)


def test_broadcasts(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.lookup(a[0])
        wide = p.broadcast(x, 2, 3, 4)
        return [p.lookup(wide), p.broadcast(x, 3, 4), p.add(wide, a[1])]

    check([(3, 1), (2, 3, 4)], build, machine)


def test_attention_heads(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        q, k, v = (
            p.transpose(p.reshape(p.matmul(a[0], 12), 1, 5, 3, 4), 0, 2, 1, 3) for _ in range(3)
        )
        scores = p.softmax(p.matmul(q, p.transpose(k, 0, 1, 3, 2)), 3)
        x = p.matmul(scores, v)
        return p.matmul(p.reshape(p.transpose(x, 0, 2, 1, 3), 1, 5, 12), 12)

    check([(1, 5, 12)], build, machine if machine.sram_bytes > 8192 else small_machine(4096))


def test_arguments_and_results_directly(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.lookup(a[1])
        return [a[0], x, x, p.reshape(a[0], 6), p.slice(x, [1, 0], [3, 2]), p.transpose(x, 1, 0)]

    check([(2, 3), (4, 2)], build, machine)


def test_one_argument_under_two_views(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        return [p.conv(a[0], 4), p.conv(a[0], 5, layout="NHWC"), p.matmul(a[0], 3)]

    check([(1, 6, 5, 7)], build, machine)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_concatenation_of_an_argument_within_another(axis: int) -> None:
    """Only DRAM wants the whole, in which the inner one is a part: it is written in place."""

    def build(emit, args):
        p = Pieces(emit)
        inner = p.concat(axis, args[0], p.conv(args[0], 3))
        return p.concat(axis, inner, p.conv(args[0], 3), p.concat(axis, args[0], args[0]))

    check([(1, 3, 4, 5)], build)


def test_copies_are_made_once() -> None:
    def build(e: Emitter, a: list[SSAValue]) -> SSAValue:
        p = Pieces(e)
        x = p.conv(a[0], 8)
        return p.concat(1, x, x)

    function = build_function([(1, 3, 6, 6)], build)
    fuse_kernels(function)
    assign_views(function)
    with pytest.raises(CompilationFailure, match="'assign-views' comes too late"):
        assign_views(function)
