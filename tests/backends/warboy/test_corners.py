"""Forms that networks rarely have: constants as activations, wide values between kernels."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import i8

from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.dialects.ftensor import arithmetic, contraction, i48
from furiosa_ir.errors import CompilationFailure
from tests.backends.warboy.networks import Pieces
from tests.backends.warboy.segments import WARBOY, check, small_machine

MACHINES = {"warboy": WARBOY, "4x2048": small_machine(2048, 4)}


@pytest.fixture(params=MACHINES.values(), ids=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return request.param


def constant(e, *shape: int):
    return e.constant(np.random.default_rng(5).integers(-128, 128, shape), i8)


def test_constants_as_activations(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        c = constant(e, 1, 3, 5, 6)
        return [
            c,
            p.conv(c, 4),
            p.add(c, c),
            p.matmul(constant(e, 4, 6), a[0]),
            p.matmul(a[0], constant(e, 2, 5, 3)),
            p.concat(1, c, p.lookup(c)),
            p.reshape(c, 6, 15),
        ]

    check([(2, 6, 5)], build, machine)


def test_wide_value_with_two_readers(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        total = e.emit(arithmetic.AddOp, [p.wide(a[0]), p.wide(a[1])], i48)
        one = e.rescale(total, 1, 21, rounding="even")
        two = e.rescale(total, 1, 22, rounding="floor")
        largest = e.emit(contraction.ReduceOp, [total], i48, kind="max", axes=[1], x_zp=0)
        return [p.conv(one, 3), two, e.rescale(largest, 1, 21, rounding="up")]

    check([(1, 3, 6, 7), (1, 3, 6, 7)], build, machine)


def test_same_value_as_operand_twice(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.conv(a[0], 3)
        return [p.add(x, x), p.add(p.conv(x, 3), x), p.concat(3, x, x)]

    check([(1, 3, 6, 7)], build, machine)


def test_gathers(machine: Machine) -> None:
    def build(e, a):
        p = Pieces(e)
        x = p.gather(a[0], 0, [4, 0, 0, 2])
        return [x, p.lookup(p.gather(p.lookup(x), 1, [5, 4, 3, 2, 1, 0]))]

    check([(5, 6)], build, machine)


def test_long_vectors(machine: Machine) -> None:
    check([(20000,)], lambda e, a: Pieces(e).lookup(a[0]), machine)
    check([(3, 9000)], lambda e, a: Pieces(e).add(a[0], a[0]), machine)


def test_single_elements(machine: Machine) -> None:
    check([()], lambda e, a: Pieces(e).lookup(a[0]), machine)
    check([(1, 1, 1, 1)], lambda e, a: Pieces(e).reshape(a[0]), machine)
    check([(1, 1, 1, 1)], lambda e, a: Pieces(e).conv(a[0], 1), machine)


def test_window_over_padding_only(machine: Machine) -> None:
    """Rows of the result that read no row of x at all."""

    def build(e, a):
        p = Pieces(e)
        x = p.conv(a[0], 4, (1, 1), pads=(2, 2, 2, 2))
        return [x, p.conv(a[0], 4, (2, 2), pads=(3, 0, 3, 0), strides=(2, 1))]

    check([(1, 3, 6, 7)], build, machine)


def test_what_cannot_fit_says_so() -> None:
    """One output's weights alone are more than the machine has."""
    with pytest.raises(CompilationFailure, match="does not fit"):
        check([(1, 4000)], lambda e, a: Pieces(e).matmul(a[0], 2), small_machine(1024, 1))
