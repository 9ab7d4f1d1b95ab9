"""One quantised operator at a time, drawn at random: what the exact lowerings are tested on."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph import (
    convolution,
    elementwise,
    functions,
    movement,
    normalization,
    pooling,
    quantization,
    rearrangement,
    reduction,
)
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.quant import uniform
from tests.lowering.drawn import Case, Draw


def _extents(d: Draw, kernel: list[int], dilations: list[int]) -> list[int]:
    """Spatial extents that hold the window at least once, without padding."""
    spans = [(k - 1) * s + 1 for k, s in zip(kernel, dilations, strict=True)]
    return [d.integer(span, span + 7) for span in spans]


def _conv(d: Draw) -> GraphOp:
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


def _conv_1d(d: Draw) -> GraphOp:
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


def _conv_transpose(d: Draw) -> GraphOp:
    group = d.choose(1, 1, 2)
    inner, outer = group * d.integer(1, 3), d.integer(1, 3)
    x = d.value((d.integer(1, 2), inner, *d.integers(2, 2, 5)))
    strides = d.integers(2, 1, 3)
    return convolution.ConvTransposeOp.make(
        [x, d.weight((inner, outer, *d.integers(2, 2, 4)), None), None],
        [d.element(0.05, 0.4)],
        layout="NCHW",
        kernel_layout="IOHW",
        strides=strides,
        pads=d.integers(4, 0, 1),
        output_padding=[d.integer(0, s - 1) for s in strides],
        dilations=d.integers(2, 1, 2),
        group=group,
    )


def _conv_3d(d: Draw) -> GraphOp:
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


def _gemm(d: Draw) -> GraphOp:
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


def _mat_mul(d: Draw) -> GraphOp:
    batch = d.integer(1, 3)
    m, k, n = d.integer(1, 5), d.integer(1, 12), d.integer(1, 5)
    a = d.value((batch, m, k))
    b = d.value((batch, k, n)) if d.boolean() else d.value((k, n))
    return convolution.MatMulOp.make([a, b], [d.element(0.2, 0.9)])


def _broadcast(d: Draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to `shape`, of its rank or less."""
    return tuple(1 if d.one_in(3) else n for n in shape)[d.integer(0, len(shape) - 1) :]


def _binary(kind: type[GraphOp], high: float = 0.2) -> Case:
    def draw(d: Draw) -> GraphOp:
        shape = d.shape(1, 4)
        operands = [d.value(shape), d.value(_broadcast(d, shape))]
        return kind.make(operands[:: d.choose(1, -1)], [d.element(0.01, high)])

    return draw


def _div(d: Draw) -> GraphOp:
    return _binary(elementwise.DivOp, d.integer(0, 1) + 0.5)(d)


def _nary(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        same = d.element()
        alike = d.boolean()
        shape = d.shape(1, 3)
        shapes = [shape, *(_broadcast(d, shape) for _ in range(d.integer(0, 4)))]
        operands = [d.value(s, same if alike else None) for s in shapes]
        return kind.make([operands], [d.element(0.05, 0.4)])

    return draw


def _p_relu(d: Draw) -> GraphOp:
    slope = d.choose("real", "constant", "value")
    shape = d.shape(4, 4)
    slopes = (shape[1], 1, 1)
    x = d.value(shape)
    if slope == "real":
        b = d.real_constant(d.normal(slopes, 0.5))
    elif slope == "constant":
        b = d.weight(slopes, None)
    else:
        b = d.value(slopes)
    return elementwise.PReluOp.make([x, b], [d.element()])


def _pow(d: Draw) -> GraphOp:
    exponent = np.array(d.choose(2.0, 3.0, 4.0))
    x = d.value(d.shape(1, 3, 8))
    return elementwise.PowOp.make([x, d.real_constant(exponent)], [d.element()])


def _affine(d: Draw) -> GraphOp:
    x = d.shape(4, 4)
    shape = d.choose((x[1], 1, 1), (1, 1, 1), x)
    factor, offset = d.normal(shape, 1.5), d.normal(shape, 2) * d.integer(0, 1)
    if d.one_in(3):
        factor, offset = np.rint(factor * 4) / 4, np.rint(offset * 4) / 4
    return normalization.AffineOp.make([d.value(x)], [d.element()], factor=factor, offset=offset)


def _standardize(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        layer = kind is normalization.LayerNormOp
        shape = (d.integer(1, 2), d.integer(1, 3), d.integer(1, 8), d.integer(1, 40))
        axis = d.integer(1, 3)
        parameters = shape[axis:] if layer else shape[1:2]
        scale = d.real_constant(d.normal(parameters))
        bias = d.real_constant(d.normal(parameters))
        epsilon = float(np.float32(d.choose(1e-5, 1e-3)))
        extra: dict[str, Any] = {"axis": axis} if layer else {}
        given = None if layer and d.boolean() else bias
        element = d.element(0.02, 0.1)
        return kind.make([d.value(shape), scale, given], [element], epsilon=epsilon, **extra)

    return draw


def _unary(kind: type[GraphOp], **properties: Any) -> Case:
    def draw(d: Draw) -> GraphOp:
        element = d.element()
        x = d.value(d.shape(1, 3, 12), element)
        return kind.make([x], [element if d.one_in(3) else d.element()], **properties)

    return draw


def _clip(d: Draw) -> GraphOp:
    low = d.real(-3, 1) if d.boolean() else 0.0
    return _unary(elementwise.ClipOp, minimum=low, maximum=low + d.real(0, 3))(d)


def _leaky_relu(d: Draw) -> GraphOp:
    alpha = d.real(-0.5, 1.5)
    return _unary(elementwise.LeakyReluOp, alpha=alpha)(d)


def _pool(kind: type[GraphOp], layouts: tuple[str, ...] = ("NCHW", "NHWC")) -> Case:
    def draw(d: Draw) -> GraphOp:
        layout = d.choose(*layouts)
        space = [letter for letter in layout if letter not in "NC"]
        kernel = d.integers(len(space), 2, 3)
        at = {"N": d.integer(1, 2), "C": d.integer(1, 5)}
        at.update(zip(space, d.integers(len(space), 5, 9), strict=True))
        element = d.element()
        extra = {"count_include_pad": d.integer(0, 1)} if kind is pooling.AveragePoolOp else {}
        return kind.make(
            [d.value(tuple(at[k] for k in layout), element)],
            [element if d.boolean() else d.element()],
            layout=layout,
            kernel_shape=kernel,
            strides=d.integers(len(space), 1, 3),
            pads=d.integers(2 * len(space), 0, 1),
            dilations=[1] * len(space),
            ceil_mode=d.integer(0, 1),
            **extra,
        )

    return draw


def _reduce(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        element = d.element()
        shape = d.shape(2, 4, 8)
        # The last ones, all but the first two among them: the global pool.
        order = list(range(len(shape)))[::-1] if d.boolean() else d.order(len(shape))
        axes = sorted(order[: d.integer(1, len(shape) - 1)])
        return kind.make(
            [d.value(shape, element)],
            [element if d.boolean() else d.element(0.05, 0.4)],
            axes=axes,
            keepdims=d.integer(0, 1),
        )

    return draw


def _softmax(d: Draw) -> GraphOp:
    shape = (d.integer(1, 4), d.integer(2, 12))
    usual = uniform(np.dtype(np.int8), 1 / 256, -128)
    return reduction.SoftmaxOp.make(
        [d.value(shape)],
        [d.element(0.004, 0.02) if d.one_in(3) else usual],
        axis=d.integer(-1, 1),
        beta=1.0,
    )


def _log_softmax(d: Draw) -> GraphOp:
    return reduction.LogSoftmaxOp.make(
        [d.value((d.integer(1, 4), d.integer(1, 12), d.integer(1, 4)))],
        [d.element(0.02, 0.3)],
        axis=d.integer(-1, 1),
        beta=1.0,
    )


def _lp_normalization(p: int) -> Case:
    def draw(d: Draw) -> GraphOp:
        x = d.value((d.integer(1, 2), d.integer(1, 9), d.integer(1, 40)))
        y = d.element(0.004, 0.01)
        return reduction.LpNormalizationOp.make([x], [y], axis=d.integer(-2, 2), p=p)

    return draw


def _block(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        layout = d.choose("NCHW", "NHWC")
        size, depth = d.integer(1, 3), d.integer(1, 2)
        deep = kind is rearrangement.DepthToSpaceOp
        channels, space = (depth * size * size, 1) if deep else (depth, size)
        h, w = (space * n for n in d.integers(2, 1, 3))
        at = {"N": d.integer(1, 2), "C": channels, "H": h, "W": w}
        return kind.make(
            [d.value(tuple(at[k] for k in layout))],
            [d.element()],
            blocksize=size,
            mode=d.choose("DCR", "CRD"),
            layout=layout,
        )

    return draw


def _gather(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    axis = d.integer(0, len(shape) - 1)
    indices = d.integers(d.integer(1, 7), 0, shape[axis] - 1)
    return rearrangement.GatherOp.make([d.value(shape)], [d.element()], axis=axis, indices=indices)


def _reshape(d: Draw) -> GraphOp:
    """The dimensions in another order, some of them merged."""
    shape = d.shape(1, 4)
    target: list[int] = []
    for i in d.order(len(shape)):
        if target and d.boolean():
            target[-1] *= shape[i]
        else:
            target.append(shape[i])
    assert prod(target) == prod(shape)
    return movement.ReshapeOp.make([d.value(shape)], [d.element()], shape=target)


def _transpose(d: Draw) -> GraphOp:
    shape = d.shape(1, 5)
    return movement.TransposeOp.make([d.value(shape)], [d.element()], perm=d.order(len(shape)))


def _expand(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    return movement.ExpandOp.make([d.value(_broadcast(d, shape))], [d.element()], shape=shape)


def _tile(d: Draw) -> GraphOp:
    shape = d.shape(1, 4, 4)
    repeats = d.integers(len(shape), 1, 3)
    return movement.TileOp.make([d.value(shape)], [d.element()], repeats=repeats)


def _concat(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    axis = d.integer(0, len(shape) - 1)
    operands: list[SSAValue] = []
    for _ in range(d.integer(1, 4)):
        extents = [d.integer(1, 5) if i == axis else n for i, n in enumerate(shape)]
        operands.append(d.value(tuple(extents)))
    return movement.ConcatOp.make([operands], [d.element()], axis=axis)


def _split(d: Draw) -> GraphOp:
    shape = list(d.shape(1, 4))
    axis = d.integer(0, len(shape) - 1)
    parts = d.integers(d.integer(1, 3), 1, 4)
    shape[axis] = sum(parts)
    element = d.element()
    types = [element if d.boolean() else d.element() for _ in parts]
    return movement.SplitOp.make([d.value(tuple(shape), element)], types, axis=axis, split=parts)


def _slice(d: Draw) -> GraphOp:
    shape = d.shape(1, 4, 6)
    steps = [d.choose(1, 2, 3, -1, -2) for _ in shape]
    starts = [d.integer(0, n - 1) for n in shape]
    # An end of -1 is before the first element.
    ends = [
        d.integer(start + 1, n) if step > 0 else d.integer(-1, start - 1)
        for n, start, step in zip(shape, starts, steps, strict=True)
    ]
    return movement.SliceOp.make(
        [d.value(shape)], [d.element()], starts=starts, ends=ends, steps=steps
    )


def _pad(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    mode = d.choose("constant", "reflect", "edge")
    most = [n - 1 if mode == "reflect" else 3 for n in shape]
    return movement.PadOp.make(
        [d.value(shape)],
        [d.element()],
        pads=[d.integer(0, min(n, 3)) for n in (*most, *most)],
        mode=mode,
        value=d.choose(0.0, 0.37, -1.0),
    )


def _resize(d: Draw) -> GraphOp:
    h, w = d.integers(2, 1, 5)
    sizes = d.integers(2, 1, 11)
    return movement.ResizeOp.make(
        [d.value((d.integer(1, 2), d.integer(1, 3), h, w))],
        [d.element()],
        layout="NCHW",
        mode=d.choose("nearest", "linear"),
        coordinates=d.choose("half_pixel", "align_corners", "asymmetric"),
        nearest_mode=d.choose("round_prefer_floor", "round_prefer_ceil", "floor"),
        sizes=sizes,
        scales=[sizes[0] / h, sizes[1] / w],
    )


CASES: dict[str, Case] = {
    "conv": _conv,
    "conv_1d": _conv_1d,
    "conv_3d": _conv_3d,
    "conv_transpose": _conv_transpose,
    "gemm": _gemm,
    "mat_mul": _mat_mul,
    "add": _binary(elementwise.AddOp),
    "sub": _binary(elementwise.SubOp),
    "mul": _binary(elementwise.MulOp),
    "div": _div,
    "sum": _nary(normalization.SumOp),
    "mean": _nary(normalization.MeanOp),
    "affine": _affine,
    "layer_norm": _standardize(normalization.LayerNormOp),
    "instance_norm": _standardize(normalization.InstanceNormOp),
    "p_relu": _p_relu,
    "pow": _pow,
    "minimum": _binary(elementwise.MinimumOp),
    "maximum": _binary(elementwise.MaximumOp),
    "relu": _unary(elementwise.ReluOp),
    "clip": _clip,
    "leaky_relu": _leaky_relu,
    "sigmoid": _unary(elementwise.SigmoidOp),
    "tanh": _unary(elementwise.TanhOp),
    "gelu": _unary(functions.GeluOp),
    "hard_swish": _unary(functions.HardSwishOp),
    "quantize": _unary(quantization.QuantizeOp),
    "max_pool": _pool(pooling.MaxPoolOp),
    "average_pool": _pool(pooling.AveragePoolOp),
    "max_pool_1d": _pool(pooling.MaxPoolOp, ("NCW",)),
    "average_pool_1d": _pool(pooling.AveragePoolOp, ("NCW",)),
    "reduce_min": _reduce(reduction.ReduceMinOp),
    "reduce_l1": _reduce(reduction.ReduceL1Op),
    "reduce_l2": _reduce(reduction.ReduceL2Op),
    "reduce_sum_square": _reduce(reduction.ReduceSumSquareOp),
    "lp_normalization_1": _lp_normalization(1),
    "lp_normalization_2": _lp_normalization(2),
    "log_softmax": _log_softmax,
    "reduce_mean": _reduce(reduction.ReduceMeanOp),
    "reduce_sum": _reduce(reduction.ReduceSumOp),
    "reduce_max": _reduce(reduction.ReduceMaxOp),
    "softmax": _softmax,
    "reshape": _reshape,
    "transpose": _transpose,
    "expand": _expand,
    "tile": _tile,
    "depth_to_space": _block(rearrangement.DepthToSpaceOp),
    "space_to_depth": _block(rearrangement.SpaceToDepthOp),
    "gather": _gather,
    "concat": _concat,
    "split": _split,
    "slice": _slice,
    "pad": _pad,
    "resize": _resize,
}
"""Operator -> a function that draws one of its quantised forms."""
