"""Pooling as LiteRT's reference kernels compute it; both keep the quantisation."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.dialects.graph.pooling import AveragePoolOp, MaxPoolOp, WindowPoolOp
from furiosa_ir.ir.shaped_operation import ints
from furiosa_ir.lowering.constraints import many_windows, not_8bit
from furiosa_ir.lowering.integer_kernels import window_counts
from furiosa_ir.lowering.litert import factors
from furiosa_ir.lowering.litert.convolution import is_uint8
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers


def not_tflite(op: WindowPoolOp) -> hints.Hint | None:
    """A form that no TFLite file has."""
    if op.layout.data != "NHWC" or op.ceil_mode.value.data:
        return hints.form(op.name, f"with layout {op.layout.data} or ceil_mode")
    return None


@lowers(MaxPoolOp, LITERT, unless=[not_8bit, not_tflite])
def max_pool(op: MaxPoolOp, emit: Emitter) -> SSAValue:
    """MAX_POOL_2D."""
    return _windows(op, emit, i8, kind="max", x_zp=0)


@lowers(AveragePoolOp, LITERT, unless=[not_8bit, not_tflite, many_windows])
def average_pool(op: AveragePoolOp, emit: Emitter) -> SSAValue:
    """AVERAGE_POOL_2D: the sum of the stored integers over their number, ties away from zero.

    Ties are told from the stored integers, not from the real numbers: uint8 sums are unsigned.
    """
    zero = -128 if is_uint8(op.x) else 0
    total = _windows(op, emit, i32, kind="sum", x_zp=zero)
    counts = window_counts(op, ints(op.pads))
    distinct, index = np.unique(counts, return_inverse=True)
    multipliers, shifts = np.array([factors.division(count) for count in distinct.tolist()]).T
    if len(distinct) == 1:
        factor = int(multipliers[0]), int(shifts[0])
        return emit.rescale(total, *factor, rounding="away", output_zp=zero)
    index = index.reshape(counts.shape)
    return emit.rescale(total, multipliers[index], shifts[index], rounding="away", output_zp=zero)


def _windows(op: WindowPoolOp, emit: Emitter, element: Attribute, **reduction: object) -> SSAValue:
    """The reduced windows, of that element type; `reduction` is `kind` and `x_zp`."""
    return emit.emit(
        contraction.ReduceWindowOp,
        [emit.operand(op.x)],
        element,
        layout=op.layout,
        window=op.kernel_shape,
        strides=op.strides,
        pads=op.pads,
        dilations=op.dilations,
        **reduction,
    )
