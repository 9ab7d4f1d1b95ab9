"""QuantizeLinear and DequantizeLinear as quantised types, in every form that has integers here.

Storage of 8, 16 and 32 bits is a type of its own. Integers of 4 and 2 bits become 8-bit ones: those
of weights when they are read, those of activations by a clip. What has no form stays whole and runs
on the host: scales that the network computes, several blocks of scales, floats of 8 and 4 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from xdsl.ir import Attribute

from furiosa_ir.dialects.graph.base import OnnxNode
from furiosa_ir.dialects.graph.onnx_arguments import axes_from_front, given
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.element_types import builtin_type, dtype_of_element
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_NAME

_FLOATS = {
    BY_NAME[name].onnx: builtin_type(BY_NAME[name]) for name in ("float32", "float16", "bfloat16")
}
"""The codes (`TensorProto.DataType`) of the types that real numbers may have."""

_INTEGERS = {
    BY_NAME[name].onnx: BY_NAME[name]
    for name in ("uint8", "int8", "uint16", "int16", "int32", "uint4", "int4", "uint2", "int2")
}
"""The codes of the types that they are stored as."""

_PRECISE = (0, 1, 11)
"""Not said, float32, float64: the quotient of x and its scale is not rounded to less before."""


@cache
def _held_as() -> dict[np.dtype[Any], np.dtype[Any]]:
    """dtype -> the one that holds such integers here."""
    return {
        e.dtype: BY_NAME["uint8" if e.kind == "uint" else "int8"].dtype if e.is_packed else e.dtype
        for e in _INTEGERS.values()
    }


@dataclass(frozen=True)
class LinearQuantization:
    """Scale and zero point of a node, both constant.

    Attributes:
        scales: f64 [n], not negative.
        zero_points: int64 [n].
        axis: where n > 1.
        dtype: of the stored integers; may be of 4 or 2 bits.
        real: the float type of the real numbers.
    """

    scales: Array
    zero_points: Array
    axis: int | None
    dtype: np.dtype[Any]
    real: Attribute

    @property
    def is_narrow(self) -> bool:
        """Whether the integers have less than 8 bits."""
        return _held_as()[self.dtype] != self.dtype

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest integer."""
        import ml_dtypes  # noqa: PLC0415  # TFLite networks need none of it

        info = ml_dtypes.iinfo(self.dtype)
        return int(info.min), int(info.max)

    @property
    def type(self) -> UniformType | None:
        """The quantised type; None where a scale is 0."""
        if not np.all(self.scales > 0):
            return None
        return uniform(_held_as()[self.dtype], self.scales, self.zero_points, self.axis)

    def along(self, values: Array, rank: int) -> Array:
        """Scales or zero points, so that they broadcast to a tensor of that rank."""
        if self.axis is None:
            return values.reshape(())
        return values.reshape([-1 if i == self.axis else 1 for i in range(rank)])

    def of_constant(self, stored: Array) -> tuple[Array, UniformType] | None:
        """The integers of a constant and their type, where they are not simply the stored ones.

        A scale of 0 makes zeros of whatever is stored. Zero points that differ, as those of 4 bits,
        are subtracted: the NPU's weights have one.
        """
        dead = self.scales == 0
        differ = bool(np.any(self.zero_points != self.zero_points[0]))
        if not (self.is_narrow or np.any(dead) or differ):
            return None
        points = self.along(self.zero_points, stored.ndim)
        steps = stored.astype(np.int64) - points
        steps = np.where(self.along(dead, stored.ndim), 0, steps)
        alive = self.scales[~dead]
        scales = np.where(dead, alive.min() if alive.size else 1.0, self.scales)
        held = _held_as()[self.dtype]
        if held.itemsize == 1 and -128 <= steps.min(initial=0) <= steps.max(initial=0) <= 127:
            return steps.astype(np.int8), uniform(np.dtype(np.int8), scales, 0, self.axis)
        if not np.any(dead):
            return None
        type_ = uniform(held, scales, self.zero_points, self.axis)
        return (steps + points).astype(held), type_


def linear_quantization(node: OnnxNode) -> LinearQuantization | None:
    """What a QuantizeLinear or DequantizeLinear says; None for forms that stay whole.

    Raises:
        VerificationFailure: scales, zero points and elements contradict each other.
    """
    scale, zero_point = node.constant(1), node.constant(2)
    if scale is None or (given(node, 2) and zero_point is None):
        return None
    (x, s, *_) = node.operands
    assert x is not None
    assert s is not None
    if node.attributes.get("precision", 0) not in _PRECISE:
        return None
    code = int(node.attributes.get("output_dtype", 0))
    quantizes = node.op_type == "QuantizeLinear"
    if zero_point is not None:
        dtype: np.dtype[Any] | None = zero_point.dtype
    elif quantizes:
        stored = _INTEGERS.get(code) if code else BY_NAME["uint8"]
        dtype = None if stored is None else stored.dtype
    else:
        dtype = dtype_of_element(element_of(x))
    real = element_of(s) if quantizes or not code else _FLOATS.get(code)
    if dtype is None or dtype not in _held_as() or real is None:
        return None
    if not {real, element_of(s)} <= set(_FLOATS.values()):
        return None
    scales = scale.astype(np.float64)
    if scales.size == 0 or not bool(np.all(np.isfinite(scales) & (scales >= 0))):
        return None
    axis = _axis(node, scale, zero_point)
    if axis == _SEVERAL_BLOCKS:
        return None
    points = np.zeros(1, np.int64) if zero_point is None else zero_point.astype(np.int64)
    if points.size not in (1, scales.size):
        raise VerificationFailure(f"{points.size} zero points for {scales.size} scales")
    points = np.broadcast_to(points.reshape(-1), scales.size)
    return LinearQuantization(scales.reshape(-1), points, axis, dtype, real)


_SEVERAL_BLOCKS = -1


def _axis(node: OnnxNode, scale: Array, zero_point: Array | None) -> int | None:
    """The dimension that the scales belong to; None for one scale, `_SEVERAL_BLOCKS` for more.

    Blocks that are as long as their dimension are scales along another one.
    """
    shape = node.shape(0)
    if node.attributes.get("block_size"):
        if zero_point is not None and zero_point.shape != scale.shape:
            raise VerificationFailure(
                "the zero points of blocks have another shape than the scales"
            )
        several = [i for i, n in enumerate(scale.shape) if n != 1]
        if len(several) > 1 or scale.ndim != len(shape):
            return _SEVERAL_BLOCKS
        (blocked,) = axes_from_front([node.attributes.get("axis", 1)], len(shape))
        others = [n for i, n in enumerate(shape) if i != blocked]
        if [n for i, n in enumerate(scale.shape) if i != blocked] != others:
            raise VerificationFailure("the scales of blocks do not fit the shape of the elements")
        return (several or [None])[0] if blocked not in several else _SEVERAL_BLOCKS
    if scale.size == 1:
        return None
    if scale.ndim > 1:
        return _SEVERAL_BLOCKS
    (axis,) = axes_from_front([node.attributes.get("axis", 1)], len(shape))
    if not 0 <= axis < len(shape) or shape[axis] != scale.size:
        raise VerificationFailure(f"{scale.size} scales for axis {axis} of a shape {list(shape)}")
    return axis
