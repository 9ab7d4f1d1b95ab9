"""Convolutions and matrix products in exact arithmetic."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i8, i32
from xdsl.ir import SSAValue

from furiosa_ir.backends.warboy.lowering.constraints import not_8bit
from furiosa_ir.backends.warboy.lowering.registry import EXACT, Emitter, lowers
from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.dialects.graph.convolution import ConvOp
from furiosa_ir.ir import fixed_point


@lowers(ConvOp, EXACT, unless=[not_8bit])
def conv(op: ConvOp, emit: Emitter) -> SSAValue:
    """Accumulate in i32, then scale by x_scale * weight_scale / result_scale, ties to even."""
    x, w, y = (emit.quantization(v) for v in (op.x, op.weight, op.result))
    layout = op.layout.data
    kernel = op.kernel_layout.data
    weight = emit.elements(op.weight).transpose([kernel.index(d) for d in "OHWI"])
    acc = emit.emit(
        contraction.ConvOp,
        [
            emit.operand(op.x),
            emit.constant(np.ascontiguousarray(weight), i8),
            None if op.bias is None else emit.constant(emit.elements(op.bias), i32),
        ],
        i32,
        layout=layout,
        strides=op.strides,
        pads=op.pads,
        dilations=op.dilations,
        input_dilation=[1, 1],
        group=op.group,
        x_zp=x.zero_point,
        weight_zp=w.zero_point,
    )
    scale = np.array(w.scales) * x.scale / y.scale
    multiplier, shift = fixed_point.exact_multiplier(scale)
    channel = layout.index("C")
    return emit.rescale(
        acc,
        emit.along(multiplier, channel, len(layout)) if len(w.scales) > 1 else int(multiplier[0]),
        emit.along(shift, channel, len(layout)) if len(w.scales) > 1 else int(shift[0]),
        rounding="even",
        output_zp=y.zero_point,
    )
