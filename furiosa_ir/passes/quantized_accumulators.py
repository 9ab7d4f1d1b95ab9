"""Rules: what scales an accumulator (ConvInteger, MatMulInteger) belongs to its operator."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.convolution import ConvOp, MatMulOp
from furiosa_ir.dialects.graph.elementwise import AddOp, MulOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import uniform
from furiosa_ir.ir.constants import Array, BlobAttr
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.passes.quantized_operators import accumulator_integers


@rule(QuantizeOp, x=(MulOp, AddOp))
def quantize_of_accumulator(op: QuantizeOp, rw: Rewrite) -> SSAValue | None:
    """Q(DQ(conv(x, w)) * c + b) = Q(conv(DQ(x), DQ(w')) + b), scale(w') = scale(w) * c > 0.

    Where the i32 accumulator is used for nothing else, and b is a multiple of its unit: then the
    operator is quantised with its bias, and 8 bits leave the NPU instead of 32.
    """
    scaled, bias = _constant_operand(cast("GraphOp", op.x.owner), AddOp)
    product = scaled.owner
    if not isinstance(product, MulOp) or not (scaled is op.x or scaled.has_one_use()):
        return None
    real, factor = _constant_operand(product, MulOp)
    accumulator = real.owner.x if isinstance(real.owner, DequantizeOp) else None
    inner = None if accumulator is None else accumulator.owner
    if factor is None or accumulator is None or not isinstance(inner, ConvOp | MatMulOp):
        return None
    if not real.has_one_use() or not accumulator.has_one_use() or len(inner.operands) != 2:
        return None
    x, weight = inner.operands
    channels, axis = _channels(inner)
    q, elements = quantization_of(weight), constant_of(weight)
    unit, offset = _along(factor, channels, axis), _along(bias, channels, axis)
    if q is None or elements is None or unit is None or (bias is not None and offset is None):
        return None
    if not bool(np.all(unit > 0)) or len(set(q.zero_points)) > 1:
        return None
    scales = np.broadcast_to(np.array(q.scales) * unit, channels)
    x_scale = cast("Any", quantization_of(x)).scale
    rounded = bool(getattr(rw.options, "round_biases", False))
    if offset is not None and accumulator_integers(offset, scales * x_scale, rounded) is None:
        return None
    several = len(set(scales.tolist())) > 1
    output = inner.kernel_layout.data.index("O") if isinstance(inner, ConvOp) else elements.ndim - 1
    element = uniform(
        np.dtype(q.dtype),
        scales if several else scales[:1],
        q.zero_point,
        output if several else None,
    )
    rw.also(product, cast("GraphOp", real.owner), inner)
    blob = cast("ConstantOp", weight.owner).value
    f32 = element_of(real)
    operands = [rw.emit(DequantizeOp, [x], [f32])]
    stored = rw.emit(ConstantOp, [], [element], value=blob)
    operands.append(rw.emit(DequantizeOp, [stored], [f32]))
    properties: dict[str, Any] = {k: v for k, v in inner.properties.items() if k != "origin"}
    constant = None
    if offset is not None:
        reals = np.broadcast_to(offset, channels).astype(np.float32)
        constant = rw.emit(ConstantOp, [], [f32], value=BlobAttr.of(np.ascontiguousarray(reals)))
    if isinstance(inner, ConvOp):
        whole = rw.emit(ConvOp, [*operands, constant], [f32], **properties)
    else:
        whole = rw.emit(MatMulOp, operands, [f32], **properties)
        if constant is not None:
            whole = rw.emit(AddOp, [whole, constant], [f32])
    return rw.emit(QuantizeOp, [whole], [element_of(op.result)])


def _constant_operand(op: GraphOp, kind: type[AddOp | MulOp]) -> tuple[SSAValue, Array | None]:
    """The other operand of a sum or product with a constant; the result itself of anything else."""
    if isinstance(op, kind):
        for value, other in ((op.a, op.b), (op.b, op.a)):
            constant = constant_of(other)
            if constant is not None and quantization_of(other) is None:
                return value, constant.astype(np.float64)
    return op.results[0], None


def _channels(op: ConvOp | MatMulOp) -> tuple[int, int]:
    """How many output channels there are, and on which axis from the back of the result."""
    shape = shape_of(op.result)
    axis = op.layout.data.index("C") if isinstance(op, ConvOp) else len(shape) - 1
    return shape[axis], axis - len(shape)


def _along(array: Array | None, channels: int, axis: int) -> Array | None:
    """A constant that broadcasts along the channels alone, [channels] or [1]; None for others."""
    if array is None or array.size not in (1, channels):
        return None
    if array.size > 1 and (array.ndim < -axis or array.shape[axis] != channels):
        return None
    return array.reshape(-1)
