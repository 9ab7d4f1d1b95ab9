"""Layer and instance normalisation in exact arithmetic: an inverse square root of 43 bits.

With n elements a row, S their sum, V = n * (sum of squares) - S**2, E = epsilon * (n / x_scale)**2
and c = n * x - S, all of them integers but E, the result in steps of its scale is

    t = g * c / sqrt(V + E) + b,    g = scale / y_scale,    b = bias / y_scale.

What is computed differs from t by at most (`error_bound`)

    |g| * 2**-F + (256 + |b|) * 2**-43 + 2**-32,    F = 45 - ceil(log2(n) / 2),

wherever t does not saturate, however near to constant the row and however small epsilon is:

* V + E is brought to 44 to 46 bits by a power of 4 that is chosen from its whole part: V is
  multiplied without rounding, E rounded to an integer of the same unit: relative error 2**-45.
* The root's first 30 bits are a table and two Newton steps: relative error d below 2**-27.5. A
  third step is taken on products of 46 by 46 bits in parts of 31 and 16 bits: 2.6 units of 2**-45
  of error, half of which is the root's, and 3 / 8 * d**2 is below 2**-56. With two more roundings
  of 2**-45 the inverse root has a relative error below 2**-43.
* c times the root is rounded twice, to F bits behind the point: it is less than sqrt(n).
* The product with g (60 bits) in parts, and b, are rounded four times to 33 bits behind the point.

The last rounding takes what is within 2**-30 * max(1, |t|) of a tie for the tie. The lowering is
used where the bound is at most 2**-30 (`imprecise`): then all ties are met, and a result differs
from exact arithmetic only where t lies within 2**-29 * max(1, |t|) of a tie without being one; the
oracle itself takes half of these for ties (`dialects.quant.arithmetic.quantize`).
"""

from __future__ import annotations

import math

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import arithmetic, contraction
from furiosa_ir.dialects.ftensor.base import i48
from furiosa_ir.dialects.graph.normalization import InstanceNormOp, LayerNormOp, StandardizeOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import not_8bit_activation, variable_weight
from furiosa_ir.lowering.exact.scale import (
    WIDE_LIMIT,
    lookup,
    real_elements,
    wide_multiple,
)
from furiosa_ir.lowering.exact.search import (
    CANDIDATES,
    at_least,
    quantize_monotone,
)
from furiosa_ir.lowering.registry import EXACT, Emitter, lowers
from furiosa_ir.numerics.array import Array

VARIANCE_BITS = 45
"""What count**2 * (variance + epsilon) may take, in units of x_scale**2."""
PAIRS = 22
"""Bits are counted in pairs, for their square root: the scaled variance has 44 to 46."""
RESULT_FRACTION = 33
"""Bits behind the point of the result before it is rounded."""
GREATEST_ERROR = 2.0**-30
"""In steps of the result: what the last rounding takes for a tie."""
MOST_STEPS = 2.0**12
"""Of the bias; with the product within twice that nothing saturates but the result."""


def _count(op: StandardizeOp) -> int:
    return math.prod(shape_of(op.x)[axis] for axis in op.axes())


def _epsilon(op: StandardizeOp, scale: float) -> float:
    """Epsilon in units of count**2 * variance."""
    return op.epsilon.value.data * (_count(op) / scale) * (_count(op) / scale)


def many_elements(op: StandardizeOp) -> hints.Hint | None:
    """More elements to a mean, or a greater epsilon, than 45 bits of variance hold."""
    scale = Emitter.quantization(op.x).scale
    if _count(op) ** 2 * 128**2 + _epsilon(op, scale) >= 2**VARIANCE_BITS:
        return hints.form(op.name, f"over {_count(op)} elements")
    return None


def imprecise(op: StandardizeOp) -> hints.Hint | None:
    """A scale or a bias so large, in steps of the result, that ties might be missed."""
    _, offset = _parameters(op)
    if np.any(np.abs(offset) > MOST_STEPS) or np.any(error_bound(op) > GREATEST_ERROR):
        return hints.form(op.name, "with a scale or bias of thousands of the result's steps")
    return None


def error_bound(op: StandardizeOp) -> Array:
    """How far from the exact result, in its steps, what is rounded may be (see the module)."""
    factor, offset = _parameters(op)
    return np.abs(factor) * 2.0 ** -_fraction(op) + (256 + np.abs(offset)) * 2.0**-43 + 2.0**-32


def _parameters(op: StandardizeOp) -> tuple[Array, Array]:
    """Scale and bias in steps of the result, so that they broadcast to x."""
    step = Emitter.quantization(op.result).scale
    factor = op.along(real_elements(op.scale)) / step
    bias = np.zeros(1) if op.bias is None else op.along(real_elements(op.bias)) / step
    return factor, bias


def _fraction(op: StandardizeOp) -> int:
    """Bits behind the point of a standardised element, which is less than sqrt(count)."""
    return 45 - ((_count(op) - 1).bit_length() + 1) // 2


CONSTRAINTS = (not_8bit_activation, variable_weight, many_elements, imprecise)


@lowers(LayerNormOp, EXACT, unless=CONSTRAINTS)
@lowers(InstanceNormOp, EXACT, unless=CONSTRAINTS)
def standardize(op: StandardizeOp, emit: Emitter) -> SSAValue:
    """(n x - sum) / sqrt(n * sum of squares - sum**2 + eps) * scale + bias, rounded once."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    operand, count = emit.operand(op.x), _count(op)
    # The zero point is in every element and in the mean: stored integers have the same variance.
    total, squares = (_sum(op, lookup(emit, operand, t, i48), emit) for t in _POWERS)
    square = _binary(emit, arithmetic.MulOp, total, total)
    variance = wide_multiple(emit, squares, count, 0)
    variance = _binary(emit, arithmetic.SubOp, variance, square)
    root, rest, pairs = _inverse_root(emit, variance, _epsilon(op, x.scale))
    # As far to the left as the product with 30 bits allows.
    left = 32 - (255 * count).bit_length()
    centred = wide_multiple(emit, operand, count << left, 0)
    shifted = wide_multiple(emit, total, 1 << left, 0)
    centred = _binary(emit, arithmetic.SubOp, centred, shifted)
    fraction = _fraction(op)
    shifts = 52 + left - (PAIRS - _PAIRS_OF_INDEX) - fraction
    parts = [
        _scaled(emit, centred, part, lookup(emit, pairs, np.clip(s, 0, 62), i8), i48)
        for part, s in ((root, shifts), (rest, shifts + 15))
    ]
    standard = _binary(emit, arithmetic.AddOp, *parts)
    factor, bias = _parameters(op)
    scaled = _product(emit, standard, factor, fraction)
    offset = emit.constant(np.rint(np.ldexp(bias, RESULT_FRACTION)).astype(np.int64), i48)
    if op.epsilon.value.data == 0:
        # A constant row has no result: not a number, which is stored as 0.
        varies = at_least(emit, variance, emit.scalar(1, i48))
        offset = _binary(emit, arithmetic.MulOp, varies, offset)
    wide = _binary(emit, arithmetic.AddOp, scaled, offset)
    return emit.rescale(wide, 1, RESULT_FRACTION, rounding="near_even", output_zp=y.zero_point)


_POWERS = (CANDIDATES, CANDIDATES**2)
_PAIRS_OF_INDEX = CANDIDATES + 128


def _inverse_root(
    emit: Emitter, variance: SSAValue, epsilon: float
) -> tuple[SSAValue, SSAValue, SSAValue]:
    """(root, rest, pairs): (variance + epsilon)**-0.5 = (root * 2**15 + rest) * 2**(22 - p - 67).

    root is an i32 of 30 bits, rest of 18 with a sign, pairs the i8 p - 128. Of a variance of 0 they
    are of no use, and need not be: what they are multiplied by is 0 too.
    """
    whole = _binary(emit, arithmetic.AddOp, variance, emit.scalar(math.floor(epsilon), i48))
    levels = Quantization("i8", (1.0,), (-128,), None)
    pairs = quantize_monotone(
        emit, whole, lambda v: (np.frexp(np.maximum(v, 1))[1] - 1) // 2, levels, 1 << 46
    )
    powers = 4.0 ** np.maximum(PAIRS - _PAIRS_OF_INDEX, 0)
    scaled = _binary(
        emit, arithmetic.MulOp, variance, lookup(emit, pairs, powers.astype(np.int64), i48)
    )
    # Entries beyond 46 bits belong to pairs that there are not.
    offset = np.rint(np.minimum(epsilon * powers, 2.0**46)).astype(np.int64)
    scaled = _binary(emit, arithmetic.AddOp, scaled, lookup(emit, pairs, offset, i48))
    scaled = _binary(emit, arithmetic.MaximumOp, scaled, emit.scalar(1 << 44, i48))
    scaled = _binary(emit, arithmetic.MinimumOp, scaled, emit.scalar((1 << 46) - 1, i48))
    high, low = _parts(emit, scaled, 15)
    root = _first_root(emit, high)
    square = _scaled(emit, root, root, emit.scalar(14, i8), i48)
    upper, lower = _parts(emit, square, 16)
    one = _scaled(emit, high, upper, emit.scalar(14, i8), i48)
    for part, factor, shift in ((high, lower, 30), (low, upper, 29)):
        more = _scaled(emit, part, factor, emit.scalar(shift, i8), i48)
        one = _binary(emit, arithmetic.AddOp, one, more)
    lacking = _binary(emit, arithmetic.SubOp, emit.scalar(1 << 45, i48), one)
    return root, _scaled(emit, lacking, root, emit.scalar(31, i8), i32), pairs


def _parts(emit: Emitter, value: SSAValue, bits: int) -> tuple[SSAValue, SSAValue]:
    """(high, low) in i32 of an i48: value = high * 2**bits + low, 0 <= low < 2**bits."""
    high = emit.rescale(
        value,
        1,
        bits,
        rounding="floor",
        minimum=-(1 << 31),
        maximum=(1 << 31) - 1,
        element=i32,
    )
    low = _binary(emit, arithmetic.SubOp, value, wide_multiple(emit, high, 1 << bits, 0))
    return high, wide_multiple(emit, low, 1, 0, i32)


def _first_root(emit: Emitter, mantissa: SSAValue) -> SSAValue:
    """2**44.5 / sqrt(mantissa) for an i32 of [2**29, 2**31): 30 bits, 28 of which are right.

    A table of the highest 8 bits begins (relative error 2**-8), two Newton steps end: 2**-30.3 and
    what their roundings to 30 bits add.
    """
    index = emit.rescale(mantissa, 1, 23, rounding="floor", output_zp=-128)
    middle = (np.maximum(_PAIRS_OF_INDEX, 64) + 0.5) * 2.0**23
    root = lookup(emit, index, np.rint(2.0**30 / np.sqrt(middle / 2.0**29)).astype(np.int64), i32)
    for _ in range(2):
        square = _scaled(emit, root, root, emit.scalar(30, i8), i32)
        ratio = _scaled(emit, square, mantissa, emit.scalar(30, i8), i32)
        correction = emit.emit(arithmetic.SubOp, [emit.scalar(3 << 29, i32), ratio], i32)
        root = _scaled(emit, root, correction, emit.scalar(30, i8), i32)
    return root


def _product(emit: Emitter, x: SSAValue, factor: Array, fraction: int) -> SSAValue:
    """x * 2**-fraction * factor in i48, with `RESULT_FRACTION` bits behind the point.

    x is of 46 bits, taken in parts of 31 and 15; the factor in two parts of 30.
    """
    exponent = np.clip(30 - np.frexp(factor)[1], 0, 35)
    upper = np.rint(np.ldexp(factor, exponent))
    lower = np.rint(np.ldexp(factor - np.ldexp(upper, -exponent), exponent + 30))
    high, low = _parts(emit, x, 15)
    total: SSAValue | None = None
    shift = exponent + (fraction - RESULT_FRACTION)
    for part, of_factor, by in (
        (high, upper, shift - 15),
        (low, upper, shift),
        (high, lower, shift + 15),
    ):
        product = emit.rescale(
            part,
            _broadcast(of_factor.astype(np.int64)),
            _broadcast(by),
            rounding="up",
            minimum=-(1 << 46),
            maximum=1 << 46,
            element=i48,
        )
        total = product if total is None else _binary(emit, arithmetic.AddOp, total, product)
    assert total is not None
    return total


def _broadcast(array: Array) -> int | Array:
    return int(array.flat[0]) if np.all(array == array.flat[0]) else array


def _scaled(
    emit: Emitter, x: SSAValue, multiplier: SSAValue, shift: SSAValue, element: Attribute
) -> SSAValue:
    """x * multiplier * 2**-shift rounded to nearest, the factor being data."""
    limit = WIDE_LIMIT if element == i48 else 1 << 31
    return emit.emit(
        arithmetic.RescaleOp,
        [x, multiplier, shift],
        element,
        input_zp=0,
        output_zp=0,
        minimum=-limit,
        maximum=limit - 1,
        rounding="up",
    )


def _binary(emit: Emitter, op: type[arithmetic.BinaryOp], a: SSAValue, b: SSAValue) -> SSAValue:
    return emit.emit(op, [a, b], i48)


def _sum(op: StandardizeOp, x: SSAValue, emit: Emitter) -> SSAValue:
    return emit.emit(contraction.ReduceOp, [x], i48, kind="sum", axes=list(op.axes()), x_zp=0)
