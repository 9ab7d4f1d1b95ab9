"""Instructions on what no compiler writes, but a file may have: all kernels agree, or refuse it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.writer import write_program
from furiosa_ir.backends.warboy.simulator.native.library import VARIANTS, load_kernels
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.errors import FormatFailure
from furiosa_ir.numerics import fixed_point
from furiosa_ir.program import Program
from tests.backends.warboy.enf.vector_builder import Builder, op

KERNELS = ("0", *(VARIANTS if load_kernels() else ()))


def program_of(
    x: np.ndarray, program: Sequence[Instruction], parameters=(), *, stored: bool = False
) -> Program:
    """A vector program on x; `stored`: on a copy of x that another command has made."""
    b = Builder()
    tile = b.input(x)
    tile = b.vector([tile]) if stored else tile
    b.output(b.vector([tile], program, [b.parameter(*p) for p in parameters]))
    return b.program()


def results(program: Program, x: np.ndarray) -> list[np.ndarray]:
    """By all kernels, of the program as its file has it."""
    read = read_program(write_program(program))
    found = []
    for kernels in KERNELS:
        (y,) = Simulator(read, kernels=kernels).run_segment(0, {0: x}).values()
        found.append(y)
    return found


@pytest.mark.parametrize("limits", [(200, 300), (-300, -200), (5, 4)])
def test_a_clamp_that_leaves_nothing_is_refused(limits: tuple[int, int]) -> None:
    """numpy raised OverflowError; the compiled kernels made -56 of 200."""
    x = np.arange(8, dtype=np.int8).reshape(1, 1, 1, 8)
    data = write_program(program_of(x, [op("clamp", 0, immediates=limits)]))
    with pytest.raises(FormatFailure, match="limits do not fit"):
        read_program(data)


def test_limits_of_a_rescale_fit_64_bits_without_the_zero_point() -> None:
    x = np.arange(8, dtype=np.int64).reshape(1, 1, 1, 8)
    limits = (5, -(1 << 63), (1 << 63) - 1)
    program = [op("rescale", 0, 1, 2, immediates=(0, *limits), mode="even", to=8)]
    data = write_program(program_of(x, program, [(1,), (1, "int8")]))
    with pytest.raises(FormatFailure, match="limits do not fit"):
        read_program(data)


@pytest.mark.parametrize(("element", "zp"), [(1, 200), (1, -129), (4, 1 << 40), (8, 1 << 40)])
def test_the_zero_point_of_a_sum_wraps(element: int, zp: int) -> None:
    """numpy raised OverflowError where it does not fit the result's type."""
    x = np.arange(-4, 4, dtype=np.int8).reshape(1, 1, 1, 8)
    b = Builder()
    tile = b.input(x)
    program = [op("reduce", 0, immediates=(zp, 3), mode="sum", to=element)]
    b.output(b.vector([tile], program, shape=(1, 1, 1, 1)))
    total = sum(v - zp for v in range(-4, 4))
    for found in results(b.program(), x):
        assert int(found.item()) == int(np.int64(total).astype(f"i{element}"))


def test_double_rounding_of_an_element_knows_no_other() -> None:
    """LiteRT's left shift wraps in 32 bits: where there is one, not beside it."""
    x = np.array([1 << 40, -(1 << 40), 5, 1 << 31], np.int64).reshape(1, 1, 1, 4)
    multipliers, shifts = [1, 3, 1 << 30, 1 << 20], [40, 33, 30, 31]
    expected = [
        fixed_point.rescale(
            x[..., c], multipliers[c], shifts[c], rounding="double", dtype=np.int64
        ).item()
        for c in range(4)
    ]
    limits = (0, 0, -(1 << 62), 1 << 62)
    program = [op("rescale", 0, 1, 2, immediates=limits, mode="double", to=8)]
    for stored in (False, True):
        made = program_of(x, program, [(multipliers,), (shifts, "int8")], stored=stored)
        for found in results(made, x):
            assert found.reshape(-1).tolist() == expected
    b = Builder()
    arrays = [
        x,
        *(np.array(v, d).reshape(1, 1, 1, 4) for v, d in ((multipliers, "i4"), (shifts, "i1"))),
    ]
    b.output(b.vector([b.input(a) for a in arrays], program))
    read = read_program(write_program(b.program()))
    for kernels in KERNELS:
        (y,) = Simulator(read, kernels=kernels).run_segment(0, dict(enumerate(arrays))).values()
        assert y.reshape(-1).tolist() == expected


@pytest.mark.parametrize("name", ["add", "sub", "minimum", "maximum"])
def test_tiles_hold_64_bits(name: str) -> None:
    """numpy's fast way took what lies in a tile of 8 bytes for 48 bits, and lost the lowest."""
    x = np.array([(1 << 53) + 1, -(1 << 55) - 1, (1 << 62) + 3, 7], np.int64).reshape(1, 1, 1, 4)
    made = program_of(x, [op(name, 0, 1, to=8)], [([3, -3, 5, 1 << 20],)], stored=True)
    first, *others = results(made, x)
    y = np.array([3, -3, 5, 1 << 20])
    functions = {"add": np.add, "sub": np.subtract, "minimum": np.minimum, "maximum": np.maximum}
    np.testing.assert_array_equal(first, functions[name](x, y))
    for other in others:
        np.testing.assert_array_equal(first, other)
