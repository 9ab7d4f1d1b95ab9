"""Runs programs: each instruction exactly as the `ftensor` operation of its name is defined."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from furiosa_ir.numerics import fixed_point
from furiosa_ir.numerics.array import Array
from furiosa_ir.program import Program
from toy_backend.machine import Step


class ToyExecutor:
    """The device segments of a program; they keep nothing, so that any thread may run them."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def run_segment(self, index: int, inputs: Mapping[int, Array]) -> dict[int, Array]:
        """The segment's outputs by tensor index."""
        segment = self._program.segments[index]
        dtypes = [tensor.dtype for tensor in self._program.tensors]
        given = map(inputs.get, segment.reads)
        registers = [_as("int8", a) if a.dtype == np.uint8 else a for a in given]
        registers += map(np.asarray, segment.constants)
        for step in segment.steps:
            operands = [registers[number] for number in step.operands]
            result = MEANINGS[step.instruction](step, operands, step.immediates)
            registers.append(np.broadcast_to(result, step.shape).astype(step.dtype))
        return {b.tensor: _as(dtypes[b.tensor], registers[b.address]) for b in segment.outputs}


def _as(dtype: str, array: Array) -> Array:
    """Between i8 and unsigned bytes, the top bit is flipped."""
    is_flipped = "uint8" in (dtype, array.dtype.name)
    return (array.view(np.uint8) ^ 0x80).view(dtype) if is_flipped else array.astype(dtype)


def _conv(_: Step, operands: Sequence[Array], at: Mapping[str, Any]) -> Array:
    x, weight, *bias = operands
    x = x.transpose(0, 2, 3, 1) if at["layout"] == "NCHW" else x
    top, left, bottom, right = at["pads"]
    (dh, dw), (sh, sw), (outputs, high, wide, inner) = at["dilations"], at["strides"], weight.shape
    x = np.pad(x.astype(np.int64) - at["x_zp"], ((0, 0), (top, bottom), (left, right), (0, 0)))
    windows = sliding_window_view(x, ((high - 1) * dh + 1, (wide - 1) * dw + 1), (1, 2))
    windows = windows[:, ::sh, ::sw, :, ::dh, ::dw]
    windows = windows.reshape(*windows.shape[:3], -1, inner, high, wide)
    weight = weight.astype(np.int64).reshape(windows.shape[3], -1, high, wide, inner)
    sums = np.einsum("yrcgiab,goabi->yrcgo", windows, weight - at["weight_zp"])
    sums = sum(bias, sums.reshape(*sums.shape[:3], outputs))
    return sums.transpose(0, 3, 1, 2) if at["layout"] == "NCHW" else sums


def _matmul(_: Step, operands: Sequence[Array], at: Mapping[str, Any]) -> Array:
    a, b, *bias = operands
    b = np.swapaxes(b, -1, -2) if at["transpose_b"] else b
    return sum(bias, (a.astype(np.int64) - at["a_zp"]) @ (b.astype(np.int64) - at["b_zp"]))


def _rescale(step: Step, operands: Sequence[Array], at: Mapping[str, Any]) -> Array:
    points = {"input_zero_point": at["input_zp"], "output_zero_point": at["output_zp"]}
    limits = {name: at[name] for name in ("rounding", "minimum", "maximum")}
    return fixed_point.rescale(*operands, **points, **limits, dtype=step.dtype)


MEANINGS = {
    "add": lambda _, operands, __: operands[0].astype(np.int64) + operands[1],
    "clamp": lambda _, operands, at: operands[0].clip(at["minimum"], at["maximum"]),
    "conv": _conv,
    "matmul": _matmul,
    "rescale": _rescale,
    "reshape": lambda step, operands, _: operands[0].reshape(step.shape),
}
