"""Vectors of the engines: dot products and pools, with windows, groups and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from furiosa_ir.backends.warboy.enf.records import Dot, Pool
from tests.backends.warboy.enf.vector_builder import Builder, op
from tests.backends.warboy.enf.vector_programs.declaration import (
    I32,
    Made,
    draw,
    vector,
)


def dot(b: Builder, x: Any, weight: np.ndarray | None, shape: Sequence[int], **how: Any) -> Any:
    """A `Dot` whose accumulators are its result."""
    bias = how.pop("bias", None)
    result = how.pop("result", None) or b.tile(shape, (1, 1), "HWC", 4)
    command = Dot(
        x,
        None if weight is None else b.constant(weight),
        (1, 1, 1, 1) if weight is None else weight.shape,
        None if bias is None else b.constant(np.array(bias, np.int32)),
        *((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, 0, 0),
        batched=weight is None,
        operands=(),
        parameters=(),
        program=(),
        result=result,
        layer=0,
    )
    return b.add(replace(command, **how))


@vector("dot: windows, strides, dilations, padding with the zero point, both zero points, biases")
def convolutions() -> Made:
    b = Builder()
    x = draw((2, 7, 9, 4))
    hcw, hwc = b.input(x, (3, 2)), b.input(x, (2, 1), "HWC")
    w = draw((5, 3, 2, 4), seed=1)
    bias = [1, -1, 1000, I32.max, I32.min]
    one = np.ascontiguousarray(w[:, :1, :1])
    b.output(dot(b, hcw, one, (2, 7, 9, 5)))
    b.output(dot(b, hwc, one, (2, 7, 9, 5), x_zp=-128, weight_zp=127, bias=bias))
    b.output(dot(b, hcw, w, (2, 7, 9, 5), pads=(1, 0, 1, 1), x_zp=17, bias=bias))
    b.output(dot(b, hwc, w, (2, 3, 4, 5), strides=(2, 2), pads=(0, 0, 1, 0), x_zp=-3, weight_zp=2))
    b.output(
        dot(b, hcw, w, (2, 2, 3, 5), strides=(3, 4), dilations=(2, 3), pads=(1, 3, 0, 2), x_zp=5)
    )
    window = replace(hcw, offset=(1, 2, 3, 0), extent=(1, 4, 5, 4))
    b.output(dot(b, window, w, (1, 2, 4, 5), weight_zp=-128))
    return b, [[x, x]]


@vector("dot: groups, depthwise, channel multipliers")
def groups() -> Made:
    b = Builder()
    x = draw((1, 5, 6, 6))
    tile = b.input(x, (2, 3), "HWC")
    for group, shape in (
        (2, (4, 3, 3, 3)),
        (3, (6, 2, 2, 2)),
        (6, (6, 3, 3, 1)),
        (6, (12, 1, 3, 1)),
    ):
        w = draw(shape, seed=group)
        extent = (1, 5 - shape[1] + 1, 6 - shape[2] + 1, shape[0])
        bias = draw((shape[0],), "int32", 5)
        b.output(dot(b, tile, w, extent, group=group, x_zp=-7, weight_zp=3, bias=bias))
    return b, [[x]]


@vector("dot: an input that is spread, with padding and with crops (transposed convolutions)")
def spread() -> Made:
    b = Builder()
    x = draw((1, 3, 4, 2))
    tile = b.input(x)
    w = draw((3, 3, 3, 2), seed=1)
    b.output(dot(b, tile, w, (1, 7, 10, 3), input_dilation=(2, 3), pads=(2, 1, 2, 1), x_zp=9))
    b.output(
        dot(
            b,
            tile,
            w,
            (1, 2, 5, 3),
            input_dilation=(2, 3),
            pads=(-1, -2, 0, -1),
            x_zp=-9,
            weight_zp=4,
        )
    )
    cropped = (-1, -2, -1, -2)
    b.output(dot(b, tile, w, (1, 1, 4, 3), input_dilation=(2, 3), pads=cropped, x_zp=100))
    b.output(dot(b, tile, w, (1, 5, 3, 3), input_dilation=(1, 2), pads=(2, -1, 2, -1), x_zp=1))
    return b, [[x]]


@vector("dot: accumulators that wrap in 32 bits")
def accumulators() -> Made:
    b = Builder()
    x = np.concatenate([np.full((1, 1, 1, 64), v, np.int8) for v in (127, -128, 100)], 2)
    tile = b.input(x, (1, 1), "HWC")
    w = np.stack([np.full((1, 1, 64), v, np.int8) for v in (127, -128, 1, -1)])
    bias = [I32.max, I32.max, I32.max - 5, I32.min]
    b.output(dot(b, tile, w, (1, 1, 3, 4), bias=bias, x_zp=-128))
    b.output(dot(b, tile, w, (1, 1, 3, 4), bias=[I32.min] * 4, weight_zp=127, x_zp=127))
    return b, [[x]]


@vector("dot: products of two activations, with zero points and a bias")
def batched() -> Made:
    b = Builder()
    x, y = draw((2, 3, 4, 5)), draw((2, 3, 6, 5), seed=1)
    left, right = b.input(x, (3, 1)), b.input(y, (1, 5), "HWC")
    for how in ({}, {"x_zp": 11, "weight_zp": -20, "bias": range(6)}):
        b.output(dot(b, left, None, (2, 3, 4, 6), operands=(right,), **how))
    # The second factor is a register, too.
    program = (
        op("reduce", 1, immediates=(0, 3), mode="max"),
        op("gather", 3, immediates=(2, 0, 1, 2, 3)),
        op("reduce", 2, immediates=(0, 3), mode="sum", to=4),
        op("sub", 0, 4, to=4),
        op("add", 6, 5, to=4),
    )
    both: Any = {"operands": (right, left), "program": program}
    b.output(dot(b, left, None, (2, 3, 4, 6), **both))
    return b, [[x, y]]


@vector("dot and pool with programs: a factor a channel, a residual sum, a table")
def epilogues() -> Made:
    b = Builder()
    x, y = draw((1, 6, 6, 8)), draw((1, 6, 6, 8), seed=3)
    given, other = b.input(x, (2, 2)), b.input(y, (3, 1), "HWC")
    w = draw((8, 3, 3, 8), seed=4)
    parameters = (
        b.parameter([1 << 30, 3 << 28, -(1 << 29), 12345, 1 << 27, I32.max, 77, 1]),
        b.parameter([39, 38, 40, 20, 37, 41, 15, 4], "int8"),
        b.parameter(draw((256,), seed=6), "int8"),
    )
    limits = (0, -5, -128, 127)
    program = (
        op("rescale", 0, 2, 3, immediates=limits, mode="near_even"),
        op("add", 5, 1, to=4),
        op("clamp", 6, immediates=(-128, 127), to=4),
        op("rescale", 7, 2, 3, immediates=(1, 0, -128, 127), mode="double"),
        op("lookup", 8, 4),
    )
    how: Any = {"operands": (other,), "parameters": parameters, "program": program}
    made = b.tile((1, 6, 6, 8), (2, 4))
    b.output(dot(b, given, w, (), pads=(1, 1, 1, 1), x_zp=3, result=made, **how))
    made = b.tile((1, 6, 6, 8), (1, 8), "HWC")
    pooled = Pool(
        given, "sum", (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), -20, **how, result=made, layer=0
    )
    b.output(b.add(pooled))
    return b, [[x, y]]


@vector("pool: greatest elements and sums, padding that never wins and that counts nothing")
def pools() -> Made:
    b = Builder()
    x = draw((2, 6, 7, 3))
    x[0] = np.minimum(x[0], -120)
    tile = b.input(x, (2, 3), "HWC")
    for kind, zp in (("max", 50), ("sum", 0), ("sum", -128), ("sum", 127)):
        for window, steps, apart, pads in (
            ((2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
            ((3, 2), (1, 2), (1, 1), (1, 0, 1, 1)),
            ((2, 3), (3, 1), (2, 2), (0, 2, 1, 1)),
            ((1, 1), (2, 3), (1, 1), (3, 3, 3, 3)),
        ):
            rows = (6 + pads[0] + pads[2] - (window[0] - 1) * apart[0] - 1) // steps[0] + 1
            columns = (7 + pads[1] + pads[3] - (window[1] - 1) * apart[1] - 1) // steps[1] + 1
            element = 1 if kind == "max" else 4
            made = b.tile((2, rows, columns, 3), (1, 1), "HCW", element)
            command = Pool(tile, kind, window, steps, apart, pads, zp, (), (), (), made, 0)
            b.output(b.add(command))
    return b, [[x]]
