"""Every vector instruction against the `ftensor` operation of its name."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from xdsl.dialects import test
from xdsl.dialects.builtin import TensorType, i8, i32

from furiosa_ir.backends.warboy.enf.records import Dot, Vector
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.dialects.ftensor import arithmetic, base, contraction, movement
from furiosa_ir.errors import ExecutionFailure, VerificationFailure
from furiosa_ir.numerics import fixed_point
from tests.backends.warboy.simulator.program_builder import ProgramBuilder, rescale, simulate

ELEMENT = {1: i8, 4: i32, 8: base.i48}
SHAPE = (2, 5, 6, 7)


def evaluate(op_class, arrays, element, **properties):
    types = [TensorType(ELEMENT[a.dtype.itemsize], a.shape) for a in arrays]
    values = test.TestOp(result_types=types).results
    op = op_class.make(list(values), [ELEMENT[element]], **properties)
    return op.evaluate(*arrays)[0]


def run(instructions, tiles, parameters=()):
    """The result of the instructions on int8 tiles."""
    b = ProgramBuilder(slices=8)
    operands = tuple(b.input(t.shape, f"x{i}", slices=(2, 3)) for i, t in enumerate(tiles))
    constants = tuple(b.parameter(p) for p in parameters)
    shape, element = instructions[-1][1], instructions[-1][0].element
    program = tuple(i for i, _ in instructions)
    result = b.tile(shape, (3, 2), "HWC", element)
    dtype = {1: "int8", 4: "int32", 8: "int64"}[element]
    b.output(b.kernel(Vector(operands, constants, program, result, 0)), dtype=dtype)
    return simulate(b, *tiles)[0]


@pytest.fixture
def tiles():
    return np.random.default_rng(0).integers(-128, 128, (2, *SHAPE), np.int8)


@pytest.mark.parametrize("element", [1, 4, 8])
@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("add", arithmetic.AddOp),
        ("sub", arithmetic.SubOp),
        ("mul", arithmetic.MulOp),
        ("minimum", arithmetic.MinimumOp),
        ("maximum", arithmetic.MaximumOp),
    ],
)
@pytest.mark.parametrize("second", [SHAPE, (1, 1, 1, 7), (2, 1, 1, 7), (1, 1, 1, 1), (1, 5, 1, 1)])
def test_binary(tiles, name, op, element, second):
    x, y = tiles[0], tiles[1][tuple(slice(0, n) for n in second)]
    found = run([(Instruction(name, (0, 1), element=element), SHAPE)], [x, y])
    np.testing.assert_array_equal(found, evaluate(op, [x, y], element))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 1, 7), (1, 5, 6, 7)])
def test_binary_with_a_parameter(tiles, shape):
    constant = np.random.default_rng(1).integers(-1000, 1000, shape, np.int32)
    found = run([(Instruction("mul", (0, 1), element=4), SHAPE)], [tiles[0]], [constant])
    np.testing.assert_array_equal(found, tiles[0].astype(np.int32) * constant)


def test_divide(tiles):
    wide = tiles[0].astype(np.int64) * 1000 + 77
    instructions = [
        (Instruction("mul", (0, 2), element=8), SHAPE),
        (Instruction("add", (5, 3), element=8), SHAPE),
        (Instruction("maximum", (1, 4), element=8), SHAPE),
        (Instruction("divide", (6, 7), (3, -100, 101)), SHAPE),
    ]
    parameters = [np.full((1, 1, 1, 1), v, np.int64) for v in (1000, 77, 1)]
    divisor = np.maximum(tiles[1].astype(np.int64), 1)
    expected = evaluate(
        arithmetic.DivideOp, [wide, divisor], 1, output_zp=3, minimum=-100, maximum=101
    )
    np.testing.assert_array_equal(run(instructions, tiles, parameters), expected)


def test_clamp_and_lookup(tiles):
    table = np.random.default_rng(2).integers(-(2**30), 2**30, 256, np.int32)
    expected = evaluate(arithmetic.ClampOp, [tiles[0]], 1, minimum=-7, maximum=90)
    found = run([(Instruction("clamp", (0,), (-7, 90)), SHAPE)], [tiles[0]])
    np.testing.assert_array_equal(found, expected)
    found = run([(Instruction("lookup", (0, 1), element=4), SHAPE)], [tiles[0]], [table])
    np.testing.assert_array_equal(found, evaluate(arithmetic.LookupOp, [tiles[0], table], 4))
    both = [
        (Instruction("lookup", (0, 1), element=4), SHAPE),
        (Instruction("clamp", (2,), (-500, 90), element=4), SHAPE),
    ]
    np.testing.assert_array_equal(
        run(both, [tiles[0]], [table]), table[tiles[0].astype(int) + 128].clip(-500, 90)
    )


@pytest.mark.parametrize("made", [1, 4, 8])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 1, 7), (1, 5, 6, 7)])
def test_a_parameter_is_looked_up(tiles, shape, made):
    """As an addition of a constant has it; the kernels keep constants as int64."""
    rng = np.random.default_rng(4)
    constant = rng.integers(-128, 128, shape, np.int8)
    table = rng.integers(-100, 100, 256, np.int64).astype(f"i{made}")
    instructions = [
        (Instruction("lookup", (1, 2), element=made), shape),
        (Instruction("add", (0, 3), element=8), SHAPE),
    ]
    expected = tiles[0].astype(np.int64) + table[constant.astype(int) + 128]
    np.testing.assert_array_equal(run(instructions, [tiles[0]], [constant, table]), expected)


@pytest.mark.parametrize("element", [1, 4, 8])
@pytest.mark.parametrize("name", ["reduce", "gather", "interpolate"])
def test_a_parameter_is_read_along_an_axis(tiles, name, element):
    """A gather of bytes copied whole int64: wrong, and beyond the room of its result."""
    constant = np.random.default_rng(5).integers(-128, 128, (2, 5, 6, 7)).astype(f"i{element}")
    immediates, made = {
        "reduce": ((0, 3), 8),
        "gather": ((3, 6, 0, 0, 2, 5, 1, 4), element),
        "interpolate": ((3, 7, *range(7), *[0] * 7, *[1] * 7, *[0] * 7), 8),
    }[name]
    read = {
        "reduce": constant.sum(3, keepdims=True),
        "gather": constant[..., [6, 0, 0, 2, 5, 1, 4]],
        "interpolate": constant,
    }[name]
    mode = "sum" if name == "reduce" else ""
    instructions = [
        (Instruction(name, (1,), immediates, mode, made), read.shape),
        (Instruction("add", (0, 2), element=8), SHAPE),
    ]
    expected = tiles[0].astype(np.int64) + read
    np.testing.assert_array_equal(run(instructions, [tiles[0]], [constant]), expected)


@pytest.mark.parametrize("axes", [(1, 2), (3,), (1,), (0, 1, 2, 3)])
@pytest.mark.parametrize(("kind", "element"), [("sum", 4), ("sum", 8), ("max", 1)])
def test_reduce(tiles, axes, kind, element):
    shape = tuple(1 if i in axes else n for i, n in enumerate(SHAPE))
    instruction = Instruction("reduce", (0,), (5, *axes), kind, element)
    expected = evaluate(contraction.ReduceOp, [tiles[0]], element, kind=kind, axes=axes, x_zp=5)
    np.testing.assert_array_equal(run([(instruction, shape)], [tiles[0]]), expected)


def test_softmax_like_chain_broadcasts_a_reduction(tiles):
    shape = (2, 5, 6, 1)
    instructions = [
        (Instruction("reduce", (0,), (0, 3), "max", 1), shape),
        (Instruction("sub", (0, 1), element=4), SHAPE),
    ]
    x = tiles[0].astype(np.int32)
    found = run(instructions, [tiles[0]])
    np.testing.assert_array_equal(found, x - x.max(3, keepdims=True))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_gather_and_interpolate(tiles, axis):
    rng = np.random.default_rng(3)
    lower, upper = rng.integers(0, SHAPE[axis], (2, 9)).tolist()
    low, high = rng.integers(0, 100, (2, 9)).tolist()
    shape = (*SHAPE[:axis], 9, *SHAPE[axis + 1 :])
    found = run([(Instruction("gather", (0,), (axis, *lower)), shape)], [tiles[0]])
    expected = evaluate(movement.GatherOp, [tiles[0]], 1, axis=axis, indices=lower)
    np.testing.assert_array_equal(found, expected)
    instruction = Instruction("interpolate", (0,), (axis, 9, *lower, *upper, *low, *high), "", 4)
    expected = evaluate(
        movement.InterpolateOp,
        [tiles[0]],
        4,
        axis=axis,
        lower=lower,
        upper=upper,
        lower_weight=low,
        upper_weight=high,
    )
    np.testing.assert_array_equal(run([(instruction, shape)], [tiles[0]]), expected)


def fully_connected():
    b = ProgramBuilder(slices=8)
    rng = np.random.default_rng(4)
    x = b.input((3, 1, 1, 300))
    weight = rng.integers(-128, 128, (50, 1, 1, 300), np.int8)
    parameters = (
        b.parameter(np.full((1, 1, 1, 50), 1 << 30, np.int32)),
        b.parameter(np.full((1, 1, 1, 50), 43, np.int8)),
    )
    b.output(
        b.kernel(
            Dot(
                x,
                b.constant(weight),
                weight.shape,
                None,
                (1, 1),
                (1, 1),
                (1, 1),
                (0, 0, 0, 0),
                1,
                2,
                0,
                False,
                (),
                parameters,
                (rescale(),),
                b.tile((3, 1, 1, 50), (1, 8)),
                0,
            )
        )
    )
    return b, weight


def expected_product(x, weight):
    acc = (x.reshape(3, 300).astype(int) - 2) @ weight.reshape(50, 300).T.astype(int)
    return fixed_point.rescale(acc, 1 << 30, 43, rounding="even").reshape(3, 1, 1, 50)


def test_threads_do_not_share_memory():
    b, weight = fully_connected()
    simulator = Simulator(b.program())
    rng = np.random.default_rng(5)
    wrong = []

    def work(x):
        for _ in range(20):
            (y,) = simulator.run_segment(0, {0: x}).values()
            if not np.array_equal(y, expected_product(x, weight)):
                wrong.append(x)

    inputs = rng.integers(-128, 128, (4, 3, 1, 1, 300), np.int8)
    threads = [threading.Thread(target=work, args=(x,)) for x in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_wrong_inputs_are_refused():
    simulator = Simulator(fully_connected()[0].program())
    x = np.zeros((3, 1, 1, 300), np.int8)
    for inputs, message in (
        ({}, "missing"),
        ({0: x[:2]}, "not int8"),
        ({0: x.astype(float)}, "not int8"),
    ):
        with pytest.raises(ExecutionFailure, match=message):
            simulator.run_segment(0, inputs)
    with pytest.raises(ExecutionFailure, match="segment 1"):
        simulator.run_segment(1, {})


def test_a_wrong_instruction_is_refused(tiles):
    with pytest.raises(VerificationFailure, match="reads a register that does not exist"):
        run([(Instruction("add", (0, 9)), SHAPE)], [tiles[0]])
