"""Cases: element by element, normalisations, windows, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import i1, i64

from furiosa_ir.dialects.graph import elementwise, normalization, pooling, reduction
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import uniform
from furiosa_ir.ir.constants import BlobAttr
from tests.lowering.drawn import Case, Draw

# Element by element.


def binary(kind: type[GraphOp], high: float = 0.2) -> Case:
    def draw(d: Draw) -> GraphOp:
        shape = d.shape(1, 4)
        operands = [d.value(shape), d.value(d.broadcast(shape))]
        return kind.make(operands[:: d.choose(1, -1)], [d.element(0.01, high)])

    return draw


def div(d: Draw) -> GraphOp:
    return binary(elementwise.DivOp, d.integer(0, 1) + 0.5)(d)


def nary(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        same = d.element()
        alike = d.boolean()
        shape = d.shape(1, 3)
        shapes = [shape, *(d.broadcast(shape) for _ in range(d.integer(0, 4)))]
        operands = [d.value(s, same if alike else None) for s in shapes]
        return kind.make([operands], [d.element(0.05, 0.4)])

    return draw


def p_relu(d: Draw) -> GraphOp:
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


def pow_(d: Draw) -> GraphOp:
    exponent = np.array(d.choose(2.0, 3.0, 4.0))
    x = d.value(d.shape(1, 3, 8))
    return elementwise.PowOp.make([x, d.real_constant(exponent)], [d.element()])


def unary(kind: type[GraphOp], **properties: Any) -> Case:
    def draw(d: Draw) -> GraphOp:
        element = d.element()
        x = d.value(d.shape(1, 3, 12), element)
        return kind.make([x], [element if d.one_in(3) else d.element()], **properties)

    return draw


def clip(d: Draw) -> GraphOp:
    low = d.real(-3, 1) if d.boolean() else 0.0
    return unary(elementwise.ClipOp, minimum=low, maximum=low + d.real(0, 3))(d)


def leaky_relu(d: Draw) -> GraphOp:
    alpha = d.real(-0.5, 1.5)
    return unary(elementwise.LeakyReluOp, alpha=alpha)(d)


def where(d: Draw) -> GraphOp:
    shape = d.shape(1, 4)
    chosen = d.array(d.broadcast(shape), 0, 1) > 0
    condition = ConstantOp.make([], [i1], value=BlobAttr.of(chosen))
    d.block.add_op(condition)
    element, alike = d.element(), d.boolean()
    a, b = (d.value(d.broadcast(shape), element if alike else None) for _ in "ab")
    return elementwise.WhereOp.make(
        [condition.result, a, b], [element if alike else d.element(0.05, 0.4)]
    )


# Normalisations.


def affine(d: Draw) -> GraphOp:
    x = d.shape(4, 4)
    shape = d.choose((x[1], 1, 1), (1, 1, 1), x)
    factor, offset = d.normal(shape, 1.5), d.normal(shape, 2) * d.integer(0, 1)
    if d.one_in(3):
        factor, offset = np.rint(factor * 4) / 4, np.rint(offset * 4) / 4
    return normalization.AffineOp.make([d.value(x)], [d.element()], factor=factor, offset=offset)


def standardize(kind: type[GraphOp]) -> Case:
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


# Windows and reductions.


def pool(kind: type[GraphOp], layouts: tuple[str, ...] = ("NCHW", "NHWC")) -> Case:
    def draw(d: Draw) -> GraphOp:
        layout = d.choose(*layouts)
        space = [letter for letter in layout if letter not in "NC"]
        extents = (3, 6) if len(space) == 3 else (5, 9)
        kernel = d.integers(len(space), 1, 3)
        at = {"N": d.integer(1, 2), "C": d.integer(1, 5)}
        at.update(zip(space, d.integers(len(space), *extents), strict=True))
        element = d.element()
        extra = {"count_include_pad": d.integer(0, 1)} if kind is pooling.AveragePoolOp else {}
        return kind.make(
            [d.value(tuple(at[k] for k in layout), element)],
            [element if d.boolean() else d.element()],
            layout=layout,
            kernel_shape=kernel,
            strides=d.integers(len(space), 1, 3),
            pads=[d.integer(0, min(1, k - 1)) for k in kernel * 2],
            dilations=[1] * len(space),
            ceil_mode=d.integer(0, 1),
            **extra,
        )

    return draw


def reduce(kind: type[GraphOp]) -> Case:
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


def arg_extreme(kind: type[GraphOp]) -> Case:
    def draw(d: Draw) -> GraphOp:
        rank = d.integer(2, 4)
        shape = tuple(d.integer(1, 40 if i == 1 else 5) for i in range(rank))
        return kind.make(
            [d.value(shape)],
            [i64],
            axis=d.integer(-rank, rank - 1),
            keepdims=d.integer(0, 1),
            select_last_index=d.integer(0, 1),
        )

    return draw


def cum_sum(d: Draw) -> GraphOp:
    shape = d.shape(1, 4, 7)
    return reduction.CumSumOp.make(
        [d.value(shape)],
        [d.element(0.05, 0.4)],
        axis=d.integer(-len(shape), len(shape) - 1),
        exclusive=d.integer(0, 1),
        reverse=d.integer(0, 1),
    )


def softmax(d: Draw) -> GraphOp:
    shape = (d.integer(1, 4), d.integer(2, 12))
    usual = uniform(np.dtype(np.int8), 1 / 256, -128)
    return reduction.SoftmaxOp.make(
        [d.value(shape)],
        [d.element(0.004, 0.02) if d.one_in(3) else usual],
        axis=d.integer(-1, 1),
        beta=1.0,
    )


def log_softmax(d: Draw) -> GraphOp:
    return reduction.LogSoftmaxOp.make(
        [d.value((d.integer(1, 4), d.integer(1, 12), d.integer(1, 4)))],
        [d.element(0.02, 0.3)],
        axis=d.integer(-1, 1),
        beta=1.0,
    )


def lp_normalization(p: int) -> Case:
    def draw(d: Draw) -> GraphOp:
        x = d.value((d.integer(1, 2), d.integer(1, 9), d.integer(1, 40)))
        y = d.element(0.004, 0.01)
        return reduction.LpNormalizationOp.make([x], [y], axis=d.integer(-2, 2), p=p)

    return draw
