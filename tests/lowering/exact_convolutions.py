"""Cases: convolutions and matrix products, and what follows their accumulators."""

from __future__ import annotations

import numpy as np

from furiosa_ir.dialects.graph import convolution, normalization
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.quant import uniform
from furiosa_ir.ir.shaped_operation import shape_of
from tests.lowering.drawn import Case, Draw


def _extents(d: Draw, kernel: list[int], dilations: list[int]) -> list[int]:
    """Spatial extents that hold the window at least once, without padding."""
    spans = [(k - 1) * s + 1 for k, s in zip(kernel, dilations, strict=True)]
    return [d.integer(span, span + 7) for span in spans]


def conv(d: Draw) -> GraphOp:
    group = d.choose(1, 1, 2, 4)
    inner, outer = d.integer(1, 4), d.integer(1, 3)
    layout = d.choose("NCHW", "NHWC")
    window, dilations = d.integers(2, 1, 3), d.integers(2, 1, 2)
    h, w = _extents(d, window, dilations)
    at = {"N": d.integer(1, 2), "C": group * inner, "H": h, "W": w}
    kernel = {"O": group * outer, "I": inner, "H": window[0], "W": window[1]}
    kernel_layout = "OIHW" if layout == "NCHW" else "OHWI"
    x = d.value(tuple(at[k] for k in layout))
    weight = d.weight(tuple(kernel[k] for k in kernel_layout), 0 if d.boolean() else None)
    bias = d.bias(x, weight, kernel["O"]) if d.boolean() else None
    return convolution.ConvOp.make(
        [x, weight, bias],
        [d.element(0.05, 0.4)],
        layout=layout,
        kernel_layout=kernel_layout,
        strides=d.integers(2, 1, 2),
        pads=d.integers(4, 0, 2),
        dilations=dilations,
        group=group,
    )


def conv_1d(d: Draw) -> GraphOp:
    kernel, dilations = d.integers(1, 1, 4), d.integers(1, 1, 2)
    channels = d.integer(1, 5)
    x = d.value((d.integer(1, 2), channels, *_extents(d, kernel, dilations)))
    return convolution.ConvOp.make(
        [x, d.weight((d.integer(1, 4), channels, *kernel), 0), None],
        [d.element(0.05, 0.4)],
        layout="NCW",
        kernel_layout="OIW",
        strides=d.integers(1, 1, 3),
        pads=d.integers(2, 0, 2),
        dilations=dilations,
        group=1,
    )


def conv_transpose(d: Draw) -> GraphOp:
    group = d.choose(1, 1, 2)
    inner, outer = group * d.integer(1, 3), d.integer(1, 3)
    x = d.value((d.integer(1, 2), inner, *d.integers(2, 2, 5)))
    strides = d.integers(2, 1, 3)
    weight = d.weight((inner, outer, *d.integers(2, 2, 4)), 1 if d.boolean() else None)
    return convolution.ConvTransposeOp.make(
        [x, weight, None],
        [d.element(0.05, 0.4)],
        layout="NCHW",
        kernel_layout="IOHW",
        strides=strides,
        pads=d.integers(4, 0, 1),
        output_padding=[d.integer(0, s - 1) for s in strides],
        dilations=d.integers(2, 1, 2),
        group=group,
    )


def conv_3d(d: Draw) -> GraphOp:
    group, inner = d.integer(1, 2), d.integer(1, 2)
    kernel = d.integers(3, 1, 3)
    x = d.value((d.integer(1, 2), group * inner, *[d.integer(k, 5) for k in kernel]))
    return convolution.ConvOp.make(
        [x, d.weight((group * d.integer(1, 2), inner, *kernel), 0), None],
        [d.element(0.05, 0.4)],
        layout="NCDHW",
        kernel_layout="OIDHW",
        strides=d.integers(3, 1, 2),
        pads=d.integers(6, 0, 1),
        dilations=[1, 1, 1],
        group=group,
    )


def conv_transpose_3d(d: Draw) -> GraphOp:
    group = d.integer(1, 2)
    inner, outer = group * d.integer(1, 2), d.integer(1, 2)
    extents, kernel = d.integers(3, 2, 4), d.integers(3, 1, 3)
    x = d.value((d.integer(1, 2), inner, *extents))
    weight = d.weight((inner, outer, *kernel), None)
    strides = d.integers(3, 1, 3)
    # At least one element is left.
    ends = [d.integer(0, min(1, n + k - 3)) for n, k in zip(extents, kernel, strict=True)]
    return convolution.ConvTransposeOp.make(
        [x, weight, d.bias(x, weight, group * outer) if d.boolean() else None],
        [d.element(0.05, 0.4)],
        layout="NCDHW",
        kernel_layout="IODHW",
        strides=strides,
        pads=[*d.integers(3, 0, 1), *ends],
        output_padding=[d.integer(0, s - 1) for s in strides],
        dilations=d.integers(3, 1, 2),
        group=group,
    )


def gemm(d: Draw) -> GraphOp:
    m, k, n = d.integer(1, 4), d.integer(1, 16), d.integer(1, 8)
    trans_a, trans_b = d.integers(2, 0, 1)
    alpha = d.choose(1.0, 1.0, 0.5, 0.3)
    x = d.value((k, m) if trans_a else (m, k))
    weight = d.weight((n, k) if trans_b else (k, n), 0 if trans_b else 1)
    return convolution.GemmOp.make(
        [x, weight, d.bias(x, weight, n, alpha) if d.boolean() else None],
        [d.element(0.05, 0.4)],
        alpha=alpha,
        beta=1.0,
        trans_a=trans_a,
        trans_b=trans_b,
    )


def mat_mul(d: Draw) -> GraphOp:
    batch = d.integer(1, 3)
    m, k, n = d.integer(1, 5), d.integer(1, 12), d.integer(1, 5)
    a = d.value((batch, m, k))
    b = d.value((batch, k, n)) if d.boolean() else d.value((k, n))
    return convolution.MatMulOp.make([a, b], [d.element(0.2, 0.9)])


def accumulated(product: Case) -> Case:
    """What follows a product's accumulator: factors of either sign, offsets that may cancel it."""

    def draw(d: Draw) -> GraphOp:
        op = product(d)
        x, weight = op.operands[:2]
        qx, qw = quantization_of(x), quantization_of(weight)
        assert qx is not None
        assert qw is not None
        layout = op.properties.get("layout")
        shape = shape_of(op.results[0])
        axis = len(shape) - 1 if layout is None else layout.data.index("C")
        scales = np.array(qw.scales) * qx.scale
        if len(scales) > 1:
            scales = np.resize(scales, shape[axis])
        element = uniform(np.dtype(np.int32), scales, 0, axis)
        missing = [None] * (len(type(op).get_irdl_definition().operands) - 2)
        properties = {k: v for k, v in op.properties.items() if k != "origin"}
        if isinstance(op, convolution.GemmOp):
            properties.update(alpha=1.0)  # part of the factor
        sums = type(op).make([x, weight, *missing], [element], **properties)
        d.block.add_op(sums)
        channels = [n if i == axis else 1 for i, n in enumerate(shape)]
        along = d.choose(channels, [1], list(shape))
        # One factor in ten is 0.
        factor = d.normal(along, 0.5) * (d.array(along, 0, 9) > 0)
        offset = d.normal(along, d.choose(0, 3, 300))
        if d.one_in(3):
            factor, offset = np.rint(factor * 4) / 4, np.rint(offset * 4) / 4
        result = [d.element(0.05, 0.4)]
        return normalization.AffineOp.make(sums.results, result, factor=factor, offset=offset)

    return draw
