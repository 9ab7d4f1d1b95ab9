"""Rules: activations that only limit the range, on stored integers."""

from __future__ import annotations

import math

import numpy as np
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import quantization_of
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp
from furiosa_ir.dialects.quant import Quantization
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.passes.clone import clone_with
from furiosa_ir.passes.quantized_movement import only_quantized


def _bounds(op: ClipOp | ReluOp) -> tuple[float, float]:
    if isinstance(op, ReluOp):
        return 0.0, math.inf
    low = -math.inf if op.minimum is None else op.minimum.value.data
    high = math.inf if op.maximum is None else op.maximum.value.data
    return low, high


def binds(op: ClipOp | ReluOp, quantization: Quantization) -> bool:
    """Whether a bound lies within what the quantised type can hold."""
    low, high = (int(quantize(np.array(b), quantization)) for b in _bounds(op))
    return (low, high) != quantization.storage_range


def _is_exact(op: ClipOp | ReluOp) -> bool:
    """Whether a clip rounds nothing: of floats, or of one type that holds the bounds that bind."""
    quantization = quantization_of(op.result)
    if element_of(op.x) != element_of(op.result) or quantization is None:
        return quantization is None and quantization_of(op.x) is None
    if quantization.axis is not None:
        return False
    least, most = dequantize(np.array(quantization.storage_range), quantization)
    low, high = _bounds(op)
    held = dequantize(quantize(np.array([low, high]), quantization), quantization)
    return bool((low <= least or low == held[0]) and (high >= most or high == held[1]))


@rule
def quantize_of_clip(op: QuantizeOp, x: ClipOp | ReluOp, rw: Rewrite) -> SSAValue | None:
    """Q(clip(x)) = clip(Q(x)), for Q is monotone; Q(x) where Q saturates at the bounds anyway.

    Not where the clip rounds, too: a quantised one to another type, or to bounds between steps.
    """
    quantization = quantization_of(op.result)
    if quantization is None or quantization.axis is not None or not only_quantized(op.x):
        return None
    if isinstance(x.x.owner, DequantizeOp):
        return None  # one operator on quantised types: the rule for those does it
    if not _is_exact(x):
        return None
    element = element_of(op.result)
    quantized = rw.emit(QuantizeOp, [x.x], [element])
    return clone_with(rw, x, [quantized], element)[0] if binds(x, quantization) else quantized


@rule
def clip_that_does_not_bind(op: ClipOp | ReluOp, rw: Rewrite) -> SSAValue | None:
    """clip(x) = x, or a requantisation, where the quantised types cannot leave the bounds."""
    source, target = quantization_of(op.x), quantization_of(op.result)
    if source is None or target is None or target.axis is not None:
        return None
    if binds(op, target):
        return None
    if source == target:
        return op.x
    return rw.emit(QuantizeOp, [op.x], [element_of(op.result)])


RANGE_RULES = (quantize_of_clip, clip_that_does_not_bind)
