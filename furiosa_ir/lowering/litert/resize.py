"""Resizing as LiteRT's reference kernels compute it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.graph.resize import ResizeOp, coordinates, linear_weights
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import long_gather, not_8bit
from furiosa_ir.lowering.integer_kernels import emit_interpolation
from furiosa_ir.lowering.litert import factors
from furiosa_ir.lowering.litert.convolution import is_uint8
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers

COORDINATES = ("asymmetric", "half_pixel", "align_corners")
FLOAT32_DISTANCE = 1 << 12
"""Up to this product of denominators and extents, float32's noise stays below half a step."""


def not_tflite(op: ResizeOp) -> hints.Hint | None:
    """A form that no TFLite file has."""
    if op.layout.data != "NHWC" or op.coordinates.data not in COORDINATES:
        return hints.form(op.name, f"with {op.coordinates.data} coordinates in {op.layout.data}")
    return None


def float_noise(op: ResizeOp) -> hints.Hint | None:
    """LiteRT interpolates uint8 in float32: then its noise decides how exact ties round.

    There is no noise where the coordinates are binary fractions, and no tie where the product of
    the weights' denominators is odd.
    """
    if op.mode.data != "linear" or not is_uint8(op.x):
        return None
    positions = [math.lcm(*(c.denominator for c in coordinates(op, k))) for k in range(2)]
    exact = all(n & (n - 1) == 0 for n in positions) and math.prod(positions) <= 1 << 16
    unit = math.prod(linear_weights(op, k).denominator for k in range(2))
    tieless = unit % 2 == 1 and unit * max(shape_of(op.x)[1:3]) <= FLOAT32_DISTANCE
    if exact or tieless:
        return None
    return hints.form(op.name, "of uint8 data by a factor whose results depend on float32 noise")


@lowers(ResizeOp, LITERT, unless=[not_8bit, not_tflite, long_gather, float_noise])
def resize(op: ResizeOp, emit: Emitter) -> SSAValue:
    """RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR; both keep the quantisation."""
    if op.mode.data == "nearest":
        return _nearest(op, emit)
    return _bilinear_uint8(op, emit) if is_uint8(op.x) else _bilinear_int8(op, emit)


def _extents(op: ResizeOp) -> list[tuple[int, int]]:
    """(extent of x, extent of the result) of H and W."""
    return list(zip(shape_of(op.x)[1:3], shape_of(op.result)[1:3], strict=True))


def _nearest(op: ResizeOp, emit: Emitter) -> SSAValue:
    x = emit.operand(op.x)
    for axis, (extent, size) in enumerate(_extents(op), start=1):
        indices = nearest_indices(op.coordinates.data, extent, size)
        x = emit.emit(movement.GatherOp, [x], axis=axis, indices=indices)
    return x


def nearest_indices(mode: str, extent: int, size: int) -> list[int]:
    """``GetNearestNeighbor``: the index of x for each index of the result, in float32."""
    scale = np.float32(extent) / np.float32(size)
    if mode == "align_corners" and size > 1:
        scale = np.float32(extent - 1) / np.float32(size - 1)
    offset = np.float32(0.5 if mode == "half_pixel" else 0.0)
    position = (np.arange(size, dtype=np.float32) + offset) * scale
    if mode == "align_corners":
        position = position.astype(np.float64) + 0.5  # rounds half away from zero
    return np.minimum(np.floor(position).astype(np.int64), extent - 1).tolist()


class Neighbours(NamedTuple):
    """result[j] = x[lower[j]] * lower_weight[j] + x[upper[j]] * upper_weight[j]."""

    lower: list[int]
    upper: list[int]
    lower_weight: list[int]
    upper_weight: list[int]


def neighbours(mode: str, extent: int, size: int) -> Neighbours:
    """``ComputeInterpolationValues`` of int8 data: positions and weights in 1024ths of a pixel."""
    one = 1 << 10
    scale = (one * extent + size // 2) // size
    if mode == "align_corners" and size > 1:
        scale = (one * (extent - 1) + (size - 1) // 2) // (size - 1)
    position = np.arange(size) * scale
    if mode == "half_pixel":
        position = position + scale // 2 - one // 2
    # C++ truncates towards zero; below zero both neighbours are element 0.
    lower = np.maximum(position, 0) // one
    upper = np.minimum(np.maximum(position + one - 1, 0) // one, extent - 1)
    fraction = position - one * lower
    return Neighbours(lower.tolist(), upper.tolist(), (one - fraction).tolist(), fraction.tolist())


def _bilinear_int8(op: ResizeOp, emit: Emitter) -> SSAValue:
    """Weights of 10 bits a dimension; one rounding, ties away from zero."""
    x = emit.operand(op.x)
    for axis, (extent, size) in enumerate(_extents(op), start=1):
        weights = neighbours(op.coordinates.data, extent, size)
        x = emit.emit(movement.InterpolateOp, [x], i32, axis=axis, **weights._asdict())
    return emit.rescale(x, 1, 20, rounding="away")


def _bilinear_uint8(op: ResizeOp, emit: Emitter) -> SSAValue:
    """What float32 computes where its noise does not matter: exact fractions, ties up."""
    total, unit = emit_interpolation(op, emit)
    zero_point = emit.quantization(op.x).zero_point
    return emit.rescale(total, *factors.division(unit), rounding="up", output_zp=zero_point)
