"""What a property of an operation may be, by its name.

A new operation that uses names that others use needs nothing here. Where a name means something
else in one class, that class says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import i8
from xdsl.ir import Attribute, Operation
from xdsl.irdl import IRDLOperation, OptPropertyDef

from furiosa_ir.dialects.ftensor import TensorOp, contraction, movement
from furiosa_ir.dialects.graph.convolution import ConvTransposeOp
from furiosa_ir.dialects.graph.elementwise import TableOp
from furiosa_ir.dialects.graph.functions import GeluOp
from furiosa_ir.dialects.graph.movement import ExpandOp, PadOp, SliceOp, SplitOp
from furiosa_ir.dialects.graph.normalization import AffineOp
from furiosa_ir.dialects.graph.rearrangement import BatchToSpaceOp, BlockOp, SpaceToBatchOp
from furiosa_ir.dialects.graph.reduction import LpNormalizationOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.shaped_operation import Shape
from furiosa_ir.numerics import fixed_point
from tests.passes.generated.draw import Draw, Unsuitable


@dataclass
class Properties:
    """An operation whose properties are drawn, one after the other.

    Attributes:
        draw: where they come from.
        shape: of its first operand.
        made: those that there are.
        element: of the result.
    """

    draw: Draw
    shape: Shape
    element: Any
    made: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def rank(self) -> int:
        """Of the first operand."""
        return len(self.shape)

    def integers(self, low: int, high: int, count: int) -> list[int]:
        """So many, each from low to high."""
        return [self.draw.random.randint(low, high) for _ in range(count)]

    @property
    def spatial(self) -> list[int]:
        """The extents of the first operand's spatial dimensions."""
        at = zip(self.made["layout"], self.shape, strict=True)
        return [n for d, n in at if d not in "NC"]


Drawer = Callable[[Properties], Any]


def axis_of(p: Properties) -> int:
    """Any dimension."""
    if not p.rank:
        raise Unsuitable("a scalar has no axis")
    return p.draw.random.randrange(p.rank)


def _axes(p: Properties) -> list[int]:
    return sorted({axis_of(p) for _ in range(p.draw.random.randint(1, 3))})


def _perm(p: Properties) -> list[int]:
    perm = list(range(p.rank))
    if p.draw.chance(0.9):
        p.draw.random.shuffle(perm)
    return perm


def last_axis(p: Properties) -> int:
    """Of the first operand."""
    return p.rank - 1


def axis_before(p: Properties) -> int:
    """The one in front of the last."""
    return p.rank - 2


def first_split(p: Properties) -> list[int]:
    """The first axis as two."""
    first = max(p.shape[0], 1) if p.shape else 1
    outer = p.draw.choice([n for n in range(1, first + 1) if first % n == 0])
    return [outer, first // outer, *p.shape[1:]]


def first_swapped(p: Properties) -> list[int]:
    """A permutation of the first two axes."""
    return [1, 0, *range(2, p.rank)]


def first_joined(p: Properties) -> list[int]:
    """The first two axes as one."""
    return [prod(p.shape[:2]), *p.shape[2:]]


def rows_of_rows(p: Properties) -> list[int]:
    """A shape of rows, of which the last axis holds several, where it can; a batch's or of all."""
    last = p.shape[-1]
    row = p.draw.choice([n for n in range(1, last) if last % n == 0] or [max(last, 1)])
    images = p.draw.choice([1, p.shape[0]]) or 1
    return [images, prod(p.shape) // (images * row), row]


def factors_of(p: Properties) -> list[int]:
    """A shape of as many elements."""
    shape = [n for n in p.shape if n != 1] if p.draw.chance(0.5) else list(p.shape)
    for _ in range(p.draw.random.randint(0, 2)):
        at = p.draw.random.randint(0, max(len(shape) - 1, 0))
        match p.draw.choice(("one", "join", "swap")):
            case "join" if len(shape) > at + 1:
                shape[at : at + 2] = [shape[at] * shape[at + 1]]
            case "swap" if len(shape) > at + 1:
                shape[at], shape[at + 1] = shape[at + 1], shape[at]
            case _:
                shape.insert(at, 1)
    return shape if len(shape) <= 6 else list(p.shape)


def _layout(p: Properties) -> str:
    layouts = {3: ("NCW",), 4: ("NCHW", "NHWC"), 5: ("NCDHW",)}.get(p.rank)
    if layouts is None or (p.draw.source == "tflite" and "NHWC" not in layouts):
        raise Unsuitable("no such layout")
    return "NHWC" if p.draw.source == "tflite" else p.draw.choice(layouts)


def _window_pads(p: Properties) -> list[int]:
    """Around space, so that no window of a pool lies in the padding alone."""
    kernel = p.made.get("kernel_shape", [2] * (p.rank - 2))
    return [p.draw.random.randint(0, min(1, k - 1)) for k in (*kernel, *kernel)]


BY_NAME: Mapping[str, Drawer] = {
    "axis": axis_of,
    "axes": _axes,
    "perm": _perm,
    "shape": factors_of,
    "layout": _layout,
    "kernel_shape": lambda p: [min(n, p.draw.random.randint(1, 3)) for n in p.spatial],
    "strides": lambda p: p.integers(1, 2, p.rank - 2),
    "dilations": lambda p: [1] * (p.rank - 2) if p.draw.chance(0.7) else [2] * (p.rank - 2),
    "pads": _window_pads,
    "repeats": lambda p: p.integers(1, 2, p.rank),
    "keepdims": lambda p: p.draw.random.randint(0, 1),
    "epsilon": lambda _: 0.001,
    "value": lambda p: p.draw.number(),
    "blocksize": lambda _: 2,
    "blocks": lambda p: [2] * p.draw.random.randint(1, min(2, p.rank - 1)),
    "indices": lambda p: p.integers(0, p.shape[p.made["axis"]] - 1, p.draw.random.randint(1, 4)),
}
"""A float, or an integer, of another name is any number, or 0 or 1."""


def _table(p: Properties) -> BlobAttr:
    return BlobAttr.of(p.draw.array(p.element, (256,)))


def _numbers(p: Properties) -> BlobAttr:
    shape = p.draw.broadcasting(p.shape)
    rng = np.random.default_rng(p.draw.random.getrandbits(32))
    return BlobAttr.of(rng.choice([0.5, 1.0, -2.0, 0.25, 3.0, 0.0], shape))


def _pads(p: Properties) -> list[int]:
    edge = 2 if p.made["mode"] == "constant" else min(1, *(n - 1 for n in p.shape), 1)
    return [0] * (2 * p.rank) if p.draw.chance(0.1) else p.integers(0, edge, 2 * p.rank)


def _fill(p: Properties) -> float:
    """What a pad fills with; TFLite has it as a stored integer, so that nothing is rounded."""
    if p.draw.source != "tflite" or not isinstance(p.element, UniformType):
        return p.draw.number()
    stored = p.draw.array(p.element, ())
    return float(dequantize(stored, p.element.data))


def _split(p: Properties) -> list[int]:
    extent = p.shape[p.made["axis"]]
    first = p.draw.random.randint(1, extent)
    return [first, extent - first] if first < extent else [extent]


def _space_pads(p: Properties) -> list[int]:
    blocks = p.made["blocks"]
    begins = p.integers(0, 2, len(blocks))
    ends = [
        -(begin + n) % b + b * p.draw.random.randint(0, 1)
        for begin, n, b in zip(begins, p.shape[1:], blocks, strict=False)
    ]
    return begins + ends


def _bound(p: Properties) -> int:
    """One of `minimum` and `maximum`, which come in this order."""
    low, high = (-128, 127) if p.element == i8 else (-(1 << 31), (1 << 31) - 1)
    least = p.made.get("minimum")
    if least is None:
        return low if p.draw.chance(0.3) else p.draw.random.randint(-100, 60)
    return high if p.draw.chance(0.3) else p.draw.random.randint(least, max(least, 120))


def _size(p: Properties) -> list[int]:
    return [p.draw.random.randint(1, 2 * n + 1) for n in p.spatial]


_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_TFLITE_COORDINATES = {
    "half_pixel": "round_prefer_ceil",
    "align_corners": "round_prefer_ceil",
    "asymmetric": "floor",
}
"""Coordinates of TFLite's resizes, and how each rounds them."""


def _coordinates(p: Properties) -> str:
    return p.draw.choice(list(_TFLITE_COORDINATES) if p.draw.source == "tflite" else _COORDINATES)


def _nearest(p: Properties) -> str:
    if p.draw.source == "tflite":
        return _TFLITE_COORDINATES[p.made["coordinates"]]
    return p.draw.choice(_NEAREST)


_SLICE: Mapping[str, Drawer] = {
    "starts": lambda p: [p.draw.random.randint(0, 1) * (n > 1) for n in p.shape],
    "ends": lambda p: [
        p.draw.random.randint(b + 1, n) if p.draw.chance(0.5) else n
        for b, n in zip(p.made["starts"], p.shape, strict=True)
    ],
    "steps": lambda p: p.integers(1, 2 if p.draw.chance(0.5) else 1, p.rank),
}


def _places(p: Properties) -> list[int]:
    """Of the first operand along `axis`; as many as there are in another such property."""
    known = p.made.get("lower", [0] * p.draw.random.randint(1, 4))
    return p.integers(0, p.shape[p.made["axis"]] - 1, len(known))


def _place_weights(p: Properties) -> list[int]:
    return p.integers(0, 8, len(p.made["lower"]))


BY_CLASS: Mapping[type[Operation], Mapping[str, Drawer]] = {
    ConvTransposeOp: {"output_padding": lambda p: [0] * (p.rank - 2)},
    TableOp: {"table": _table, "function": lambda _: "drawn"},
    GeluOp: {"approximate": lambda p: p.draw.choice((None, "tanh"))},
    ExpandOp: {
        "shape": lambda p: (
            [n if n > 1 else p.draw.random.randint(1, 3) for n in p.shape]
            if p.draw.chance(0.7)
            else [2, *p.shape]
        )
    },
    SliceOp: _SLICE,
    SplitOp: {"split": _split},
    PadOp: {
        "mode": lambda p: p.draw.choice(("constant", "constant", "edge", "reflect")),
        "pads": _pads,
        "value": _fill,
    },
    AffineOp: {"factor": _numbers, "offset": _numbers},
    BlockOp: {"mode": lambda p: p.draw.choice(("DCR", "CRD"))},
    SpaceToBatchOp: {"pads": _space_pads},
    BatchToSpaceOp: {"crops": lambda p: p.integers(0, 1, 2 * len(p.made["blocks"]))},
    LpNormalizationOp: {"p": lambda p: p.draw.random.randint(1, 2)},
    ResizeOp: {
        "mode": lambda p: p.draw.choice(("nearest", "nearest", "linear")),
        "coordinates": _coordinates,
        "nearest_mode": _nearest,
        "sizes": _size,
        "scales": lambda p: [m / n for m, n in zip(p.made["sizes"], p.spatial, strict=True)],
    },
    movement.ReshapeOp: {
        "shape": lambda p: (
            [p.shape[0], prod(p.shape[1:])]
            if len(p.shape) == 4 and p.draw.chance(0.5)
            else BY_NAME["shape"](p)
        )
    },
    movement.SliceOp: _SLICE,
    movement.PadOp: {
        "pads": lambda p: p.integers(0, 2, 2 * p.rank),
        "value": lambda p: p.draw.random.randint(-128, 127),
    },
    movement.InterpolateOp: {
        "lower": _places,
        "upper": _places,
        "lower_weight": _place_weights,
        "upper_weight": _place_weights,
    },
    contraction.ReduceWindowOp: {
        "kind": lambda p: "max" if p.element == i8 else "sum",
        "window": lambda p: [min(n, p.draw.random.randint(1, 3)) for n in p.spatial],
    },
    contraction.ReduceOp: {"kind": lambda p: "max" if p.element == i8 else "sum"},
    TensorOp: {
        "minimum": _bound,
        "maximum": _bound,
        "input_zp": lambda p: p.draw.random.randint(-128, 127),
        "output_zp": lambda p: p.draw.random.randint(-128, 127),
        "x_zp": lambda p: p.draw.random.randint(-128, 127),
        "a_zp": lambda p: p.draw.random.randint(-128, 127),
        "b_zp": lambda p: p.draw.random.randint(-3, 3),
        "weight_zp": lambda p: p.draw.random.randint(-3, 3),
        "rounding": lambda p: p.draw.choice(fixed_point.ROUNDINGS),
    },
}
"""Class -> property -> what it may be, where that is not what its name says."""

_FIRST = ("layout", "mode", "blocks", "axis", "kernel_shape", "starts", "sizes", "minimum", "lower")
"""Properties that others depend on."""


def drawn_properties(
    cls: type[IRDLOperation],
    draw: Draw,
    shape: Shape,
    element: Attribute,
    given: Mapping[str, Any] | None = None,
    others: Sequence[str] = (),
) -> dict[str, Any]:
    """Legal properties of an operation, as far as they can be drawn one by one.

    Args:
        cls: the operation.
        draw: where they come from.
        shape: of its first operand.
        element: of its result.
        given: those that are not drawn; or how, for this operation.
        others: those that are left out.

    Raises:
        Unsuitable: no such operand has properties.
        LookupError: nobody says what a property may be.
    """
    p = Properties(draw, shape, element, {})
    wanted: dict[str, Any] = dict(given or {})
    for name, known in wanted.items():
        p.made[name] = known(p) if callable(known) else known
    definitions = cls.get_irdl_definition().properties
    names = [n for n in _FIRST if n in definitions]
    known = {"origin", *others, *p.made}
    for name in (n for n in (*names, *definitions) if n not in known):
        known.add(name)
        definition = definitions[name]
        if isinstance(definition, OptPropertyDef) and draw.chance(0.25):
            continue
        p.made[name] = _drawer(cls, name, str(definition.constr))(p)
    return {n: v for n, v in p.made.items() if v is not None}


def _drawer(cls: type[Operation], name: str, constraint: str) -> Drawer:
    for base in cls.__mro__:
        found = BY_CLASS.get(base, {}).get(name)
        if found is not None:
            return found
    if name in BY_NAME:
        return BY_NAME[name]
    if "FloatAttr" in constraint:
        return lambda p: p.draw.number()
    if "IntegerAttr" in constraint:
        return lambda p: p.draw.random.randint(0, 1)
    raise LookupError(
        f"{cls.__name__} has a property '{name}' that tests/passes/generated/properties.py does "
        "not know: say there what it may be"
    )
