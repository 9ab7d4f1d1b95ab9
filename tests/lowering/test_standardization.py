"""LayerNormalization against rational arithmetic, where it is hardest: on nearly constant rows."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.builder import Builder, InsertPoint
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Block, SSAValue

from furiosa_ir.dialects.ftensor import TensorOp, i48
from furiosa_ir.dialects.graph.normalization import LayerNormOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import uniform
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.lowering import Emitter, find_lowering, refusal
from furiosa_ir.lowering.exact import standardization
from furiosa_ir.lowering.registry import EXACT
from tests.draws import draws

SQRT_BITS = 160
EPSILONS = (0.0, 1e-30, 1e-12, 1e-7, 1e-5, 1e-3, 0.1)
COUNTS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 33, 64, 100, 255, 256, 257, 768, 1000, 1024, 2048, 4095, 4096)


def f32_of(value: float) -> float:
    return float(np.float32(value))


def constant(array: Any) -> SSAValue:
    return ConstantOp.make([], [f32], value=BlobAttr.of(np.asarray(array, np.float32))).result


def layer_norm(
    count: int, x_scale: float, y_scale: float, scale: Any, bias: Any, epsilon: float
) -> LayerNormOp:
    block = Block(arg_types=[TensorType(uniform(np.dtype(np.int8), x_scale, 7), (1, count))])
    element = uniform(np.dtype(np.int8), y_scale, -3)
    operands = [block.args[0], constant(scale), constant(bias)]
    return LayerNormOp.make(operands, [element], axis=1, epsilon=epsilon)


def lowered(op: LayerNormOp, row: Any) -> tuple[Any, Any]:
    """(the result, what it is before the last rounding in 2**-33 of a step)."""
    target = Block(arg_types=[TensorType(op.x.type.element_type, (1, row.size))])
    emitter = Emitter(Builder(InsertPoint.at_end(target)), {op.x: target.args[0]})
    lowering = find_lowering(op, EXACT)
    assert lowering is not None
    result = lowering.function(op, emitter)
    arrays: dict[SSAValue, Any] = {target.args[0]: row.reshape(1, -1)}
    for operation in target.ops:
        assert isinstance(operation, TensorOp)
        values = operation.evaluate(*(arrays[v] for v in operation.operands))
        for value, array in zip(operation.results, values, strict=True):
            wide = value.type.element_type == i48
            assert not wide or np.abs(array).max() < 1 << 47
            arrays[value] = array
    return arrays[result][0], arrays[result.owner.operands[0]][0]


def exactly(op: LayerNormOp, row: Any, indices: Any) -> list[Fraction]:
    """Some elements in steps of the result, to 2**-100; 0 where they are not numbers."""
    x_scale, y_scale = (Fraction(Emitter.quantization(v).scale) for v in (op.x, op.result))
    values = row.tolist()
    count, total = len(values), sum(values)
    variance = count * sum(v * v for v in values) - total * total
    square = variance + Fraction(op.epsilon.value.data) * count**2 / x_scale**2
    # Over its own denominator the root of a fraction's square stays exact.
    denominator = square.denominator
    root = Fraction(
        math.isqrt(square.numerator * denominator << (2 * SQRT_BITS)), denominator << SQRT_BITS
    )
    scales, biases = (standardization.real_elements(v) for v in (op.scale, op.bias))
    return [
        (Fraction(scales[i]) * (count * values[i] - total) / root + Fraction(biases[i])) / y_scale
        if root
        else Fraction(0)
        for i in indices
    ]


def check(op: LayerNormOp, row: Any) -> None:
    assert refusal(op, EXACT) is None
    parameters = [standardization.real_elements(v) for v in (op.scale, op.bias)]
    different = np.unique(np.stack([row, *parameters]), axis=1, return_index=True)[1]
    bound = np.broadcast_to(standardization.error_bound(op), row.shape)[different]
    got, wide = (a[different] for a in lowered(op, row))
    zero_point = Emitter.quantization(op.result).zero_point
    reals = exactly(op, row, different)
    for value, near, stored, most in zip(reals, wide, got, bound, strict=True):
        if abs(value) > 256:
            assert stored == (127 if value > 0 else -128)
            continue
        assert abs(Fraction(int(near), 1 << 33) - value) <= Fraction(float(most))
        distance = abs(value - math.floor(value) - Fraction(1, 2))
        nearest = {round(value)}
        if 0 < distance < Fraction(max(1.0, abs(float(value))) * 2.0**-29):
            nearest = {math.floor(value), math.floor(value) + 1}
        assert stored in {min(max(n + zero_point, -128), 127) for n in nearest}


@st.composite
def nearly_constant_rows(draw: Any) -> Any:
    """Few elements differ from the others, and by little; or any row at all."""
    count = draw(st.sampled_from(COUNTS))
    base = draw(st.integers(-128, 127))
    row = np.full(count, base)
    kind = draw(st.sampled_from(["constant", "near", "two", "any"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "near":
        places = rng.integers(0, count, draw(st.integers(1, 3)))
        row[places] += rng.integers(-2, 3, places.size)
    elif kind == "two":
        row = np.where(rng.random(count) < 0.5, base, draw(st.integers(-128, 127)))
    elif kind == "any":
        row = rng.integers(-128, 128, count)
    return np.clip(row, -128, 127).astype(np.int8)


@settings(max_examples=draws(120), deadline=None)
@given(
    row=nearly_constant_rows(),
    x_scale=st.one_of(st.sampled_from([1.0, 0.5, 2.0**-7]), st.floats(1e-4, 4.0).map(f32_of)),
    y_scale=st.one_of(st.sampled_from([1.0, 0.25, 2.0**-5]), st.floats(0.01, 1.0).map(f32_of)),
    epsilon=st.sampled_from(EPSILONS),
    factor=st.one_of(st.sampled_from([0.0, 0.5, 1.0, -1.0, 0.25]), st.floats(-2, 2).map(f32_of)),
    offset=st.one_of(st.sampled_from([0.0, 0.5, 1.0, -0.25]), st.floats(-4, 4).map(f32_of)),
)
def test_nearly_constant_rows(
    row: Any, x_scale: float, y_scale: float, epsilon: float, factor: float, offset: float
) -> None:
    epsilon = f32_of(epsilon)
    parameters = [np.full(row.size, v) for v in (factor, offset)]
    op = layer_norm(row.size, x_scale, y_scale, *parameters, epsilon)
    if standardization.many_elements(op) is None:
        check(op, row)


@pytest.mark.parametrize("count", [2, 9, 256, 4096])
def test_parameters_of_each_element(count: int) -> None:
    rng = np.random.default_rng(count)
    for epsilon in (0.0, f32_of(1e-12), f32_of(1e-5)):
        scale = rng.normal(0, 1, count) * 10.0 ** rng.integers(-6, 1, count)
        op = layer_norm(count, f32_of(0.03), f32_of(0.02), scale, rng.normal(0, 2, count), epsilon)
        check(op, rng.integers(-128, 128, count).astype(np.int8))


def test_ties_of_two_elements_go_to_even() -> None:
    """(0, 1) without an epsilon standardises to -1 and 1: every result here is a tie."""
    row = np.array([0, 1], np.int8)
    for offset in (0.0, 1.0, 2.0, -3.0, 100.0):
        op = layer_norm(2, 1.0, 1.0, [0.5, 0.5], [offset, offset], 0.0)
        want = np.array([round(offset - 0.5), round(offset + 0.5)]) - 3
        np.testing.assert_array_equal(lowered(op, row)[0], want)
        check(op, row)


def test_large_parameters_stay_on_the_host() -> None:
    """Where the bound exceeds what the last rounding takes for a tie."""
    large = layer_norm(4096, 0.05, 0.01, np.full(4096, 10.0), np.zeros(4096), f32_of(1e-5))
    hint = refusal(large, EXACT)
    assert hint is not None
    assert "thousands of the result's steps" in str(hint)
    far = layer_norm(4, 0.05, 0.01, np.ones(4), np.full(4, 50.0), f32_of(1e-5))
    assert refusal(far, EXACT) is not None
    usual = layer_norm(4096, 0.05, 0.01, np.ones(4096), np.full(4096, 5.0), f32_of(1e-5))
    assert refusal(usual, EXACT) is None


def test_inverse_root() -> None:
    """Its relative error is below 2**-43 from the least variance to the greatest."""
    rng = np.random.default_rng(0)
    values = [1, 2, 3, 4, 5, 15, 16, 17, (1 << 45) - 1, 1 << 44, 3 << 42]
    values += np.exp2(rng.uniform(0, 45, 3000)).astype(np.int64).tolist()
    values += [4**k - 1 for k in range(1, 22)] + [4**k + 1 for k in range(22)]
    for epsilon in (0.0, 1e-9, 0.999, 0.3, 17.4):
        target = Block(arg_types=[TensorType(i48, (len(values),))])
        emitter = Emitter(Builder(InsertPoint.at_end(target)), {})
        made = standardization._inverse_root(emitter, target.args[0], epsilon)
        arrays: dict[SSAValue, Any] = {target.args[0]: np.array(values, np.int64)}
        for operation in target.ops:
            assert isinstance(operation, TensorOp)
            results = operation.evaluate(*(arrays[v] for v in operation.operands))
            arrays.update(zip(operation.results, results, strict=True))
        for variance, root, rest, pairs in zip(values, *(arrays[v] for v in made), strict=True):
            got = Fraction((int(root) << 15) + int(rest)) * Fraction(2) ** (
                22 - 128 - 67 - int(pairs)
            )
            # (root / true)**2 - 1 is twice the relative error.
            twice = got**2 * (variance + Fraction(epsilon)) - 1
            assert abs(twice) < Fraction(2, 1 << 43)
