"""Instructions that work along axes of (N, H, W, C)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furiosa_ir.backends.warboy.vector_engine.arithmetic import keeps_type
from furiosa_ir.backends.warboy.vector_engine.elements import DTYPES
from furiosa_ir.backends.warboy.vector_engine.instruction import (
    Instruction,
    RegisterType,
    Shape,
    vector_instruction,
)
from furiosa_ir.numerics.array import Array


def _reduced_axes(i: Instruction, operands: Sequence[RegisterType]) -> None:
    axes, rank = i.immediates[1:], len(operands[0].shape)
    if not axes or any(not 0 <= axis < rank for axis in axes):
        raise ValueError("an axis does not exist")
    if len(set(axes)) != len(axes):
        raise ValueError("an axis is named twice")


def _reduced(i: Instruction, operands: Sequence[Shape]) -> Shape:
    axes = i.immediates[1:]
    return tuple(1 if axis in axes else size for axis, size in enumerate(operands[0]))


@vector_instruction(
    9,
    ("x",),
    immediates=("x_zp", "axes[]"),
    mode="kind",
    modes={"sum": 6, "max": 7},
    shape=_reduced,
    rules=(_reduced_axes,),
    elementwise=False,
)
def reduce(i: Instruction, x: Array) -> Array:
    """The sum of (x - x_zp) along the axes, or the greatest x, by the mode; axes become 1."""
    x_zp, *axes = i.immediates
    dtype = DTYPES[i.element]
    if i.mode == "max":
        return x.max(tuple(axes), keepdims=True).astype(dtype, copy=False)
    zero_point = np.int64(x_zp).astype(dtype)  # wraps as x does
    return (x.astype(dtype) - zero_point).sum(tuple(axes), dtype=dtype, keepdims=True)


def _size_of_axis(i: Instruction, operands: Sequence[RegisterType]) -> int:
    shape = operands[0].shape
    if len(i.immediates) < 2 or not 0 <= i.immediates[0] < len(shape):
        raise ValueError("its axis does not exist")
    return shape[i.immediates[0]]


def _within(indices: Sequence[int], size: int) -> None:
    if any(not 0 <= index < size for index in indices):
        raise ValueError("an index is out of range")


def _gathered_indices(i: Instruction, operands: Sequence[RegisterType]) -> None:
    _within(i.immediates[1:], _size_of_axis(i, operands))


def _gathered(i: Instruction, operands: Sequence[Shape]) -> Shape:
    axis, *indices = i.immediates
    return *operands[0][:axis], len(indices), *operands[0][axis + 1 :]


@vector_instruction(
    10,
    ("x",),
    immediates=("axis", "indices[]"),
    shape=_gathered,
    rules=(keeps_type, _gathered_indices),
    elementwise=False,
)
def gather(i: Instruction, x: Array) -> Array:
    """Element j of the result along the axis is element indices[j] of x."""
    axis, *indices = i.immediates
    return np.take(x, indices, axis)


def _interpolated_indices(i: Instruction, operands: Sequence[RegisterType]) -> None:
    size = _size_of_axis(i, operands)
    _, n, *tables = i.immediates
    if n < 1 or len(tables) != 4 * n:
        raise ValueError("its tables differ in length")
    _within(tables[: 2 * n], size)


def _interpolated(i: Instruction, operands: Sequence[Shape]) -> Shape:
    axis, n, *_ = i.immediates
    return *operands[0][:axis], n, *operands[0][axis + 1 :]


@vector_instruction(
    11,
    ("x",),
    immediates=("axis", "n", "lower[n]", "upper[n]", "lower_weight[n]", "upper_weight[n]"),
    shape=_interpolated,
    rules=(_interpolated_indices,),
    elementwise=False,
)
def interpolate(i: Instruction, x: Array) -> Array:
    """Element j along the axis is lower_weight[j] x[lower[j]] + upper_weight[j] x[upper[j]]."""
    axis, n, *tables = i.immediates
    lower, upper, lower_weight, upper_weight = (
        np.array(tables[j * n : (j + 1) * n], np.int64) for j in range(4)
    )
    x = x.astype(DTYPES[i.element])
    wide = [1] * x.ndim
    wide[axis] = n
    low = lower_weight.astype(x.dtype).reshape(wide)
    high = upper_weight.astype(x.dtype).reshape(wide)
    result = np.take(x, lower, axis)
    result *= low
    above = np.take(x, upper, axis)
    above *= high
    result += above
    return result
