"""QUANTIZE between 8-bit quantisations."""

from __future__ import annotations

from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import factors
from furiosa_ir.lowering.registry import LITERT, Emitter, lowers


def float_input(op: QuantizeOp) -> hints.Hint | None:
    """Quantising float data is the host's."""
    return hints.boundary(op.name) if quantization_of(op.x) is None else None


@lowers(QuantizeOp, LITERT, unless=[float_input, not_8bit])
def requantize(op: QuantizeOp, emit: Emitter) -> SSAValue:
    """QUANTIZE of int8 or uint8 to int8 or uint8 (``Requantize``)."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    if (x.scale, x.zero_point) == (y.scale, y.zero_point):
        return emit.operand(op.x)
    return emit.rescale(
        emit.operand(op.x),
        *factors.ratio(x.scale, y.scale),
        rounding="double",
        input_zp=x.zero_point,
        output_zp=y.zero_point,
    )
