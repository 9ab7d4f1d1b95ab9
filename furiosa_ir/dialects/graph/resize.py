"""Spatial resampling, `graph.resize`, and its coordinates as exact fractions.

Source: ONNX Resize (coordinate_transformation_mode, nearest_mode); TFLite's half_pixel_centers and
align_corners are two of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from xdsl.dialects.builtin import (
    DenseArrayBase,
    IntegerType,
    StringAttr,
    TensorType,
    f64,
    i64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import operand_def, prop_def, result_def

from furiosa_ir.dialects.graph.base import GraphOp, OnnxNode, TFLiteNode
from furiosa_ir.dialects.graph.tflite_arguments import (
    resize_arguments,
)
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.operation_definition import irdl_op_definition
from furiosa_ir.ir.shaped_operation import (
    Shape,
    element_of,
    ints,
    shape_of,
)
from furiosa_ir.numerics.array import Array

if TYPE_CHECKING:
    from fractions import Fraction

# ruff: noqa: PLC0415  # fractions, and decimals with them, are for networks that resize
GREATEST_DENOMINATOR = 1 << 17
"""Weights beyond 17 bits a dimension would not fit i48; such factors are rounded to it."""


def coordinates(op: ResizeOp, dimension: int) -> list[Fraction]:
    """For each index of the result along spatial `dimension` (0: H), x's coordinate."""
    from fractions import Fraction

    axis = [i for i, d in enumerate(op.layout.data) if d not in "NC"][dimension]
    extent, size = shape_of(op.x)[axis], ints(op.sizes)[dimension]
    scale = Fraction(op.scales.get_values()[dimension])
    if abs(scale * extent - size) < Fraction(1, 1000):
        scale = Fraction(size, extent)
    half = Fraction(1, 2)
    mode = op.coordinates.data
    match mode:
        case "half_pixel":
            return [(j + half) / scale - half for j in range(size)]
        case "pytorch_half_pixel":
            return [(j + half) / scale - half if size > 1 else Fraction(0) for j in range(size)]
        case "half_pixel_symmetric":
            adjusted = Fraction(size) / (scale * extent)
            offset = Fraction(extent, 2) * (1 - adjusted)
            return [offset + (j + half) / scale - half for j in range(size)]
        case "align_corners":
            step = Fraction(extent - 1, size - 1) if size > 1 else Fraction(0)
            return [j * step for j in range(size)]
        case "asymmetric":
            return [j / scale for j in range(size)]
        case _:
            raise VerificationFailure(f"graph.resize: unknown coordinates '{mode}'")


def nearest_indices(op: ResizeOp, dimension: int) -> list[int]:
    """Which element of x each index of the result takes along spatial `dimension`."""
    axis = [i for i, d in enumerate(op.layout.data) if d not in "NC"][dimension]
    last = shape_of(op.x)[axis] - 1
    rounding = _ROUNDINGS[op.nearest_mode.data]
    return [min(max(rounding(c), 0), last) for c in coordinates(op, dimension)]


_ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda c: -((1 - 2 * c) // 2),
    "round_prefer_ceil": lambda c: (2 * c + 1) // 2,
    "floor": math.floor,
    "ceil": math.ceil,
}


@dataclass(frozen=True)
class LinearWeights:
    """result[j] = (x[lower[j]] * lower_weight[j] + x[upper[j]] * upper_weight[j]) / denominator."""

    lower: list[int]
    upper: list[int]
    lower_weight: list[int]
    upper_weight: list[int]
    denominator: int


def linear_weights(op: ResizeOp, dimension: int) -> LinearWeights:
    """Linear interpolation along spatial `dimension` in integers; coordinates clamp to x."""
    axis = [i for i, d in enumerate(op.layout.data) if d not in "NC"][dimension]
    last = shape_of(op.x)[axis] - 1
    inside = _inside(op, dimension, last)
    denominator = math.lcm(*(c.denominator for c in inside))
    denominator = min(denominator, GREATEST_DENOMINATOR)
    lower = [math.floor(c) for c in inside]
    upper_weight = [round((c - low) * denominator) for c, low in zip(inside, lower, strict=True)]
    return LinearWeights(
        lower,
        [min(low + 1, last) for low in lower],
        [denominator - w for w in upper_weight],
        upper_weight,
        denominator,
    )


def _inside(op: ResizeOp, dimension: int, last: int) -> list[Fraction]:
    """The coordinates, no less than 0 and no more than `last`."""
    from fractions import Fraction

    return [min(max(c, Fraction(0)), Fraction(last)) for c in coordinates(op, dimension)]


def resample(op: ResizeOp, x: Array) -> Array:
    """The semantics of `graph.resize` on the elements of its operand."""
    spatial = [i for i, d in enumerate(op.layout.data) if d not in "NC"]
    for dimension, axis in enumerate(spatial):
        if op.mode.data == "nearest":
            x = np.take(x, nearest_indices(op, dimension), axis)
            continue
        last = x.shape[axis] - 1
        at = _inside(op, dimension, last)
        lower = [math.floor(c) for c in at]
        upper = [min(low + 1, last) for low in lower]
        share = np.array([float(c - low) for c, low in zip(at, lower, strict=True)], x.dtype)
        share = share.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        x = np.take(x, lower, axis) * (1 - share) + np.take(x, upper, axis) * share
    return x


@irdl_op_definition
class ResizeOp(GraphOp):
    """Spatial resampling to `sizes` (the result's extents of the dimensions H, W of `layout`).

    `mode` is "nearest" or "linear". `coordinates` maps an output index to x's coordinate:
    "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric" (ONNX
    names; TFLite's three option combinations are half_pixel, align_corners and asymmetric).
    `nearest_mode` rounds it: "round_prefer_floor", "round_prefer_ceil", "floor", "ceil".
    `scales` are the factors that the coordinates are computed with (output / input).
    """

    name = "graph.resize"
    ONNX: ClassVar = ("Resize", "Upsample")
    IGNORED: ClassVar = {
        "cubic_coeff_a": "of cubic interpolation, which stays whole",
        "extrapolation_value": "of tf_crop_and_resize, which stays whole",
    }
    TFLITE: ClassVar = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")

    x = operand_def(TensorType)
    result = result_def(TensorType)
    layout = prop_def(StringAttr)
    mode = prop_def(StringAttr)
    coordinates = prop_def(StringAttr)
    nearest_mode = prop_def(StringAttr)
    sizes = prop_def(DenseArrayBase.constr(i64))
    scales = prop_def(DenseArrayBase.constr(f64))

    @classmethod
    def from_tflite(cls, node: TFLiteNode) -> Sequence[SSAValue]:
        arguments = resize_arguments(node)
        if arguments is None:
            return node.unsupported()
        return node.emit(cls, node.operands[:1], **arguments)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> Sequence[SSAValue]:
        from furiosa_ir.dialects.graph.onnx_geometry import resized

        form = resized(node)
        (x, *_) = node.operands
        if form is None or x is None:
            return node.unsupported()
        # How integers are interpolated the standard leaves open: the framework knows.
        if form["mode"] != "nearest" and isinstance(element_of(x), IntegerType):
            return node.unsupported()
        return node.emit(cls, [x], **form)

    def result_shapes(self) -> Sequence[Shape]:
        sizes = iter(ints(self.sizes))
        return [
            tuple(
                n if d in "NC" else next(sizes)
                for d, n in zip(self.layout.data, shape_of(self.x), strict=True)
            )
        ]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        return [resample(self, operands[0])]
