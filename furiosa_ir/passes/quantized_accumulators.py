"""Rules: what scales an accumulator and adds real numbers to it belongs to its operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.accumulator import sums_fit
from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.convolution import ConvolutionOp, ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.dialects.graph.normalization import AffineOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.passes.affine_expression import Affine, find_affine, real_constant, stored_of
from furiosa_ir.passes.clone import clone_with
from furiosa_ir.passes.elementwise_expression import is_byte
from furiosa_ir.passes.quantized_movement import rounds_once
from furiosa_ir.passes.quantized_operators import accumulator_integers


@dataclass(frozen=True)
class Product:
    """A convolution or matrix product of 8-bit values as real arithmetic sees it.

    sum(x * weight) * factor + offset, `offset` being shaped to broadcast to the result.
    """

    op: ContractionOp
    x: SSAValue
    weight: SSAValue
    factor: float
    offset: Array

    @property
    def accumulator(self) -> UniformType:
        """The type of the i32 sums: units of x_scale * weight_scale, a scale a channel if need be.

        A transposed convolution's weight has scales for the channels of one group.
        """
        x, weight = quantization_of(self.x), quantization_of(self.weight)
        assert x is not None
        assert weight is not None
        scales = np.array(weight.scales) * x.scale
        if len(scales) > 1:
            scales = np.tile(scales, self.op.channels // len(scales))
        return uniform(np.dtype(np.int32), scales, 0, self.op.channel_axis)


@rule
def quantize_of_accumulator(
    op: QuantizeOp, x: ContractionOp | Affine, rw: Rewrite
) -> SSAValue | None:
    """Q(conv(DQ(x), DQ(w)) * c + d) = affine(conv(x, w), c, d) on conv's i32 accumulator.

    c and d are whatever constants follow: a bias that is no multiple of the accumulator's unit, a
    batch normalisation, factors and sums; they are applied to the accumulator and rounded once,
    before the reshapes and transposes that may stand between.
    Where c > 0 and d is a multiple of the unit that scale(w') = scale(w) * c makes, it is one
    operator with a bias: Q(conv(DQ(x), DQ(w')) + d).
    """
    if not rounds_once(op) or not is_byte(op.result):
        return None
    affine = find_affine(x.results[0], through_moves=True)
    if affine.source is not op.x and not affine.source.has_one_use():
        return None
    product = _product(affine.source)
    if product is None:
        return None
    if not affine.steps and isinstance(product.op, MatMulOp):
        return None  # nothing follows
    factor = affine.factor * product.factor
    offset = affine.factor * product.offset + affine.offset
    unmoved = affine.moves[-1].x if affine.moves else op.x
    if shape_of(unmoved) != shape_of(affine.source):
        return None  # a constant of more elements than the product
    rw.fuse_locations(*affine.steps, product.op)
    if isinstance(affine.source.owner, DequantizeOp):
        rw.fuse_locations(affine.source.owner)
    element = element_of(op.result)
    result = _whole(product, factor, offset, element, rw) if affine.steps else None
    if result is None:
        sums = _on_quantized(product.op, [product.x, product.weight], product.accumulator, rw)
        factor, offset = (np.atleast_1d(a) for a in (factor, offset))
        result = rw.emit(AffineOp, [sums], [element], factor=factor, offset=offset)
    for move in reversed(affine.moves):
        (result,) = clone_with(rw, move, [result], element)
    return result


def _product(value: SSAValue) -> Product | None:
    """The product of 8-bit values that a float one is; also of an accumulator dequantised."""
    stored = stored_of(value)
    owner = value.owner if stored is None else stored.owner
    if not isinstance(owner, ContractionOp) or not shape_of(value):
        return None  # a product of vectors has no channels
    x, weight, *bias = owner.operands
    if stored is None:
        x, weight = stored_of(x), stored_of(weight)
    elif not _is_accumulator(owner) or not stored.has_one_use():
        return None
    if x is None or weight is None or not is_byte(x) or not _is_weight(owner, weight):
        return None
    if not sums_fit(owner, x, weight):
        return None
    offset = np.zeros(())
    if bias:
        reals = real_constant(bias[0]) if stored is None else None
        if reals is None or not np.all(np.isfinite(reals)):
            return None
        spatial = isinstance(owner, ConvolutionOp)
        offset = reals.reshape(owner.along_channels(len(shape_of(value)))) if spatial else reals
    factor, beta = owner.factors
    offset = offset * beta
    product = Product(owner, x, weight, factor, offset)
    if stored is not None and (factor != 1 or element_of(stored) != product.accumulator):
        return None  # integers of another unit: they have been rounded
    return product


def _is_accumulator(op: GraphOp) -> bool:
    """Whether an operation's result is its i32 accumulator."""
    quantization = quantization_of(op.results[0])
    return quantization is not None and quantization.storage == "i32"


def _is_weight(op: ContractionOp, value: SSAValue) -> bool:
    """Whether a value is of 8 bits with one zero point; a constant one may have several scales."""
    quantization = quantization_of(value)
    if quantization is None or quantization.storage not in ("i8", "u8"):
        return False
    if len(set(quantization.zero_points)) > 1:
        return False
    if constant_of(value) is None:
        return quantization.axis is None and isinstance(op, MatMulOp | GemmOp)
    return quantization.axis in (None, op.weight_channel_axis)


def _whole(
    product: Product, factor: Array, offset: Array, element: Attribute, rw: Rewrite
) -> SSAValue | None:
    """Q(conv(DQ(x), DQ(w')) + d) as one operator, scale(w') being scale(w) * c.

    None where c is not positive for each channel, or d no multiple of the accumulator's unit.
    """
    op, channels, axis = product.op, product.op.channels, product.op.channel_axis
    rank = len(shape_of(op.results[0]))
    unit, reals = (_of_channels(a, channels, axis - rank) for a in (factor, offset))
    weight, x, stored = (
        quantization_of(product.weight),
        quantization_of(product.x),
        product.weight.owner,
    )
    if unit is None or reals is None or not bool(np.all(unit > 0)):
        return None
    if weight is None or x is None or not isinstance(stored, ConstantOp):
        return None
    biased = bool(np.any(reals))
    if isinstance(op, ConvTransposeOp) or (biased and isinstance(op, MatMulOp)):
        return None
    scales = np.broadcast_to(np.array(weight.scales) * unit, channels)
    if len(set(scales.tolist())) == 1:
        scales = scales[:1]
    operands: list[SSAValue | None] = [product.x]
    type_ = uniform(np.dtype(weight.dtype), scales, weight.zero_point, op.weight_channel_axis)
    operands.append(rw.emit(ConstantOp, [], [type_], value=stored.value))
    if biased:
        units = np.broadcast_to(scales * x.scale, channels)
        integers = accumulator_integers(np.broadcast_to(reals, channels), units)
        if integers is None:
            rw.undo()
            return None
        type_ = uniform(np.dtype(np.int32), scales * x.scale, 0, 0)
        operands.append(rw.emit(ConstantOp, [], [type_], value=integers))
    return _on_quantized(op, operands, element, rw)


def _on_quantized(
    op: GraphOp, operands: Sequence[SSAValue | None], element: Attribute, rw: Rewrite
) -> SSAValue:
    """The operation on quantised operands, the factors of a Gemm being 1."""
    applied = {"alpha": 1.0, "beta": 1.0} if isinstance(op, GemmOp) else {}
    count = 2 if isinstance(op, MatMulOp) else 3
    return clone_with(rw, op, [*operands, None][:count], element, **applied)[0]


def _of_channels(array: Array, channels: int, axis: int) -> Array | None:
    """A constant that broadcasts along the channels alone, [channels] or [1]; None for others.

    `axis` counts from the back.
    """
    if array.size not in (1, channels):
        return None
    if array.size > 1 and (array.ndim < -axis or array.shape[axis] != channels):
        return None
    return array.reshape(-1)
