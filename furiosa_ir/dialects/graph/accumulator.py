"""How large the sums of a convolution or matrix product of 8-bit integers can become."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import constant_of, quantization_of
from furiosa_ir.dialects.graph.contraction import ContractionOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.numerics.array import Array

_LIMIT = 1 << 31
"""What the magnitude of a 32-bit accumulator must stay below."""


def sums_fit(op: ContractionOp, x: SSAValue, weight: SSAValue, bias: Array | None = None) -> bool:
    """Whether sum((x - x_zp) * (weight - weight_zp)) + bias surely fits 32 bits.

    Args:
        op: the convolution or matrix product; its own operands may be dequantised ones.
        x, weight: its 8-bit operands; the elements of a constant weight count.
        bias: integers in the accumulator's unit.
    """
    of_x, of_weight = quantization_of(x), quantization_of(weight)
    if of_x is None or of_weight is None:
        return False
    most_x = _greatest_distance(of_x)
    biases = np.zeros(1, np.int64) if bias is None else np.abs(bias.astype(np.int64)).reshape(-1)
    if op.terms * most_x * _greatest_distance(of_weight) + biases.max(initial=0) < _LIMIT:
        return True
    elements = constant_of(weight)
    if elements is None:
        return False
    distances = np.abs(elements.astype(np.int64) - of_weight.zero_points[0])
    # A channel at a time: those of zeros, with tiny scales, have the greatest biases.
    sums = most_x * distances.sum(op.summed_axes).reshape(-1)
    if len(biases) > 1:  # a transposed convolution's weight has a group's channels
        sums = np.tile(sums, len(biases) // len(sums))
    return bool((sums + biases).max(initial=0) < _LIMIT)


def _greatest_distance(quantization: Quantization) -> int:
    """The greatest distance of a stored 8-bit integer from the zero point."""
    least, greatest = (-128, 127) if quantization.storage == "i8" else (0, 255)
    zeros = quantization.zero_points
    return max(greatest - min(zeros), max(zeros) - least)
