"""What one operation of the graph level computes, under either framework's numerics.

Quantised values are arrays of their stored integers. Real numbers are doubles under ONNX's
numerics, whatever float type they have, so that nothing is rounded but by a quantisation; float32
under TFLite's. A float32 array under ONNX's numerics is a float input of the network on its way to
its own quantisation, which is float32 arithmetic in every runtime: its rounding is part of the
input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp
from furiosa_ir.dialects.graph.elementwise import TableOp
from furiosa_ir.dialects.graph.evaluation import evaluate
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, SplitOp
from furiosa_ir.dialects.graph.pooling import MaxPoolOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.reduction import ExtremeOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.interpreter.elements import is_float, numpy_dtype
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.numerics.array import Array

ORDER_ONLY = (
    *(MoveOp, SplitOp, ConcatOp),
    *(MaxPoolOp, ExtremeOp),
)
"""Operations that only move or compare elements: on one quantisation, stored integers will do."""

_BIASED = (ConvOp, ConvTransposeOp, GemmOp)


def evaluate_exactly(op: GraphOp, operands: Sequence[Array]) -> list[Array]:
    """The operation under ONNX's numerics: double precision, one rounding, ties to even."""
    stored = evaluate_stored(op, operands)
    if stored is not None:
        return stored
    if isinstance(op, QuantizeOp):
        q = quantization_of(op.result)
        assert q is not None
        x = operands[0]
        if x.dtype == np.float32:
            return [quantize_float32(x, q)]
        return [quantize(_real(op.x, x), q)]
    reals = [_real(v, a) for v, a in zip(op.operands, operands, strict=True)]
    if isinstance(op, DequantizeOp):
        return reals
    if isinstance(op, _BIASED) and len(reals) > 2:
        reals[2] = exact_bias(op, operands[2], reals[2])
    results = _evaluate(op, reals)
    return [_stored(v, r) for v, r in zip(op.results, results, strict=True)]


def evaluate_float32(op: GraphOp, operands: Sequence[Array]) -> list[Array] | None:
    """The operation under TFLite's numerics, where no quantised arithmetic is involved.

    Returns:
        None for an operation on quantised values: LiteRT's kernel must compute it.
    """
    stored = evaluate_stored(op, operands)
    if stored is not None:
        return stored
    if isinstance(op, QuantizeOp) and quantization_of(op.x) is None:
        q = quantization_of(op.result)
        assert q is not None
        return [_quantize_away(operands[0], q)]
    if isinstance(op, DequantizeOp):
        q = quantization_of(op.x)
        assert q is not None
        return [dequantize(operands[0], q).astype(np.float32)]
    if any(quantization_of(v) is not None for v in (*op.operands, *op.results)):
        return None
    results = _evaluate(op, operands)
    return [
        r.astype(numpy_dtype(element_of(v)), copy=False)
        for v, r in zip(op.results, results, strict=True)
    ]


def evaluate_stored(op: GraphOp, operands: Sequence[Array]) -> list[Array] | None:
    """The operation where it only touches stored integers, under any numerics; else None."""
    if isinstance(op, ConstantOp):
        return [op.value.array]
    if isinstance(op, StorageCastOp):
        return [_storage_cast(operands[0], numpy_dtype(element_of(op.result)))]
    if isinstance(op, TableOp):
        index = operands[0].astype(np.int64) - np.iinfo(operands[0].dtype).min
        return [op.table.array[index]]
    if isinstance(op, ORDER_ONLY):
        elements = {element_of(v) for v in (*op.operands, *op.results)}
        if len(elements) == 1 and not is_float(next(iter(elements))):
            return _evaluate(op, operands)
    return None


def quantize_float32(x: Array, quantization: Quantization) -> Array:
    """A float32 input's own quantisation: division in float32, ties to even."""
    scale, zero_point = _along_axis(quantization, x.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.rint(x / scale.astype(np.float32))
    return _saturated(value, zero_point, quantization)


def _quantize_away(x: Array, quantization: Quantization) -> Array:
    """LiteRT's reference AffineQuantize: division in float32, halves away from zero."""
    scale, zero_point = _along_axis(quantization, x.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        value = x.astype(np.float32) / scale.astype(np.float32)
        # trunc(v + 0.5) would round 0.49999997 up.
        whole = np.trunc(value)
        value = whole + np.where(np.abs(value - whole) >= 0.5, np.sign(value), 0)
    return _saturated(value, zero_point, quantization)


def _saturated(value: Array, zero_point: Array, quantization: Quantization) -> Array:
    low, high = quantization.storage_range
    stored = np.nan_to_num(value.astype(np.float64), nan=0.0) + zero_point
    return np.clip(stored, low, high).astype(quantization.dtype)


def _along_axis(q: Quantization, rank: int) -> tuple[Array, Array]:
    shape = [1] * rank
    if q.axis is not None:
        shape[q.axis] = -1
    return np.array(q.scales).reshape(shape), np.array(q.zero_points, np.float64).reshape(shape)


def exact_bias(op: Operation, stored: Array, real: Array) -> Array:
    """A bias in units of x's scale times the weight's, where its own scale is that but rounded.

    Converters round the product to float32; the arithmetic of every integer kernel does not. The
    three operands may be quantised themselves, or each what a `graph.dequantize` makes.
    """
    x, weight, bias = (_origin(v) for v in op.operands[:3])
    qx, qw, qb = (quantization_of(v) for v in (x, weight, bias))
    if bias is not op.operands[2]:
        constant = constant_of(bias)
        if constant is None:
            return real
        stored = constant
    if qx is None or qw is None or qx.axis is not None or stored.dtype.kind not in "iu":
        return real
    product = np.array(qw.scales) * qx.scale
    if qb is not None and (any(qb.zero_points) or not _nearly(np.array(qb.scales), product)):
        return real
    return stored.astype(np.float64) * product


def _origin(value: SSAValue) -> SSAValue:
    """What a `graph.dequantize` makes `value` of; else the value itself."""
    return value.owner.x if isinstance(value.owner, DequantizeOp) else value


def _nearly(own: Array, product: Array) -> bool:
    if own.size not in (1, product.size) and product.size != 1:
        return False
    return bool(np.allclose(own, product, rtol=1e-6, atol=0))


def _real(value: SSAValue, array: Array) -> Array:
    """The real numbers of an operand; integers that are not quantised stay what they are."""
    q = quantization_of(value)
    if q is not None:
        return dequantize(array, q)
    if is_float(element_of(value)):
        return array.astype(np.float64, copy=False)
    return array


def _stored(value: SSAValue, real: Array) -> Array:
    q = quantization_of(value)
    if q is not None:
        return quantize(real, q)
    if is_float(element_of(value)):
        return real.astype(np.float64, copy=False)
    return real.astype(numpy_dtype(element_of(value)), copy=False)


def _storage_cast(x: Array, dtype: np.dtype[Any]) -> Array:
    if x.dtype == dtype:
        return x
    if {x.dtype, dtype} == {np.dtype(np.int8), np.dtype(np.uint8)}:
        return (x.view(np.uint8) ^ np.uint8(0x80)).view(dtype)
    return x.view(dtype)


def _evaluate(op: GraphOp, operands: Sequence[Array]) -> list[Array]:
    try:
        with np.errstate(all="ignore"):
            results = evaluate(op, operands)
    except NotImplementedError:
        raise ExecutionFailure(
            f"the interpreter has no semantics for {op.name}", layer=layer_name(op) or None
        ) from None
    for value, result in zip(op.results, results, strict=True):
        if result.shape != shape_of(value):
            raise ExecutionFailure(
                f"{op.name} makes shape {list(result.shape)}, not {list(shape_of(value))}",
                layer=layer_name(op) or None,
            )
    return results


def is_float32_input(value: SSAValue) -> bool:
    """Whether a float argument is quantised and used in no other way (see the module's text)."""
    return isinstance(element_of(value), Float32Type) and all(
        isinstance(use.operation, QuantizeOp) for use in value.uses
    )


__all__ = [
    "evaluate_exactly",
    "evaluate_float32",
    "evaluate_stored",
    "exact_bias",
    "is_float32_input",
    "quantize_float32",
]
