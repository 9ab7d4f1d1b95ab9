"""Binary operators and QUANTIZE as LiteRT's default kernels compute them on x86."""

from __future__ import annotations

from math import prod

from xdsl.ir import SSAValue

from furiosa_ir import hints
from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.elementwise import AddOp, MulOp
from furiosa_ir.dialects.graph.quantization import QuantizeOp
from furiosa_ir.ir.shaped_operation import shape_of
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.litert import elementwise as reference
from furiosa_ir.lowering.litert import factors, quantization
from furiosa_ir.lowering.litert_default.rounding import HIGH_SHIFT, rescale_up
from furiosa_ir.lowering.registry import LITERT_DEFAULT, Emitter, lowers

INT16_MAX = (1 << 15) - 1
CODES = 256

VECTOR_ELEMENTS = 16
"""``optimized_ops::Requantize``: so many elements at once, the rest one by one."""


def sixteen_bits(op: AddOp | MulOp) -> hints.Hint | None:
    """The vector loops add the output's zero point in 16 bits, where a great result wraps round."""
    quantized = [quantization_of(v) for v in (op.a, op.b, op.result)]
    if not all(quantized):
        return hints.not_quantized(op.name)
    a, b, y = (q.scale for q in quantized if q is not None)
    greatest = CODES * CODES * a * b if isinstance(op, MulOp) else CODES * (a + b)
    if greatest / y + CODES > INT16_MAX:
        return hints.form(op.name, "with a scale far below its operands'")
    return None


lowers(AddOp, LITERT_DEFAULT, unless=[not_8bit, sixteen_bits])(reference.add)
lowers(MulOp, LITERT_DEFAULT, unless=[not_8bit, sixteen_bits])(reference.mul)


def left_over(op: QuantizeOp) -> hints.Hint | None:
    """The kernel rounds the last elements otherwise where their number is no multiple of 16.

    There is no difference where the factor is at least a half: then it rounds once.
    """
    x, y = quantization_of(op.x), quantization_of(op.result)
    if x is None or y is None:
        return hints.not_quantized(op.name)
    rounds_once = factors.ratio(x.scale, y.scale).shift <= HIGH_SHIFT
    if rounds_once or prod(shape_of(op.result)) % VECTOR_ELEMENTS == 0:
        return None
    return hints.form(op.name, "of a number of elements that 16 does not divide")


@lowers(QuantizeOp, LITERT_DEFAULT, unless=[quantization.float_input, not_8bit, left_over])
def requantize(op: QuantizeOp, emit: Emitter) -> SSAValue:
    """QUANTIZE of 8-bit data (``optimized_ops::Requantize``): ties up."""
    x, y = emit.quantization(op.x), emit.quantization(op.result)
    if (x.scale, x.zero_point) == (y.scale, y.zero_point):
        return emit.operand(op.x)
    return rescale_up(
        emit.operand(op.x),
        *factors.ratio(x.scale, y.scale),
        emit,
        input_zp=x.zero_point,
        output_zp=y.zero_point,
    )
