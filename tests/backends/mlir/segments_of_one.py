"""Random operations of `ftensor`, each in a function of its own, and what native code makes of it.

All functions are one module, which IREE compiles once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, i8, i32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from furiosa_ir.dialects.ftensor import (
    AddOp,
    BroadcastOp,
    ClampOp,
    ConcatOp,
    ConstantOp,
    ConvOp,
    DivideOp,
    GatherOp,
    InterpolateOp,
    LookupOp,
    MatMulOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PadOp,
    ReduceOp,
    ReduceWindowOp,
    RescaleOp,
    ReshapeOp,
    SliceOp,
    SubOp,
    TensorOp,
    TransposeOp,
    i48,
)
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE
from furiosa_ir.ir.shaped_operation import tensor_type
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.fixed_point import ROUNDINGS
from tests.backends.mlir.native_functions import NativeFunctions

Element = Any


@dataclass(frozen=True)
class Case:
    """An operation on operands, of which some are constants.

    Attributes:
        kind: its class.
        operands: elements and element type of each; None where one is left out.
        constant: which operands are constants.
        element: of the result.
        properties: of the operation.
    """

    kind: type[TensorOp]
    operands: tuple[tuple[Array, Element] | None, ...]
    constant: tuple[bool, ...]
    element: Element
    properties: Mapping[str, Any]

    def arguments(self) -> list[Array]:
        """What the function takes."""
        pairs = zip(self.operands, self.constant, strict=True)
        return [o[0] for o, constant in pairs if o is not None and not constant]

    def function(self) -> FuncOp:
        """A function of the operation alone."""
        taken = [
            o
            for o, constant in zip(self.operands, self.constant, strict=True)
            if o is not None and not constant
        ]
        block = Block(arg_types=[tensor_type(e, a.shape) for a, e in taken])
        arguments = iter(block.args)
        values: list[Any] = []
        for operand, constant in zip(self.operands, self.constant, strict=True):
            if operand is None:
                values.append(None)
            elif constant:
                held = ConstantOp.make([], [operand[1]], value=operand[0])
                block.add_op(held)
                values.append(held.result)
            else:
                values.append(next(arguments))
        given: Any = [values] if self.kind is ConcatOp else values
        op = self.kind.make(given, [self.element], **self.properties)
        block.add_ops([op, ReturnOp(op.results[0])])
        types = [a.type for a in block.args], [op.results[0].type]
        return FuncOp("f", types, Region(block))


class Cases:
    """Cases that are compiled together."""

    def __init__(self) -> None:
        self._cases: list[Case] = []
        self._native = NativeFunctions()

    def add(self, cases: Sequence[Case]) -> None:
        """Lowers some."""
        for case in cases:
            self._native.add(case.function(), case.arguments())
            self._cases.append(case)

    @property
    def module(self) -> ModuleOp:
        """What they are in upstream's dialects."""
        return self._native.module

    def differing(self) -> list[Case]:
        """The cases of which native code makes something else than the operation."""
        return [self._cases[i] for i in self._native.differing()]


class Draw:
    """Draws random members of each kind of operation."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one(self, choices: Sequence[Any]) -> Any:
        return choices[self.number(0, len(choices) - 1)]

    def shape(self, rank: int | None = None, most: int = 5) -> tuple[int, ...]:
        rank = self.number(0, 4) if rank is None else rank
        return tuple(self.number(1, most) for _ in range(rank))

    def elements(self, shape: Sequence[int], element: Element, bits: int | None = None) -> Array:
        width = bits or {i8: 8, i32: 32, i48: 48}[element]
        low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
        drawn = self.rng.integers(low, high, tuple(shape), dtype=np.int64, endpoint=True)
        ends = self.rng.choice(np.array([low, high, 0, -1, 1]), tuple(shape))
        mixed = np.where(self.rng.random(tuple(shape)) < 0.2, ends, drawn)
        return mixed.astype(NUMPY_DTYPE[element])

    def operand(
        self, shape: Sequence[int], element: Element, bits: int | None = None
    ) -> tuple[Array, Element]:
        return self.elements(shape, element, bits), element

    def smaller(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that broadcasts to another one."""
        kept = shape[self.number(0, len(shape)) :]
        return tuple(1 if self.rng.random() < 0.3 else n for n in kept)

    def case(self, kind: type[TensorOp]) -> Case:
        return DRAWS[kind](self, kind)


def _binary(draw: Draw, kind: type[TensorOp]) -> Case:
    result, (a, b) = draw.one(
        [(i32, (i8, i32)), (i48, (i32, i8)), (i8, (i8, i8)), (i48, (i48, i48))]
    )
    shape = draw.shape()
    bits = 23 if kind is MulOp and result == i48 else None
    one = draw.operand(shape, a, bits if a != i8 else None)
    other = draw.operand(draw.smaller(shape), b, bits if b != i8 else None)
    if kind is not MulOp and result == i48:
        one, other = (
            draw.operand(shape, a, 46 if a == i48 else None),
            draw.operand(shape, b, 46 if b == i48 else None),
        )
    return Case(kind, (one, other), (False, draw.one([True, False])), result, {})


def _rescale(draw: Draw, kind: type[TensorOp]) -> Case:
    element, rounding = draw.one([i8, i32, i48]), draw.one(ROUNDINGS)
    return rescale_case(draw, draw.shape(draw.number(1, 4)), element, rounding, draw.one([0, 0, 1]))


def rescale_case(
    draw: Draw, shape: tuple[int, ...], element: Element, rounding: str, is_data: int
) -> Case:
    """A rescale of random numbers, or of ties and what is next to them.

    Args:
        draw: random numbers.
        shape: of x.
        element: of x.
        rounding: as the operation has it; `double` is of i32.
        is_data: whether factors are no constants.
    """
    along = draw.one(
        [(), (1,) * (len(shape) - 1) + shape[-1:], (shape[0],) + (1,) * (len(shape) - 1)]
    )
    most = {i8: 31, i32: 31, i48: 14}[element]
    bits = draw.number(1, most)
    multiplier = draw.elements(along, i32, bits + 1)
    low = draw.one([0, 1, 31 if rounding == "double" else 20])
    shift = draw.rng.integers(
        low, draw.one([low, 40, 62]) if low < 40 else 62, along, endpoint=True
    )
    x = draw.elements(shape, element, 47 if element == i48 else None)
    if rounding == "double" and element == i48:
        element, x = i32, draw.elements(shape, i32)
    if draw.rng.random() < 0.5:
        # Ties, and what is next to them: odd halves of a power of two, times one.
        multiplier = np.ones(along, np.int32) << np.int32(draw.number(0, 8))
        shift = np.full(along, draw.number(1, 12))
        step = 1 << max(int(shift.reshape(-1)[0]) - 2, 0)
        span = 100 if element == i8 else 4000
        near = draw.rng.integers(-span, span, shape, endpoint=True) * step
        limits = np.iinfo(x.dtype)
        x = np.clip(near + draw.rng.integers(-1, 2, shape), limits.min, limits.max).astype(x.dtype)
    result = draw.one([i8, i8, i32])
    limits = np.iinfo(NUMPY_DTYPE[result])
    low_limit = int(draw.one([limits.min, limits.min // 3]))
    properties = {
        "rounding": rounding,
        "input_zp": draw.one([0, draw.number(-128, 127)]) if element == i8 else 0,
        "output_zp": draw.one([0, draw.number(-128, 127)]),
        "minimum": low_limit,
        "maximum": int(draw.one([limits.max, limits.max // 2])),
    }
    factors = (np.asarray(multiplier, np.int32), i32), (np.asarray(shift, np.int8), i8)
    constants = (False, not is_data, not is_data)
    return Case(RescaleOp, ((x, element), *factors), constants, result, properties)


def _clamp(draw: Draw, kind: type[TensorOp]) -> Case:
    element = draw.one([i8, i32])
    low, high = sorted((draw.number(-128, 127), draw.number(-128, 127)))
    return Case(
        kind,
        (draw.operand(draw.shape(), element),),
        (False,),
        element,
        {"minimum": low, "maximum": high},
    )


def _divide(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape(2)
    b = np.abs(draw.elements(draw.smaller(shape), i48, draw.one([4, 20, 46]))) + 1
    a = draw.elements(shape, i48, draw.one([8, 24, 46]))
    if draw.rng.random() < 0.5:  # ties
        b = b * 2
        a = np.broadcast_to(b // 2, shape) * draw.rng.integers(-9, 9, shape)
    zero_point = draw.number(-128, 127)
    properties = {"output_zp": zero_point, "minimum": -128, "maximum": draw.one([127, 5])}
    return Case(
        kind, ((a.astype(np.int64), i48), (b.astype(np.int64), i48)), (False, False), i8, properties
    )


def _lookup(draw: Draw, kind: type[TensorOp]) -> Case:
    element = draw.one([i8, i32, i48])
    operands = draw.operand(draw.shape(), i8), draw.operand((256,), element)
    return Case(kind, operands, (False, True), element, {})


def _window(draw: Draw, spread: Sequence[int] = (1, 1)) -> tuple[dict[str, Any], list[int]]:
    """Properties of windows over two axes, and extents that they fit."""
    kernel = [draw.number(1, 3) for _ in "HW"]
    steps = {
        "strides": [draw.number(1, 3) for _ in "HW"],
        "dilations": [draw.number(1, 2) for _ in "HW"],
    }
    pads = [draw.number(0, 2) for _ in range(4)]
    extents: list[int] = []
    for i in range(2):
        span = (kernel[i] - 1) * steps["dilations"][i] + 1
        extents.append(draw.number(max(span - pads[i] - pads[i + 2], 1), 9))
    if spread != (1, 1):
        pads = [draw.number(-1, 2) for _ in range(4)]
        extents = [n + 4 for n in extents]
    return {**steps, "pads": pads, "kernel": kernel}, extents


def _conv(draw: Draw, kind: type[TensorOp]) -> Case:
    spread = draw.one([(1, 1), (1, 1), (2, 1), (2, 3)])
    properties, (high, wide) = _window(draw, spread)
    kernel = properties.pop("kernel")
    layout, group = draw.one(["NCHW", "NHWC"]), draw.number(1, 3)
    inner, outputs = draw.number(1, 4), group * draw.number(1, 4)
    extents = {"N": draw.number(1, 2), "C": inner * group, "H": high, "W": wide}
    x = draw.operand([extents[d] for d in layout], i8)
    weight = draw.operand([outputs, *kernel, inner], i8)
    bias = draw.one([None, draw.operand([outputs], i32)])
    properties |= {
        "layout": layout,
        "group": group,
        "input_dilation": list(spread),
        "x_zp": draw.number(-128, 127),
        "weight_zp": draw.one([0, draw.number(-128, 127)]),
    }
    return Case(kind, (x, weight, bias), (False, True, draw.one([True, False])), i32, properties)


def _matmul(draw: Draw, kind: type[TensorOp]) -> Case:
    leading = draw.shape(draw.number(0, 2), 3)
    m, k, n = draw.number(1, 5), draw.number(1, 40), draw.number(1, 20)
    is_turned = draw.number(0, 1)
    is_weight = draw.one([True, False])
    b_leading = () if is_weight else draw.smaller(leading)
    a = draw.operand([*leading, m, k], i8)
    b = draw.operand([*b_leading, *((n, k) if is_turned else (k, n))], i8)
    bias = draw.one([None, draw.operand([n], i32)])
    properties = {
        "a_zp": draw.number(-128, 127),
        "b_zp": draw.one([0, draw.number(-128, 127)]),
        "transpose_b": is_turned,
    }
    return Case(kind, (a, b, bias), (False, is_weight, draw.one([True, False])), i32, properties)


def _reduce_window(draw: Draw, kind: type[TensorOp]) -> Case:
    properties, (high, wide) = _window(draw)
    kernel, layout, which = (
        properties.pop("kernel"),
        draw.one(["NCHW", "NHWC"]),
        draw.one(["max", "sum"]),
    )
    extents = {"N": draw.number(1, 2), "C": draw.number(1, 4), "H": high, "W": wide}
    properties |= {
        "window": kernel,
        "layout": layout,
        "kind": which,
        "x_zp": draw.number(-128, 127),
    }
    x = draw.operand([extents[d] for d in layout], i8)
    return Case(kind, (x,), (False,), i8 if which == "max" else i32, properties)


def _reduce(draw: Draw, kind: type[TensorOp]) -> Case:
    shape, which = draw.shape(draw.number(1, 4)), draw.one(["max", "sum"])
    axes = [i for i in range(len(shape)) if draw.rng.random() < 0.5] or [0]
    given = draw.one([i8, i32, i48])
    wide = {i8: draw.one([i32, i48]), i32: i48, i48: i48}[given]
    result = given if which == "max" else wide
    x = draw.operand(shape, given, 40 if given == i48 else None)
    properties = {"kind": which, "axes": axes, "x_zp": draw.number(-128, 127)}
    return Case(kind, (x,), (False,), result, properties)


def _reshape(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape()
    size = int(np.prod(shape))
    options = [
        (size,),
        (1, *shape),
        (*shape, 1, 1),
        shape[::-1],
        (1, size, 1),
        *([()] if size == 1 else []),
    ]
    return Case(kind, (draw.operand(shape, i8),), (False,), i8, {"shape": list(draw.one(options))})


def _transpose(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape(draw.number(1, 4))
    perm = [int(i) for i in draw.rng.permutation(len(shape))]
    return Case(kind, (draw.operand(shape, i8),), (False,), i8, {"perm": perm})


def _concat(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape(draw.number(1, 4))
    axis = draw.number(0, len(shape) - 1)
    parts = [
        (*shape[:axis], draw.number(1, 4), *shape[axis + 1 :]) for _ in range(draw.number(1, 3))
    ]
    operands = tuple(draw.operand(part, i8) for part in parts)
    return Case(kind, operands, (False,) * len(parts), i8, {"axis": axis})


def _slice(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape(draw.number(1, 4), 9)
    starts = [draw.number(0, n - 1) for n in shape]
    ends = [draw.number(s + 1, n) for s, n in zip(starts, shape, strict=True)]
    steps = [draw.number(1, 3) for _ in shape]
    properties = {"starts": starts, "ends": ends, "steps": steps}
    return Case(kind, (draw.operand(shape, i8),), (False,), i8, properties)


def _pad(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape()
    pads = [draw.number(0, 3) for _ in range(2 * len(shape))]
    properties = {"pads": pads, "value": draw.number(-128, 127)}
    return Case(kind, (draw.operand(shape, i8),), (False,), i8, properties)


def _broadcast(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape()
    return Case(
        kind, (draw.operand(draw.smaller(shape), i8),), (False,), i8, {"shape": list(shape)}
    )


def _gather(draw: Draw, kind: type[TensorOp]) -> Case:
    shape = draw.shape(draw.number(1, 4))
    axis = draw.number(0, len(shape) - 1)
    indices = [draw.number(0, shape[axis] - 1) for _ in range(draw.number(1, 20))]
    return Case(kind, (draw.operand(shape, i8),), (False,), i8, {"axis": axis, "indices": indices})


def _interpolate(draw: Draw, kind: type[TensorOp]) -> Case:
    shape, given = draw.shape(draw.number(1, 4)), draw.one([i8, i32])
    axis, count = draw.number(0, len(shape) - 1), draw.number(1, 20)
    places = {
        n: [draw.number(0, shape[axis] - 1) for _ in range(count)] for n in ("lower", "upper")
    }
    weights = {
        f"{n}_weight": [draw.number(0, 64) for _ in range(count)] for n in ("lower", "upper")
    }
    result = i32 if given == i8 else i48
    return Case(
        kind, (draw.operand(shape, given),), (False,), result, {"axis": axis, **places, **weights}
    )


DRAWS: dict[type[TensorOp], Callable[[Draw, type[TensorOp]], Case]] = {
    **dict.fromkeys([AddOp, SubOp, MulOp, MinimumOp, MaximumOp], _binary),
    RescaleOp: _rescale,
    ClampOp: _clamp,
    DivideOp: _divide,
    LookupOp: _lookup,
    ConvOp: _conv,
    MatMulOp: _matmul,
    ReduceWindowOp: _reduce_window,
    ReduceOp: _reduce,
    ReshapeOp: _reshape,
    TransposeOp: _transpose,
    ConcatOp: _concat,
    SliceOp: _slice,
    PadOp: _pad,
    BroadcastOp: _broadcast,
    GatherOp: _gather,
    InterpolateOp: _interpolate,
}
