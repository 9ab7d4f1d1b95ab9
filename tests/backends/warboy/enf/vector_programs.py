"""The test vectors of docs/enf.md: each a small program and what goes into its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from furiosa_ir.backends.warboy.enf.records import Copy, Dot, DramTile, DramView, Pool, Store
from furiosa_ir.backends.warboy.vector_engine.arithmetic import ROUNDING_NUMBERS
from furiosa_ir.program import HostSegment, Program, Variable
from tests.backends.warboy.enf.vector_builder import Builder, dense, op

Arrays = Sequence[np.ndarray]
Made = tuple[Builder, Sequence[Arrays]]
I32, I64 = np.iinfo(np.int32), np.iinfo(np.int64)
FULL = {1: (-128, 127), 4: (I32.min, I32.max), 8: (I64.min, I64.max)}


@dataclass(frozen=True)
class TestVector:
    """Attributes: its name, what it is for, its program, the inputs of each run."""

    __test__ = False
    name: str
    what: str
    program: Program
    runs: tuple[tuple[np.ndarray, ...], ...]


MAKERS: dict[str, Callable[[], TestVector]] = {}


def vector(what: str, **cases: Sequence[Any]) -> Callable[[Callable[..., Made]], Any]:
    """Declares the vector that the function below makes, or one for each case of its argument."""

    def declare(make: Callable[..., Made]) -> Any:
        base = make.__name__
        (case, values) = next(iter(cases.items()), ("", [None]))

        def maker(name: str, *arguments: Any) -> Callable[[], TestVector]:
            def made() -> TestVector:
                builder, runs = make(*arguments)
                given = tuple(tuple(run) for run in runs)
                return TestVector(name, what, builder.program(), given)

            return made

        for value in values:
            name = f"{base}_{value}" if case else base
            MAKERS[name] = maker(name, *([value] if case else []))
        return make

    return declare


def draw(shape: Sequence[int], dtype: str = "int8", seed: int = 0) -> np.ndarray:
    """All values of the type alike."""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def ends(dtype: str) -> np.ndarray:
    """[1, 1, 1, 16]: extremes of the type and what lies around zero."""
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    some = [low, low + 1, low // 2 - 1, low // 2, -3, -2, -1, 0, 1, 2, 3, high // 2, high // 2 + 1]
    return np.array([*some, high - 1, high, low // 3], dtype).reshape(1, 1, 1, 16)


# Memory ------------------------------------------------------------------------------------


@vector(
    "load and store of every order, slices, elements; windows across blocks", order=["HCW", "HWC"]
)
def tiles(order: str) -> Made:
    b = Builder()
    runs: list[np.ndarray] = []
    for number, (dtype, slices, shape) in enumerate(
        [
            ("int8", (1, 1), (1, 3, 5, 4)),
            ("uint8", (3, 2), (2, 4, 33, 3)),
            ("int32", (2, 3), (1, 5, 9, 7)),
            ("int64", (4, 4), (1, 5, 5, 6)),
            ("bool", (2, 1), (1, 2, 3, 4)),
        ]
    ):
        x = draw(shape, "int8" if dtype == "bool" else dtype, number)
        runs.append(x > 0 if dtype == "bool" else x)
        tile = b.input(runs[-1], slices, order)
        b.output(tile, dtype)
        # A window that begins and ends within blocks, in both dimensions that are cut.
        window = replace(
            tile, offset=(0, 1, 1, 1), extent=(1, shape[1] - 1, shape[2] - 2, shape[3] - 2)
        )
        b.output(window, dtype)
    return b, [runs]


@vector("a tile that begins in another slice than the first, and one whose images lie apart")
def slices() -> Made:
    b = Builder()
    x = draw((4, 3, 5, 6))
    first = b.input(x, (3, 2), "HWC", first=17)
    apart = b.input(x[::-1].copy(), (3, 2), "HCW", images=4, first=5)
    some = replace(apart, offset=(1, 0, 2, 1), extent=(2, 3, 3, 4))
    copied = b.vector([first], slices=(2, 3), images=4, first=9, order="HWC")
    for tile in (first, some, copied, b.vector([some], slices=(1, 2), images=2)):
        b.output(tile)
    return b, [[x, x[::-1].copy()]]


@vector("which byte of which slice an element is: buffers of whole lines, read as plain bytes")
def layout() -> Made:
    b = Builder()
    run: list[np.ndarray] = []
    for dtype, shape, slices, order, images, first in (
        ("int8", (2, 4, 32, 6), (2, 3), "HCW", 1, 0),
        ("int8", (2, 4, 3, 64), (2, 2), "HWC", 1, 9),
        ("int32", (1, 2, 8, 4), (2, 2), "HCW", 1, 60),
        ("int64", (1, 4, 2, 12), (2, 3), "HWC", 1, 0),
        ("int8", (3, 2, 32, 2), (2, 1), "HCW", 3, 5),
        ("int8", (2, 4, 1, 64), (1, 2), "HWC", 2, 1),
    ):
        run.append(draw(shape, dtype))
        tile = b.input(run[-1], slices, order, images=images, first=first)
        count = images * slices[0] * slices[1]
        plain = b.tile((1, count, tile.slice_bytes, 1), (count, 1), first=first)
        b.output(replace(plain, address=tile.address))
    size = 5 * 32 + 7
    flat = b.constant(np.arange(size).astype(np.int8))
    whole = b.tile((1, 5, 32, 1), (5, 1))
    b.output(replace(whole, address=flat.address))
    rest = b.tile((1, 1, 7, 1), first=5)
    b.output(replace(rest, address=flat.address))
    return b, [run]


@vector("what a window's store leaves of the buffer around it, and of its padding")
def padding() -> Made:
    b = Builder()
    x, y = draw((1, 4, 5, 3)), draw((1, 2, 3, 2), seed=1)
    whole = b.input(x, (2, 2))
    part = b.input(y)
    b.vector([part], result=replace(whole, offset=(0, 1, 1, 1), extent=(1, 2, 3, 2)))
    b.output(whole)
    # A view of whole lines: what lies between W and the line's end belongs to nobody.
    b.output(replace(whole, offset=(0, 3, 0, 0), extent=(1, 1, 5, 3)))
    return b, [[x, y]]


@vector("strides of DRAM: repeated, reversed, transposed elements; places of all element sizes")
def strides() -> Made:
    b = Builder()
    x, wide = draw((1, 4, 5, 6)), draw((1, 2, 3, 4), "int64")
    tensor = b.tensor("x", "int8", x.shape)
    other = b.tensor("wide", "int64", wide.shape)
    b.inputs += [tensor, other]
    at, there = b.bind(tensor).address, b.bind(other).address
    turned = DramTile("workspace", at, (1, 6, 5, 4), (0, 1, 6, 30), 1)
    back = DramTile("workspace", at + 119, (1, 4, 5, 6), (0, -30, -6, -1), 1)
    again = DramTile("workspace", at + 7, (2, 3, 4, 5), (0, 30, 0, 1), 1)
    words = DramTile("workspace", there + 8 * 23, (1, 4, 3, 2), (0, -8, -32, -96), 8)
    for source in (turned, back, again, words):
        b.output(b.load(source, b.tile(source.extent, (2, 2), "HWC", source.element)))
    tile = b.load(turned, b.tile(turned.extent))
    made = b.tensor("transposed", "int8", (4, 5, 6, 1))
    b.outputs.append(made)
    address = b.room(120)
    b.here.outputs.append(b.here.inputs[0].__class__(made, address))
    b.add(Store(tile, DramTile("workspace", address, (1, 6, 5, 4), (120, 1, 6, 30), 1), 0))
    return b, [[x, wide]]


@vector("copies in DRAM: one to eight dimensions, strides of all signs, places that overlap")
def copies() -> Made:
    b = Builder()
    x = draw((2, 3, 4, 5))
    tensor = b.tensor("x", "int8", x.shape)
    b.inputs.append(tensor)
    at = b.bind(tensor).address
    views = [
        (1, (120,), (-1,), (1,)),
        (1, (5, 4, 3, 2), (1, 5, 20, 60), dense((5, 4, 3, 2), 1)),
        (4, (3, 10), (40, 4), (40, 4)),
        (8, (5, 3), (8, 40), (24, 8)),
        (
            1,
            (2, 1, 3, 1, 2, 2, 5, 1),
            (60, 9, 20, 9, 10, 5, 1, 0),
            dense((2, 1, 3, 1, 2, 2, 5, 1), 1),
        ),
        (1, (7, 120), (0, 1), (120, 1)),
    ]
    for number, (element, extent, source, target) in enumerate(views):
        size = int(np.prod(extent)) * element
        made = b.tensor(f"y{number}", "int8", (size,))
        b.outputs.append(made)
        address = b.room(size)
        b.here.outputs.append(b.here.inputs[0].__class__(made, address))
        first = at + max(0, -source[0] * (extent[0] - 1))
        view = DramView("workspace", first, extent, source, element)
        b.add(Copy(view, DramView("workspace", address, extent, target, element), 0))
    # From its own place, one byte on: as if all were read before anything is written.
    moved = b.room(121)
    whole = DramView("workspace", at, (120,), (1,), 1)
    b.add(Copy(whole, replace(whole, address=moved), 0))
    b.add(Copy(replace(whole, address=moved), replace(whole, address=moved + 1), 0))
    made = b.tensor("moved", "int8", (121,))
    b.outputs.append(made)
    b.here.outputs.append(b.here.inputs[0].__class__(made, moved))
    return b, [[x]]


# Instructions ------------------------------------------------------------------------------


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


# Engines -----------------------------------------------------------------------------------


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


# Programs ----------------------------------------------------------------------------------


@vector("a set-up that pins constants, of two segments, and three runs")
def pinned() -> Made:
    b = Builder()
    x = draw((1, 4, 4, 8))
    w, table = draw((8, 1, 1, 8), seed=1), draw((256,), "int32", 2)
    weight = b.constant(w, pin=True)
    looked_up = b.parameter(table, pin=True)
    tile = b.input(x, (2, 2))
    made = b.tile((1, 4, 4, 8), (2, 2), "HWC", 4)
    zero = Dot(
        tile,
        weight,
        w.shape,
        None,
        (1, 1),
        (1, 1),
        (1, 1),
        (0, 0, 0, 0),
        1,
        0,
        0,
        False,
        (),
        (),
        (),
        made,
        0,
    )
    b.add(zero)
    between = b.tensor("between", "int32", (1, 4, 4, 8))
    b.store(made, between)
    b.output(b.vector([tile], [op("lookup", 0, 1, to=4)], [looked_up]))
    b.segment()
    factor = b.parameter([1, 2, 3, 4, 5, 6, 7, 8], pin=True)
    again = b.bind(between)
    second = b.load(again, b.tile(again.extent, (4, 1), "HCW", 4))
    b.output(b.vector([second], [op("mul", 0, 1, to=8)], [factor]))
    return b, [[x], [draw(x.shape, seed=9)], [x]]


@vector("two kernels beside each other, one on each PE")
def beside() -> Made:
    b = Builder("warboy-2pe")
    x = draw((1, 8, 8, 16))
    low, high = b.input(x, (8, 8)), b.input(x, (8, 8), first=64)
    zero = b.tile((1, 8, 8, 16), (8, 8), element=4)
    b.add(replace_result(b, low, zero, 3))
    other = b.tile((1, 8, 8, 16), (4, 16), "HWC", 4, first=64)
    b.add(replace(replace_result(b, high, other, -5), beside=True))
    both = b.vector([zero, other], [op("sub", 0, 1, to=4)], slices=(8, 16))
    b.output(both)
    return b, [[x, x]]


def replace_result(b: Builder, x: Any, result: Any, zp: int) -> Pool:
    return Pool(x, "sum", (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), zp, (), (), (), result, 0)


@vector("variables: what a run leaves is what the next one finds")
def variables() -> Made:
    b = Builder()
    x = draw((1, 2, 2, 4))
    before, after = (b.tensor(name, "int32", (1, 2, 2, 4)) for name in ("before", "after"))
    kept = b.tensor("kept", "uint8", (3,))
    initial = np.arange(16, dtype=np.int32) * -7
    tile = b.input(x)
    state = b.bind(before)
    old = b.load(state, b.tile(state.extent, element=4))
    made = b.vector([tile, old], [op("add", 0, 1, to=4)], element=4)
    b.store(made, after)
    b.outputs += [after, kept]
    b.variables = [
        Variable("state", before, after, initial.tobytes()),
        Variable("kept", kept, kept, bytes([1, 2, 255])),
    ]
    return b, [[x], [x], [-x]]


@vector("outputs with names of their own: an input, and a tensor twice")
def names() -> Made:
    b = Builder()
    x = draw((1, 2, 3, 4))
    y = b.output(b.vector([b.input(x)], [op("add", 0, 0)]))
    b.outputs += [b.inputs[0], y]
    b.names = ("sum", "same as x", "sum again")
    return b, [[x]]


SHAPE, SCALE = (1, 2, 4, 8), 0.5
"""Of what host segments quantise."""


def onnx_quantiser(operator: str, dtype: str, zp: int) -> bytes:
    """A sub-model of one QuantizeLinear or DequantizeLinear."""
    wide, narrow = TensorProto.FLOAT, helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    before, after = (wide, narrow) if operator == "quantize" else (narrow, wide)
    constants = [
        helper.make_tensor("scale", wide, [], [SCALE]),
        helper.make_tensor("zp", narrow, [], [zp]),
    ]
    name = f"{operator.title()}Linear"
    graph = helper.make_graph(
        [helper.make_node(name, ["x", "scale", "zp"], ["y"])],
        "host",
        [helper.make_tensor_value_info("x", before, SHAPE)],
        [helper.make_tensor_value_info("y", after, SHAPE)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def tflite_quantiser(operator: str, dtype: str, zp: int) -> bytes:
    """A sub-model of one QUANTIZE or DEQUANTIZE."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    kinds = {"int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8}
    tensors = []
    for name, is_narrow in (("x", operator != "quantize"), ("y", operator == "quantize")):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(SHAPE)
        tensor.type = kinds[dtype] if is_narrow else schema.TensorType.FLOAT32
        if is_narrow:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [SCALE], [zp]
        tensors.append(tensor)
    code, node = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator.upper())
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 2
    node.inputs, node.outputs = [0], [1]
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [node], [0], [1]
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


QUANTISERS = {"onnx": onnx_quantiser, "tflite": tflite_quantiser}


@vector(
    "host segments that quantise and dequantise: ties, saturation, signed zero",
    of=["onnx_int8", "onnx_uint8", "tflite_int8", "tflite_uint8"],
)
def host(of: str) -> Made:
    b = Builder()
    framework, dtype = of.split("_")
    zp = -3 if dtype == "int8" else 130
    below = np.nextafter(np.float32(0.25), np.float32(0))  # half a step, and a little less
    some = [1e9, -1e9, np.inf, -np.inf, below, -below, -0.0, 63.75, -64.25, 100.0, 33.3, -7.3]
    x = np.array([*np.arange(-26, 26) / 8, *some], np.float32).reshape(SHAPE)
    if framework == "tflite":  # which C++ leaves open
        x[~np.isfinite(x)] = 1e8
    given = b.tensor("x", "float32", SHAPE)
    quantised = b.tensor("x_q", dtype, SHAPE, SCALE, zp)
    made = b.tensor("y_q", dtype, SHAPE, SCALE, zp)
    result = b.tensor("y", "float32", SHAPE)
    b.inputs, b.outputs = [given], [result, quantised]
    quantiser, row = QUANTISERS[framework], ("layer_0", 5, "float data runs on the host")
    model = quantiser("quantize", dtype, zp)
    b.host(HostSegment("host_0", framework, (given,), (quantised,), model, (("quantize", *row),)))
    b.segment()
    tile = b.load(b.bind(quantised), b.tile(SHAPE))
    b.store(b.vector([tile], [op("clamp", 0, immediates=(-100, 90))]), made)
    b.segment()
    model = quantiser("dequantize", dtype, zp)
    b.host(HostSegment("host_2", framework, (made,), (result,), model, (("dequantize", *row),)))
    return b, [[x]]


@vector("runs that end in an error, and go on: a divisor that is not positive")
def bad_divisor() -> Made:
    b = Builder()
    a, d = draw((1, 1, 2, 4)), np.array([1, 2, 3, 4], np.int8).reshape(1, 1, 1, 4)
    given = [b.input(a), b.input(d)]
    b.output(b.vector(given, [op("divide", 0, 1, immediates=(0, -128, 127))]))
    return b, [[a, d], [a, d - 4], [a, d - 1], [a, d]]


@vector("runs that end in an error: a shift beyond 62, a negative one, a multiplier beyond 32 bits")
def bad_factors() -> Made:
    b = Builder()
    x = draw((1, 1, 2, 4))
    m, s = np.array([1, 2, -3, I32.min]), np.array([0, 1, 62, 31], np.int8)
    m, s = m.reshape(1, 1, 1, 4), s.reshape(1, 1, 1, 4)
    given = [b.input(a) for a in (x, m, s)]
    program = [op("rescale", 0, 1, 2, immediates=(0, 0, -128, 127), mode="even")]
    b.output(b.vector(given, program))
    return b, [[x, m, s], [x, m, s + 1], [x, m, s - 1], [x, m - 1, s], [x, -m, s], [x, m, s]]


@vector("i48: values beyond 48 and 53 bits, through SRAM, constants and DRAM")
def wide() -> Made:
    b = Builder()
    x = np.array([1 << k for k in (46, 47, 48, 53, 54, 62)] + [I64.max, I64.min], np.int64)
    x = np.concatenate([x, -x, x - 1, 1 - x]).reshape(1, 4, 1, 8)
    tile = b.input(x, (2, 1), "HWC")
    numbers = b.parameter(np.roll(x, 3).reshape(4, 1, 8), "int64")
    b.output(b.vector([tile], [op("add", 0, 1, to=8)], [numbers]))
    stored = b.vector([tile], [op("sub", 0, 1, to=8)], [numbers], slices=(4, 2))
    b.output(b.vector([stored], [op("maximum", 0, 1, to=8)], [b.parameter(3)]))
    program = [op("rescale", 0, 1, 2, immediates=(0, 0, *FULL[8]), mode="up", to=8)]
    b.output(b.vector([stored], program, [b.parameter(3), b.parameter(1, "int8")]))
    return b, [[x]]
