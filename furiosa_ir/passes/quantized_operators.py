"""Rules: dequantise - operator - quantise is the operator on quantised types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import f64
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.contraction import SAME_BIAS_SCALE, BiasedOp, ContractionOp
from furiosa_ir.dialects.graph.convolution import GemmOp, MatMulOp
from furiosa_ir.dialects.graph.elementwise import (
    AddOp,
    MaximumOp,
    MinimumOp,
    PReluOp,
    WhereOp,
)
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, PadOp, ReshapeOp, SplitOp
from furiosa_ir.dialects.graph.normalization import AffineOp, NaryOp, StandardizeOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.quant import Quantization, UniformType, uniform
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.passes.affine_expression import Affine, find_affine, real_constant, stored_of
from furiosa_ir.passes.clone import clone_with
from furiosa_ir.passes.quantized_movement import only_quantized, rounds_once

_OWN_RULES = (
    *(ContractionOp, MoveOp, SplitOp, ConcatOp, PadOp),
    *(QuantizeOp, DequantizeOp, StorageCastOp, ConstantOp, OpaqueOp),
)
"""Operations that other rules know how to quantise, or that compute nothing."""


@rule
def quantize_of_operator(op: QuantizeOp, x: GraphOp, rw: Rewrite) -> SSAValue | None:
    """Q(f(DQ(x), DQ(y))) = f(x, y) on quantised types: that is what they mean."""
    if isinstance(x, _OWN_RULES) or len(x.results) != 1:
        return None
    stored = [stored_of(v) for v in x.operands]
    if not rounds_once(op) or not _per_tensor(op.result) or None in stored:
        return None
    operands = [v for v in stored if v is not None]
    if not all(_per_tensor(v) for v in operands):
        return None
    grouped = [operands] if isinstance(x, NaryOp) else operands
    return clone_with(rw, x, grouped, element_of(op.result))[0]


@rule
def quantize_of_affine(op: QuantizeOp, x: Affine, rw: Rewrite) -> SSAValue | None:
    """Q(DQ(x) * c + d) with real constants c and d: one factor and offset for each channel.

    A batch normalisation; sums, products and quotients with constants that are no 8-bit ones.
    """
    if not rounds_once(op) or not _per_tensor(op.result):
        return None
    if all(v is not None and _per_tensor(v) for v in map(stored_of, x.operands)):
        return None  # 8-bit constants take less space
    affine = find_affine(op.x)
    stored = stored_of(affine.source)
    if stored is None or not _per_tensor(stored):
        return None
    if shape_of(op.x) != shape_of(stored):
        return None  # a constant of more elements than x
    rw.fuse_locations(*affine.steps)
    factor, offset = (np.atleast_1d(a) for a in (affine.factor, affine.offset))
    return rw.emit(AffineOp, [stored], [element_of(op.result)], factor=factor, offset=offset)


@rule
def quantize_with_real_parameters(
    op: QuantizeOp, x: PReluOp | StandardizeOp, rw: Rewrite
) -> SSAValue | None:
    """Q(f(DQ(x), c)) = f(x, c) on a quantised x, where the parameters c are real constants.

    The slopes of a PRelu, scale and bias of a normalisation.
    """
    stored, parameters = stored_of(x.operands[0]), x.operands[1:]
    constants = [real_constant(c) for c in parameters]
    if not rounds_once(op) or stored is None or not _per_tensor(stored):
        return None
    if any(c is None for c in constants) or not _per_tensor(op.result):
        return None
    real = list(parameters)
    if any(stored_of(c) is not None for c in parameters):  # all of one type
        arrays = [array for array in constants if array is not None]
        real = [rw.emit(ConstantOp, [], [f64], value=BlobAttr.of(array)) for array in arrays]
    missing = [None] * (len(type(x).get_irdl_definition().operands) - 1 - len(real))
    return clone_with(rw, x, [stored, *real, *missing], element_of(op.result))[0]


@rule
def quantize_of_extremum(op: QuantizeOp, x: MinimumOp | MaximumOp, rw: Rewrite) -> SSAValue | None:
    """Q(max(a, b)) = max(Q(a), Q(b)), for Q is monotone: of more than two operands, of constants.

    Only where a and b come from quantised values and constants.
    """
    if not rounds_once(op) or not _per_tensor(op.result):
        return None
    if not all(_is_extremum_of_stored(v) for v in x.operands):
        return None
    element = element_of(op.result)
    return clone_with(rw, x, [rw.emit(QuantizeOp, [v], [element]) for v in x.operands], element)[0]


def _is_extremum_of_stored(value: SSAValue) -> bool:
    if isinstance(value.owner, MinimumOp | MaximumOp):
        alone = value.has_one_use()
        return alone and all(_is_extremum_of_stored(v) for v in value.owner.operands)
    return stored_of(value) is not None or constant_of(value) is not None


@rule
def quantize_of_where(op: QuantizeOp, x: WhereOp, rw: Rewrite) -> SSAValue | None:
    """Q(where(c, DQ(a), DQ(b))) = where(c, a, b) on quantised types; a constant is quantised."""
    if not rounds_once(op) or not _per_tensor(op.result):
        return None
    element = element_of(op.result)
    chosen: list[SSAValue] = []
    for value in (x.a, x.b):
        stored = stored_of(value)
        if stored is None and constant_of(value) is None:
            return None
        chosen.append(rw.emit(QuantizeOp, [value], [element]) if stored is None else stored)
    if not all(_per_tensor(v) for v in chosen):
        return None
    return clone_with(rw, x, [x.condition, *chosen], element)[0]


@rule
def quantize_of_mat_mul(op: QuantizeOp, x: MatMulOp, rw: Rewrite) -> SSAValue | None:
    """Q(DQ(a) @ DQ(b)) = a @ b on quantised types; a constant b may have scales per column."""
    a, b = stored_of(x.a), stored_of(x.b)
    if not rounds_once(op) or a is None or b is None or not _takes_product(op.result, a, b):
        return None
    if not _per_tensor(a) or not _channels_on(b, len(shape_of(b)) - 1):
        return None
    return clone_with(rw, x, [a, b], element_of(op.result))[0]


@rule
def quantize_of_contraction(op: QuantizeOp, x: BiasedOp, rw: Rewrite) -> SSAValue | None:
    """Q(conv(DQ(x), DQ(w)) + b) = conv(x, w, b') with b' = b / (x_scale * w_scale) in i32.

    Only where b' is integer: a bias that another scale or a float holds may not be, and then
    `quantize_of_accumulator` adds it.
    """
    data, weight = stored_of(x.operands[0]), stored_of(x.operands[1])
    if not rounds_once(op) or data is None or weight is None:
        return None
    if not _takes_product(op.result, data, weight):
        return None
    if not _per_tensor(data) or not _channels_on(weight, x.weight_channel_axis):
        return None
    bias = None
    if len(x.operands) == 3:
        bias = _accumulator_bias(x, data, weight, rw)
        if bias is None:
            return None
    applied = {"beta": 1.0} if bias is not None and isinstance(x, GemmOp) else {}
    return clone_with(rw, x, [data, weight, bias], element_of(op.result), **applied)[0]


@rule
def add_of_mat_mul(op: AddOp, rw: Rewrite) -> SSAValue | None:
    """DQ(a) @ DQ(w) + b = gemm(DQ(a), DQ(w), b) for a constant matrix w and one b for a column.

    Only before a quantisation: the sum is then rounded once, as in the accumulator.
    """
    product, bias = op.a, op.b
    if not isinstance(product.owner, MatMulOp):
        product, bias = bias, product
    inner = product.owner
    if (
        not isinstance(inner, MatMulOp)
        or not product.has_one_use()
        or not only_quantized(op.result)
    ):
        return None
    a, weight = inner.a, inner.b
    stored = stored_of(weight)
    if stored_of(a) is None or stored is None or constant_of(stored) is None:
        return None
    if len(shape_of(weight)) != 2 or len(shape_of(a)) < 2 or not _is_constant(bias):
        return None
    inside, columns = shape_of(weight)
    shape, result = shape_of(bias), shape_of(op.result)
    if result != shape_of(product) or math.prod(shape) != columns or shape[-1:] != (columns,):
        return None
    rw.fuse_locations(inner)
    element = element_of(op.result)
    rows = _reshaped(rw, a, [math.prod(result[:-1]), inside])
    total = rw.emit(
        GemmOp,
        [rows, weight, _reshaped(rw, bias, [columns])],
        [element],
        alpha=1.0,
        beta=1.0,
        trans_a=0,
        trans_b=0,
    )
    return _reshaped(rw, total, result)


def _reshaped(rw: Rewrite, value: SSAValue, shape: Sequence[int]) -> SSAValue:
    if shape_of(value) == tuple(shape):
        return value
    return rw.emit(ReshapeOp, [value], [element_of(value)], shape=shape)


def _is_constant(value: SSAValue) -> bool:
    stored = stored_of(value)
    return constant_of(value if stored is None else stored) is not None


def _per_tensor(value: SSAValue) -> bool:
    """Whether a value is quantised to 8 or 16 bits with one scale."""
    quantization = quantization_of(value)
    return quantization is not None and quantization.axis is None and quantization.storage != "i32"


def _takes_product(result: SSAValue, x: SSAValue, weight: SSAValue) -> bool:
    """Whether a result is of 8 or 16 bits with one scale, or the accumulator itself."""
    q, qx, qw = quantization_of(result), quantization_of(x), quantization_of(weight)
    if q is None or qx is None or qw is None or q.storage != "i32":
        return _per_tensor(result)
    units = {qx.scale * scale for scale in qw.scales}
    return q.axis is None and not any(q.zero_points) and units == set(q.scales)


def _channels_on(value: SSAValue, axis: int) -> bool:
    """Whether a value is quantised with one scale, or is constant with scales along `axis`."""
    quantization = quantization_of(value)
    if quantization is None or quantization.storage == "i32":
        return False
    if quantization.axis is None:
        return True
    return quantization.axis == axis and constant_of(value) is not None


def _accumulator_bias(op: BiasedOp, x: SSAValue, weight: SSAValue, rw: Rewrite) -> SSAValue | None:
    """The bias as an i32 constant in units of x_scale * weight_scale; None if it is not one."""
    x_quantization, w_quantization = quantization_of(x), quantization_of(weight)
    assert x_quantization is not None
    assert w_quantization is not None
    alpha, beta = op.factors
    unit = np.array(w_quantization.scales, np.float64) * x_quantization.scale * alpha
    if not np.all(unit > 0):
        return None
    channels = op.channels
    if w_quantization.axis is not None and channels != len(unit):
        return None  # one scale stands for a channel of every group
    bias = op.operands[2]
    elements = np.prod(shape_of(bias), dtype=np.int64)
    if elements not in (1, channels) or (elements > 1 and shape_of(bias)[-1] != channels):
        return None
    stored = stored_of(bias)
    exact: BlobAttr | None = None
    if stored is not None:
        quantization, constant = quantization_of(stored), constant_of(stored)
        if quantization is None or constant is None:
            return None
        if _is_accumulator(quantization, unit, beta) and shape_of(bias) == (channels,):
            exact = cast("ConstantOp", stored.owner).value
        real = dequantize(constant, quantization)
    else:
        constant = constant_of(bias)
        if constant is None:
            return None
        real = constant.astype(np.float64)
    blob = exact or accumulator_integers(np.broadcast_to(real.reshape(-1) * beta, channels), unit)
    if blob is None:
        return None
    element: UniformType = uniform(np.dtype(np.int32), unit, 0, 0)
    return rw.emit(ConstantOp, [], [element], value=blob)


def _is_accumulator(quantization: Quantization, unit: Any, beta: float) -> bool:
    return (
        quantization.storage == "i32"
        and not any(quantization.zero_points)
        and beta == 1.0
        and bool(np.allclose(np.array(quantization.scales), unit, rtol=SAME_BIAS_SCALE, atol=0))
    )


def accumulator_integers(real: Any, unit: Any) -> BlobAttr | None:
    """real / unit as i32, if it is integer up to the float32 rounding of `real`."""
    quotient = real / unit
    if not np.all(np.isfinite(quotient)):
        return None
    nearest = np.rint(quotient)
    distance = np.abs(quotient - nearest)
    if bool(np.any(distance > 1e-7 * np.maximum(1.0, np.abs(quotient)))):
        return None
    if bool(np.any(np.abs(nearest) >= 2.0**31)):
        return None
    return BlobAttr.of(nearest.astype(np.int32))


OPERATOR_RULES = (
    add_of_mat_mul,
    quantize_of_operator,
    quantize_of_affine,
    quantize_with_real_parameters,
    quantize_of_extremum,
    quantize_of_where,
    quantize_of_mat_mul,
    quantize_of_contraction,
)
