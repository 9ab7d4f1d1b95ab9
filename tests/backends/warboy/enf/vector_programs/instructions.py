"""Vectors of instructions: each with its extremes, ties and types."""

from __future__ import annotations

import numpy as np

from furiosa_ir.backends.warboy.vector_engine.arithmetic import ROUNDING_NUMBERS
from tests.backends.warboy.enf.vector_builder import Builder, op
from tests.backends.warboy.enf.vector_programs.declaration import (
    FULL,
    I32,
    I64,
    Made,
    draw,
    ends,
    vector,
)


def factors(shift: int) -> list[tuple[int, int]]:
    """(multiplier, shift): many ties, none, all signs and extremes."""
    some = [1, -3, (1 << 30) + 1, I32.max, I32.min]
    return [(m, shift) for m in some]


def tied(dtype: str, multiplier: int, shift: int, mode: str) -> np.ndarray:
    """[24]: x whose products with a multiplier lie on ties, beside them, and far from them."""
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    if mode == "near_even":  # which is not defined where the product and its half leave 64 bits
        reach = (1 << 62) // abs(multiplier)
        low, high = max(low, -reach), min(high, reach)
    half = (1 << shift) // 2
    around = [k * half // (multiplier or 1) + d for k in (-3, -1, 1, 3) for d in (-1, 0, 1)]
    some = [
        *around,
        low,
        low + 1,
        high,
        0,
        1,
        -1,
        low // 2,
        high // 2,
        5 * half,
        -5 * half,
        77,
        -78,
    ]
    return np.array([min(max(v, low), high) for v in some], dtype)


SHIFTS = (0, 1, 15, 30, 31, 32, 40, 62)


@vector(
    "rescale with one rounding: ties, extremes, all shifts; of i8, i32 and i48",
    mode=[*ROUNDING_NUMBERS],
)
def rescale(mode: str) -> Made:
    b = Builder()
    run: list[np.ndarray] = []
    pairs = [pair for shift in SHIFTS for pair in factors(shift)]
    parameters = [b.parameter([m for m, _ in pairs]), b.parameter([s for _, s in pairs], "int8")]
    for dtype in ("int8", "int32", "int64"):
        x = np.stack([tied(dtype, m, s, mode) for m, s in pairs], -1).reshape(1, 4, 6, len(pairs))
        run.append(x)
        tile = b.input(x, (4, 8), "HWC")
        for to, zps, limits in (
            (1, (0, 0), FULL[1]),
            (4, (0, 0), FULL[4]),
            (8, (0, 0), FULL[8]),
            (1, (3, 7), (-100, 101)),
            (8, (-6, -9), (-(1 << 47), (1 << 47) - 1)),
        ):
            program = [op("rescale", 0, 1, 2, immediates=(*zps, *limits), mode=mode, to=to)]
            b.output(b.vector([tile], program, parameters, slices=(4, 8), order="HWC"))
    return b, [run]


@vector("near_even: what counts as a tie, and what just does not, for small and large results")
def near_ties() -> Made:
    b = Builder()
    shift, rows = 31, list[int]()
    one = 1 << shift
    for result in (0, 1, 2, 1000, 465_661_287, -1, -2, -77_777):
        tie = result * one + one // 2
        far = max(one, abs(tie)) // 1_000_000_000
        rows += [
            tie + d for d in (0, far, far + 1, far + 2, far - 1, -far, -far - 1, -far - 2, -far + 1)
        ]
    x = np.array(rows, np.int64).reshape(1, 1, 8, 9)
    tile = b.input(x)
    half = b.input(x >> 1)
    one_, two, s = b.parameter(1), b.parameter(2), b.parameter(shift, "int8")
    for mode in ("near_even", "even", "up"):
        program = [op("rescale", 0, 1, 2, immediates=(0, 0, *FULL[4]), mode=mode, to=4)]
        b.output(b.vector([tile], program, [one_, s]))
        b.output(b.vector([half], program, [two, s]))
    small = [op("rescale", 0, 1, 2, immediates=(0, 0, -128, 127), mode="near_even")]
    b.output(b.vector([tile], small, [one_, s]))
    return b, [[x, x >> 1]]


@vector("rescale by factors that the network computes, broadcast in several ways")
def computed_factors() -> Made:
    b = Builder()
    x = draw((2, 3, 4, 5), "int32")
    m, s = draw((2, 1, 1, 5), "int32", 1), np.abs(draw((1, 3, 1, 5), seed=2).astype(np.int16)) % 63
    tiles_ = [b.input(a) for a in (x, m, s.astype(np.int8))]
    for mode in ROUNDING_NUMBERS:
        program = [op("rescale", 0, 1, 2, immediates=(0, 1, -(1 << 40), 1 << 40), mode=mode, to=8)]
        b.output(b.vector(tiles_, program))
    return b, [[x, m, s.astype(np.int8)]]


ARITHMETIC = ("add", "sub", "mul", "minimum", "maximum")


@vector(
    "arithmetic of all pairs of types into all types: wrap-around, and wrapping before comparing"
)
def arithmetic() -> Made:
    b = Builder()
    run = [ends(dtype) for dtype in ("int8", "int32", "int64")]
    run += [np.concatenate([np.roll(x, n) for n in (0, 3, 5, 10)], 2) for x in run]
    given = [b.input(x) for x in run]
    for i, left in enumerate(given[:3]):
        for j, right in list(enumerate(given[3:]))[i:]:
            for k, name in enumerate(ARITHMETIC):
                to = (1, 4, 8)[(i + 2 * j + k) % 3] if i != j else (8, 1, 4)[i]
                program = [op(name, 0, 1, to=to)]
                b.output(b.vector([left, right], program, shape=(1, 1, 4, 16), order="HWC"))
    return b, [run]


@vector("broadcasting along each axis, of operands and of parameters")
def broadcast() -> Made:
    b = Builder()
    shapes = [(2, 3, 2, 5), (1, 3, 2, 5), (2, 1, 2, 5), (2, 3, 1, 5), (2, 3, 2, 1), (1, 1, 1, 5)]
    run = [draw(shape, seed=1) for shape in shapes]
    given = [b.input(x, (1, 2)) for x in run]
    for other in given[1:]:
        b.output(b.vector([other, given[0]], [op("sub", 0, 1, to=4)], shape=shapes[0]))
    for shape in (*shapes[1:], (1, 1, 1, 1)):
        parameter = b.parameter(draw(shape, "int32", 3))
        b.output(b.vector([given[0]], [op("sub", 0, 1, to=8)], [parameter]))
    b.output(b.vector([given[2], given[3]], [op("mul", 0, 1, to=4)], shape=shapes[0]))
    return b, [run]


@vector("divide: ties to even of all signs, the clamp and the zero point")
def divide() -> Made:
    b = Builder()
    n = np.array(
        [-15, -11, -10, -9, -8, -7, -6, -5, -3, -2, -1, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 15]
    )
    a = (
        np.concatenate([n, [I64.min, I64.max, I32.min, 1 << 40]])
        .astype(np.int64)
        .reshape(1, 1, 27, 1)
    )
    d = np.array([1, 2, 3, 4, 6, 7, 10, I32.max, (1 << 62) - 1, I64.max]).reshape(1, 1, 1, 10)
    given = [b.input(a), b.input(d)]
    for to, zp, (low, high) in (
        (1, 0, (-128, 127)),
        (1, 3, (-2, 2)),
        (4, -7, FULL[4]),
        (8, 1, FULL[8]),
    ):
        program = [op("divide", 0, 1, immediates=(zp, low, high), to=to)]
        b.output(b.vector(given, program, shape=(1, 1, 27, 10)))
    return b, [[a, d]]


@vector("clamp within and beyond the limits of each type")
def clamp() -> Made:
    b = Builder()
    run = [ends(dtype) for dtype in ("int8", "int32", "int64")]
    for element, x in zip((1, 4, 8), run, strict=True):
        tile = b.input(x)
        for low, high in ((-1, 2), (-3, -3), (-1000, 100), (-100, I64.max), FULL[8]):
            b.output(b.vector([tile], [op("clamp", 0, immediates=(low, high), to=element)]))
    return b, [run]


@vector("lookup in tables of each type, of an operand, a parameter and a computed register")
def lookup() -> Made:
    b = Builder()
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 4, 8, 8)
    tile = b.input(x, (2, 2))
    few = b.parameter([-128, -1, 0, 1, 127, 5, -5, 64], "int8")
    for dtype, element in (("int8", 1), ("int32", 4), ("int64", 8)):
        table = b.parameter(draw((256,), dtype, 7), dtype)
        b.output(b.vector([tile], [op("lookup", 0, 1, to=element)], [table]))
        program = [op("lookup", 1, 2, to=element), op("add", 0, 3, to=8)]
        b.output(b.vector([tile], program, [few, table]))
        program = [op("add", 0, 0), op("lookup", 2, 1, to=element)]
        b.output(b.vector([tile], program, [table]))
    return b, [[x]]


@vector("reduce along every axis and several: sums with zero points that wrap, greatest elements")
def reduce() -> Made:
    b = Builder()
    run = [draw((2, 3, 4, 5), dtype, 8) for dtype in ("int8", "int32", "int64")]
    for x in run:
        tile = b.input(x, (2, 1), "HWC")
        for axes in {1: ((1,), (3, 0)), 4: ((2,), (0, 1, 2, 3)), 8: ((0,), (3,))}[x.itemsize]:
            shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
            for mode, zp, to in (
                ("sum", 5, 4),
                ("sum", -100, 1),
                ("sum", 1 << 40, 8),
                ("max", 9, 1),
                ("max", 0, 8),
            ):
                program = [op("reduce", 0, immediates=(zp, *axes), mode=mode, to=to)]
                b.output(b.vector([tile], program, shape=shape))
    return b, [run]


@vector("gather along every axis, elements repeated and left out")
def gather() -> Made:
    b = Builder()
    run = [draw((2, 3, 4, 5), dtype, 9) for dtype in ("int8", "int32", "int64")]
    for element, x in zip((1, 4, 8), run, strict=True):
        tile = b.input(x)
        for axis, indices in ((0, (1, 0, 1)), (1, (2,)), (2, (3, 3, 0, 1, 2, 0)), (3, (4, 2, 0))):
            shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
            program = [op("gather", 0, immediates=(axis, *indices), to=element)]
            b.output(b.vector([tile], program, shape=shape))
    return b, [run]


@vector("interpolate along every axis, weights that wrap in the result's type")
def interpolate() -> Made:
    b = Builder()
    run = [draw((2, 3, 4, 5), dtype, 10) for dtype in ("int8", "int32", "int64")]
    for x in run:
        tile = b.input(x, (1, 5))
        for axis in (0, 3) if x.itemsize == 8 else (1, 2):
            lower, upper = (0, 1, x.shape[axis] - 1, 0), (1, 0, x.shape[axis] - 1, 0)
            weights = (1024, 1000, 3, -(1 << 33) - 5), (0, 24, I32.max, 129)
            shape = (*x.shape[:axis], 4, *x.shape[axis + 1 :])
            for to in {1: (4, 8), 4: (1, 4), 8: (8, 1)}[x.itemsize]:
                numbers = (axis, 4, *lower, *upper, *weights[0], *weights[1])
                program = [op("interpolate", 0, immediates=numbers, to=to)]
                b.output(b.vector([tile], program, shape=shape))
    return b, [run]


@vector("a program of many instructions whose registers are read again, and one that copies")
def programs() -> Made:
    b = Builder()
    x, y = draw((1, 4, 4, 8)), draw((1, 1, 1, 8), seed=1)
    given = [b.input(x), b.input(y)]
    seven = b.parameter(7)
    program = [
        op("add", 0, 1, to=4),
        op("mul", 3, 3, to=4),
        op("sub", 4, 0, to=8),
        op("minimum", 5, 2, to=8),
        op("reduce", 6, immediates=(0, 3), mode="sum", to=8),
        op("add", 7, 5, to=4),
        op("clamp", 8, immediates=(-100_000, 90), to=4),
        op("maximum", 9, 3, to=1),
    ]
    b.output(b.vector(given, program, [seven]))
    b.output(b.vector([given[0]], order="HWC", slices=(2, 4)))
    in_place = b.vector([given[0]])
    b.vector([in_place], [op("sub", 1, 0)], [b.parameter(1)], result=in_place)
    b.output(in_place)
    return b, [[x, y]]
