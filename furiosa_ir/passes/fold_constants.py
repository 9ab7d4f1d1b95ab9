"""`graph-fold-constants`: what depends on constants alone is computed now."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from weakref import WeakKeyDictionary

import numpy as np
from xdsl.dialects.builtin import IntegerType, ModuleOp, Signedness, i8
from xdsl.ir import Block, SSAValue

from furiosa_ir.dialects.graph.base import (
    GraphOp,
    constant_of,
    is_from_tflite,
    quantization_of,
)
from furiosa_ir.dialects.graph.elementwise import BinaryOp, UnaryOp
from furiosa_ir.dialects.graph.evaluation import evaluate
from furiosa_ir.dialects.graph.movement import ConcatOp, MoveOp, TransposeOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.structure import ConstantOp
from furiosa_ir.dialects.quant import UniformType, uniform
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.rewriting import Rewrite, Rule, rule
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.limits import limit
from furiosa_ir.numerics.array import Array

_BYTES = (i8, IntegerType(8, Signedness.UNSIGNED))


def _emit(rw: Rewrite, array: Array, op: GraphOp) -> SSAValue:
    element = element_of(op.results[0])
    whole = np.ascontiguousarray(array).reshape(array.shape)  # numpy makes a vector of a scalar
    return rw.emit(ConstantOp, [], [element], value=BlobAttr.of(whole))


_MADE: WeakKeyDictionary[Block, tuple[int, int]] = WeakKeyDictionary()
"""Block -> elements of the constants that it had at first, and of those made of them since."""


def _may_make(op: GraphOp, count: int) -> bool:
    """Whether a block may have that many more elements in constants that moves make.

    As many as it has already, or `FOLDED_GROWTH`. Constants stay as long as anything uses them, so
    that moves of moves add up, as at import.
    """
    block = op.parent
    if block is None:
        return True
    given, made = _MADE.get(block, (-1, 0))
    if given < 0:
        constants = (c for c in block.ops if isinstance(c, ConstantOp))
        given = sum(prod(shape_of(c.results[0])) for c in constants)
    if made + count > max(limit("FOLDED_GROWTH"), given):
        return False
    _MADE[block] = (given, made + count)
    return True


@rule
def move_of_constant(op: MoveOp | ConcatOp, rw: Rewrite) -> SSAValue | None:
    """move(constant) is a constant, also of stored integers with one scale."""
    arrays = [constant_of(v) for v in op.operands]
    operands = [a for a in arrays if a is not None]
    if not operands or len(operands) != len(arrays):
        return None
    element = element_of(op.results[0])
    if any(element_of(v) != element for v in op.operands):
        return None  # a quantised concatenation that rescales
    quantization = quantization_of(op.results[0])
    if quantization is not None and quantization.axis is not None:
        return None
    made = prod(shape_of(op.results[0]))
    if made > limit("FOLDED_ELEMENTS") and made > sum(a.size for a in operands):
        return None  # not worth the space in the program
    if not _may_make(op, made):
        return None
    return _emit(rw, evaluate(op, operands)[0], op)


@rule
def function_of_integers(op: UnaryOp | BinaryOp, rw: Rewrite) -> SSAValue | None:
    """f(constants) is a constant, of plain 8-bit integers: clipped weights, for example."""
    element = element_of(op.results[0])
    if element not in _BYTES or any(element_of(v) != element for v in op.operands):
        return None
    operands = [a for v in op.operands if (a := constant_of(v)) is not None]
    if len(operands) != len(op.operands) or not _may_make(op, prod(shape_of(op.results[0]))):
        return None
    with np.errstate(all="ignore"):
        (result,) = evaluate(op, operands)
    return _emit(rw, result, op) if result.dtype == operands[0].dtype else None


@rule
def transpose_of_channels(op: TransposeOp, x: DequantizeOp, rw: Rewrite) -> SSAValue | None:
    """transpose(DQ(constant with a scale per channel)) = DQ(transposed constant)."""
    stored = x.x
    quantization, constant = quantization_of(stored), constant_of(stored)
    if quantization is None or quantization.axis is None or constant is None:
        return None
    axis = ints(op.perm).index(quantization.axis)
    element = uniform(
        quantization.dtype, np.array(quantization.scales), np.array(quantization.zero_points), axis
    )
    array = np.ascontiguousarray(evaluate(op, [constant])[0])
    moved = rw.emit(ConstantOp, [], [element], value=BlobAttr.of(array))
    return rw.emit(DequantizeOp, [moved], [element_of(op.result)])


@rule
def quantize_of_constant(op: QuantizeOp, x: ConstantOp, rw: Rewrite) -> SSAValue | None:
    """Q(constant) is a constant of stored integers; also where it requantises one."""
    source, element = quantization_of(op.x), element_of(op.result)
    if not isinstance(element, UniformType):
        return None
    real = x.value.array if source is None else dequantize(x.value.array, source)
    return _emit(rw, quantize(real, element.data), op)


@rule
def quantize_of_constant_in_float(op: QuantizeOp, x: ConstantOp, rw: Rewrite) -> SSAValue | None:
    """Q(constant of f32) is a constant: round(x / scale) in f32, half away from 0.

    As LiteRT computes it (`AffineQuantize`); not of what is infinite, which is undefined there.
    """
    constant, quantization = x.value.array, quantization_of(op.result)
    if quantization is None or constant.dtype != np.float32:
        return None
    if quantization_of(op.x) is not None or quantization.axis is not None:
        return None
    quotient = constant / np.float32(quantization.scale)
    if not np.all(np.abs(quotient) < 2.0**30):
        return None
    rounded = np.trunc(quotient + np.copysign(np.float32(0.5), quotient)).astype(np.int64)
    limits = np.iinfo(quantization.dtype)
    stored = np.clip(rounded + quantization.zero_point, limits.min, limits.max)
    return _emit(rw, stored.astype(quantization.dtype), op)


@rule
def cast_of_constant(op: StorageCastOp, x: ConstantOp, rw: Rewrite) -> SSAValue | None:
    """cast(constant) is the same bytes, if the signedness stays."""
    target = quantization_of(op.result)
    if target is not None and target.dtype != x.value.data.dtype:
        return None
    if target is None and quantization_of(op.x) is None:
        return None
    return rw.emit(ConstantOp, [], [element_of(op.result)], value=x.value)


CONSTANT_RULES = (
    move_of_constant,
    function_of_integers,
    transpose_of_channels,
    quantize_of_constant,
    cast_of_constant,
)


TFLITE_CONSTANT_RULES = (
    move_of_constant,
    transpose_of_channels,
    quantize_of_constant_in_float,
    cast_of_constant,
)
"""Constants of a TFLite network are quantised as its kernels do it."""


@dataclass(frozen=True)
class FoldConstants(RewritePass):
    """Computes what depends on constants alone; float weights that are quantised, among others.

        %w = graph.constant #graph.blob<f32 [2] (1.0, 2.0)> : tensor<2xf32>
        %q = graph.quantize %w : tensor<2x!quant.uniform<i8:f32, 0.5>>

    becomes

        %q = graph.constant #graph.blob<i8 [2] (2, 4)> : tensor<2x!quant.uniform<i8:f32, 0.5>>
    """

    name = "graph-fold-constants"
    rules = (*CONSTANT_RULES, quantize_of_constant_in_float)

    def rules_for(self, module: ModuleOp) -> tuple[Rule, ...]:
        return TFLITE_CONSTANT_RULES if is_from_tflite(module) else CONSTANT_RULES
