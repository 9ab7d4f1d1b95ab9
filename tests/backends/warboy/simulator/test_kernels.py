"""Kernels against the semantics of `ftensor` on random shapes, slice layouts and windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects import test
from xdsl.dialects.builtin import TensorType, i8, i32

from furiosa_ir.backends.warboy.enf.records import Dot, Pool, Vector
from furiosa_ir.backends.warboy.vector_engine import Instruction
from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.numerics import fixed_point
from tests.backends.warboy.simulator.program_builder import ProgramBuilder, rescale, simulate

ROUNDINGS = list(fixed_point.ROUNDINGS)


def values(*types):
    return test.TestOp(result_types=types).results


def reference_conv(x, weight, bias, **properties):
    operands = [TensorType(i8, x.shape), TensorType(i8, weight.shape), TensorType(i32, bias.shape)]
    a, b, c = values(*operands)
    op = contraction.ConvOp.make([a, b, c], [i32], layout="NHWC", **properties)
    return op.evaluate(x, weight, bias)[0]


def reference_pool(x, **properties):
    (a,) = values(TensorType(i8, x.shape))
    element = i8 if properties["kind"] == "max" else i32
    op = contraction.ReduceWindowOp.make([a], [element], layout="NHWC", **properties)
    return op.evaluate(x)[0]


@st.composite
def layouts(draw, slices=8):
    ho = draw(st.integers(1, slices))
    co = draw(st.integers(1, slices // ho))
    order = draw(st.sampled_from(["HCW", "HWC"]))
    return {"slices": (ho, co), "order": order, "apart": draw(st.booleans())}


@st.composite
def convolutions(draw):
    group = draw(st.sampled_from([1, 1, 2, 3]))
    inner = draw(st.sampled_from([1, 3, 8]))
    outputs = group * draw(st.sampled_from([1, 2, 5]))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    spread = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (3, 1)]))
    n, h, w = draw(st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)))
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    if spread == (2, 2):
        pads = (-1, 1, 0, -1)
    return {
        "x": (n, h, w, inner * group),
        "weight": (outputs, *kernel, inner),
        "properties": {
            "strides": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
            "pads": pads,
            "dilations": dilations,
            "input_dilation": spread,
            "group": group,
            "x_zp": draw(st.integers(-128, 127)),
            "weight_zp": draw(st.sampled_from([0, -128, 5])),
        },
    }


@given(
    convolutions(),
    layouts(),
    layouts(),
    st.sampled_from(ROUNDINGS),
    st.booleans(),
    st.integers(-128, 127),
    st.integers(0, 2**32 - 1),
)
def test_convolution_with_rescale(conv, x_layout, y_layout, rounding, use_bias, zp, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, conv["x"], np.int8)
    weight = rng.integers(-128, 128, conv["weight"], np.int8)
    outputs = len(weight)
    bias = rng.integers(-(2**15), 2**15, outputs, np.int32) if use_bias else np.zeros(1, np.int32)
    try:
        acc = reference_conv(x, weight, bias, **conv["properties"])
    except VerificationFailure:  # the window does not fit
        return
    scales = 2.0 ** rng.uniform(-14, 1, outputs)
    multiplier, shift = np.array([fixed_point.quantize_multiplier(s) for s in scales]).T
    shape = (1, 1, 1, outputs)
    multiplier, shift = multiplier.reshape(shape), shift.astype(np.int8).reshape(shape)
    expected = fixed_point.rescale(
        acc, multiplier, shift, output_zero_point=zp, rounding=rounding, minimum=zp
    )
    b = ProgramBuilder(slices=8)
    tile = b.input(x.shape, **x_layout)
    properties = conv["properties"]
    command = Dot(
        x=tile,
        weight=b.constant(weight),
        weight_shape=weight.shape,
        bias=b.constant(bias) if use_bias else None,
        batched=False,
        operands=(),
        parameters=(b.parameter(multiplier), b.parameter(shift)),
        program=(rescale(zp=zp, low=zp, rounding=rounding),),
        result=b.tile(acc.shape, **y_layout),
        layer=0,
        **properties,
    )
    b.output(b.kernel(command))
    np.testing.assert_array_equal(simulate(b, x)[0], expected)


@given(
    st.sampled_from(["max", "sum"]),
    st.tuples(*[st.integers(1, 3)] * 6),
    st.tuples(*[st.integers(0, 1)] * 4),
    layouts(),
    st.integers(0, 2**32 - 1),
)
def test_pool(kind, numbers, pads, layout, seed):
    rng = np.random.default_rng(seed)
    kh, kw, sh, sw, dh, dw = numbers
    x = rng.integers(-128, 128, (2, 8, 9, 5), np.int8)
    properties = {
        "kind": kind,
        "window": (kh, kw),
        "strides": (sh, sw),
        "pads": tuple(min(p, k - 1) for p, k in zip(pads, (kh, kw, kh, kw), strict=True)),
        "dilations": (dh, dw),
        "x_zp": 7,
    }
    expected = reference_pool(x, **properties)
    b = ProgramBuilder(slices=8)
    tile = b.input(x.shape, **layout)
    element = 1 if kind == "max" else 4
    result = b.tile(expected.shape, (2, 2), "HWC", element)
    b.output(
        b.kernel(
            Pool(
                x=tile, operands=(), parameters=(), program=(), result=result, layer=0, **properties
            )
        ),
        dtype="int8" if element == 1 else "int32",
    )
    np.testing.assert_array_equal(simulate(b, x)[0], expected)


@given(layouts(), layouts(), st.sampled_from(ROUNDINGS), st.integers(0, 2**32 - 1))
def test_residual_sum(a_layout, b_layout, rounding, seed):
    """rescale + rescale, sum, rescale, lookup: tables, float64 and again a table."""
    rng = np.random.default_rng(seed)
    shape = (2, 7, 6, 10)
    x, y = rng.integers(-128, 128, (2, *shape), np.int8)
    table = rng.integers(-128, 128, 256, np.int8)
    m = rng.integers(1 << 30, 1 << 31, 3).astype(np.int32)
    s = rng.integers(28, 34, 3).astype(np.int8)
    b = ProgramBuilder(slices=8)
    tiles = b.input(shape, "a", **a_layout), b.input(shape, "b", **b_layout)
    arrays = [a.reshape(1, 1, 1, 1) for pair in zip(m, s, strict=True) for a in map(np.array, pair)]
    parameters = (*(b.parameter(a) for a in arrays), b.parameter(table))
    wide = (-(2**31), 2**31 - 1)
    program = (
        Instruction("rescale", (0, 2, 3), (3, 0, *wide), rounding, 4),
        Instruction("rescale", (1, 4, 5), (-5, 0, *wide), rounding, 4),
        Instruction("add", (9, 10), element=4),
        Instruction("rescale", (11, 6, 7), (0, 4, -128, 127), rounding, 1),
        Instruction("lookup", (12, 8), element=1),
    )
    command = Vector(tiles, parameters, program, b.tile(shape, (4, 2), "HCW"), 0)
    b.output(b.kernel(command))
    one = fixed_point.rescale(
        x, int(m[0]), int(s[0]), input_zero_point=3, rounding=rounding, dtype=np.int32
    )
    two = fixed_point.rescale(
        y, int(m[1]), int(s[1]), input_zero_point=-5, rounding=rounding, dtype=np.int32
    )
    total = fixed_point.rescale(
        one + two, int(m[2]), int(s[2]), output_zero_point=4, rounding=rounding
    )
    np.testing.assert_array_equal(simulate(b, x, y)[0], table[total.astype(int) + 128])


@pytest.mark.parametrize("second_zp", [0, 3])
def test_batched_product(second_zp):
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (2, 3, 5, 40), np.int8)
    y = rng.integers(-128, 128, (2, 3, 7, 40), np.int8)
    b = ProgramBuilder(slices=8)
    tiles = b.input(x.shape, "x", slices=(3, 2)), b.input(y.shape, "y", order="HWC")
    multiplier = b.parameter(np.full((1, 1, 1, 1), 1 << 30, np.int32))
    shift = b.parameter(np.full((1, 1, 1, 1), 41, np.int8))
    command = Dot(
        tiles[0], None, (7, 1, 1, 40), None, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, -4, second_zp,
        True, (tiles[1],), (multiplier, shift), (rescale(0, 2, 3),), b.tile((2, 3, 5, 7)), 0,
    )  # fmt: skip
    b.output(b.kernel(command))
    acc = np.einsum("nhwc,nhoc->nhwo", x.astype(int) + 4, y.astype(int) - second_zp)
    expected = fixed_point.rescale(acc, 1 << 30, 41, rounding="even")
    np.testing.assert_array_equal(simulate(b, x, y)[0], expected)


def test_unsigned_input_and_output():
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    b = ProgramBuilder(slices=8)
    tile = b.input(x.shape, dtype="uint8", slices=(8, 1))
    b.output(b.kernel(Vector((tile,), (), (), b.tile(x.shape), 0)), dtype="uint8")
    np.testing.assert_array_equal(simulate(b, x)[0], x)
