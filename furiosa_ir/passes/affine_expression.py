"""Float values that are x * factor + offset with constants: found in the graph, composed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, Float64Type
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.elementwise import BinaryOp
from furiosa_ir.dialects.graph.normalization import BatchNormOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.ir.shaped_operation import element_of
from furiosa_ir.numerics.array import Array

Affine: TypeAlias = BinaryOp | BatchNormOp
"""Operations that may be affine in their one operand that is not constant."""


@dataclass(frozen=True)
class AffineExpression:
    """A value as source * factor + offset.

    Attributes:
        source: the value it depends on.
        factor, offset: f64, of shapes that broadcast.
        steps: the operations between them, the last one first; none if the value is the source.
    """

    source: SSAValue
    factor: Array
    offset: Array
    steps: tuple[GraphOp, ...]


def find_affine(value: SSAValue) -> AffineExpression:
    """The longest affine expression of a value, in which nothing else reads what lies between.

    Sums, differences, products and quotients with constants, and batch normalisations.
    """
    source, factor, offset = value, np.ones(()), np.zeros(())
    steps: list[GraphOp] = []
    while source is value or source.has_one_use():
        step = _step(source)
        if step is None:
            break
        steps.append(cast("GraphOp", source.owner))
        source, inside, below = step
        factor, offset = factor * inside, factor * below + offset
    return AffineExpression(source, factor, offset, tuple(steps))


def _step(value: SSAValue) -> tuple[SSAValue, Array, Array] | None:
    """A value as (x, factor, offset) of one operation; None if it is nothing such."""
    inner = value.owner
    if not isinstance(inner, Affine):
        return None
    constants = [real_constant(v) for v in inner.operands]
    variable = [v for v, c in zip(inner.operands, constants, strict=True) if c is None]
    affine = inner.affine(constants) if len(variable) == 1 else None
    if affine is None or not np.all(np.isfinite(affine[0])) or not np.all(np.isfinite(affine[1])):
        return None
    return variable[0], *affine


def stored_of(value: SSAValue) -> SSAValue | None:
    """The quantised value that a float one is dequantised from, cast to another float or not."""
    owner = value.owner
    if isinstance(owner, OpaqueOp) and owner.operator.data == "Cast":
        owner = owner.operands[0].owner
    return owner.x if isinstance(owner, DequantizeOp) and is_float(value) else None


def is_float(value: SSAValue) -> bool:
    """Whether a value is of floats."""
    return isinstance(element_of(value), Float16Type | BFloat16Type | Float32Type | Float64Type)


def real_constant(value: SSAValue) -> Array | None:
    """The real elements (f64) of a constant, dequantised or not; else None."""
    stored = stored_of(value)
    constant = constant_of(value if stored is None else stored)
    if constant is None or constant.dtype.kind not in "iuf":
        return None
    quantization = None if stored is None else quantization_of(stored)
    return (
        constant.astype(np.float64) if quantization is None else dequantize(constant, quantization)
    )
