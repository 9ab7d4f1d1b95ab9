"""Convolutions and matrix products: weights, biases, accumulators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.graph.convolution import (
    ConvolutionOp,
    ConvTransposeOp,
    GemmOp,
    MatMulOp,
)
from furiosa_ir.dialects.graph.quantization import (
    DequantizeOp,
)
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.ir.shaped_operation import Shape, shape_of
from furiosa_ir.passes.affine_expression import stored_of
from tests.passes.generated.draw import Kind, Unsuitable
from tests.passes.generated.site import Site, draws, leaf


@draws(ConvolutionOp)
def _convolution(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    x = site.first("x", taken, draw.shape((4, 4, 4, 3)))
    properties = site.properties(x, f32, "kernel_layout", "group")
    layout = properties["layout"]
    if len(layout) != len(shape_of(x)):
        raise Unsuitable("another rank")
    spatial = [d for d in layout if d not in "NC"]
    at = dict(zip(layout, shape_of(x), strict=True))
    transposed = issubclass(site.cls, ConvTransposeOp)
    group = 1 if transposed else draw.choice([g for g in (1, 1, 2, at["C"]) if at["C"] % g == 0])
    filters = group * draw.random.randint(1, 4)
    tflite = draw.source == "tflite" or draw.chance(0.2)
    depthwise = tflite and at["C"] == group and not transposed
    letters = "".join(spatial)
    order = f"I{letters}O" if depthwise else f"O{letters}I"
    if not tflite:
        order = ("IO" if transposed else "OI") + letters
    extents = {"O": filters, "I": at["C"] // group}
    extents |= {d: draw.random.randint(1, min(at[d], 3)) for d in spatial}
    properties |= {"kernel_layout": order, "group": group}
    shape = tuple(extents[d] for d in order)
    weight = weights(site, "weight", taken, shape, order.index("O"))
    bias = biases(site, "bias", taken, x, weight, filters)
    return _product(site, [x, weight, bias], made, properties)


@draws(GemmOp)
def _gemm(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    a = site.first("a", taken, draw.shape((2,)))
    properties = site.properties(a, f32)
    if draw.chance(0.6) or taken == "stored":
        properties |= {"alpha": 1.0, "beta": 1.0}
    inside = shape_of(a)[0 if properties["trans_a"] else 1]
    columns = draw.extent()
    shape = (columns, inside) if properties["trans_b"] else (inside, columns)
    b = weights(site, "b", taken, shape, 0 if properties["trans_b"] else 1)
    bias = biases(site, "c", taken, a, b, columns)
    return _product(site, [a, b, bias], made, properties)


@draws(MatMulOp)
def _mat_mul(site: Site) -> Operation:
    draw, (taken, made) = site.draw, site.kinds()
    a = site.first("a", taken, draw.shape((2, 2, 3, 4)))
    shape = (shape_of(a)[-1], draw.extent())
    if len(shape_of(a)) > 2 and draw.chance(0.3):
        shape = (*shape_of(a)[:-2], *shape)
    b = weights(site, "b", taken, shape, len(shape) - 1)
    return _product(site, [a, b], made, {})


def _product(
    site: Site, operands: list[SSAValue | None], kind: Kind, properties: Mapping[str, Any]
) -> Operation:
    if kind != "sum":
        return site.build(operands, site.draw.element(kind), properties)
    x, weight = (None if v is None else quantization_of(v) for v in operands[:2])
    if x is None or weight is None or x.axis is not None:
        raise Unsuitable("no accumulator")
    op = cast("ContractionOp", site.build(operands, f32, properties))
    scales = np.array(weight.scales) * x.scale
    if len(scales) > 1:
        scales = np.tile(scales, op.channels // len(scales))
    element = uniform(np.dtype(np.int32), scales, 0, op.channel_axis)
    made = site.cls.make(operands, [element], **properties)
    op.detach()
    return site.draw.add(made)


def weights(site: Site, name: str, kind: Kind, shape: Shape, axis: int) -> SSAValue:
    """Constant 8-bit weights, with a scale for each index of an axis or one, or others."""
    draw = site.draw
    if name in site.wanted.operands or draw.chance(0.1):
        return site.operand(name, kind, shape)
    if kind == "real" and draw.chance(0.1):
        return draw.constant(draw.array(f32, shape), f32)
    dtype = np.dtype(draw.choice((np.int8, np.int8, np.uint8)))
    element = draw.quantised(dtype)
    if draw.chance(0.6):
        element = uniform(dtype, element.data.scale, 0)
    if draw.chance(0.4) and shape[axis] > 1:
        element = cast("UniformType", draw.by_channel(element, shape, axis))
    stored = draw.constant(draw.array(element, shape), element)
    if kind != "real":
        return stored
    return draw.add(DequantizeOp.make([stored], [f32])).results[0]


def biases(
    site: Site, name: str, kind: Kind, x: SSAValue, weight: SSAValue, count: int
) -> SSAValue | None:
    """A bias: left out, i32 in the accumulator's unit, or real numbers of that or any."""
    draw = site.draw
    if name in site.wanted.operands:
        return site.operand(name, kind, (count,))
    if draw.chance(0.3):
        return None
    data, by = (stored_of(v) if kind == "real" else v for v in (x, weight))
    qx, qw = (None if v is None else quantization_of(v) for v in (data, by))
    if qx is None or qw is None or qx.axis is not None:
        if kind != "real":
            raise Unsuitable("no unit")
        return leaf(draw, kind, (count,), 0)
    unit = (
        np.broadcast_to(np.array(qw.scales) * qx.scale, count)
        if len(qw.scales) in (1, count)
        else None
    )
    if unit is None:
        return None
    rng = np.random.default_rng(draw.random.getrandbits(32))
    integers = rng.integers(-3000, 3000, count).astype(np.int32)
    if kind == "real" and draw.chance(0.5):
        # Within the rounding of a float32, a bias counts as what it is rounded from: exact, or far.
        reals = integers * unit
        if draw.chance(0.5) or np.any(reals.astype(np.float32) != reals):
            reals = rng.uniform(-50, 50, count)
        return draw.constant(reals.astype(np.float32), f32)
    scales = np.array(qw.scales) * qx.scale
    element = uniform(np.dtype(np.int32), scales, 0, 0)
    stored = draw.constant(integers, element)
    return stored if kind != "real" else draw.add(DequantizeOp.make([stored], [f32])).results[0]
