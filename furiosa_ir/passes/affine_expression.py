"""Float values that are x * factor + offset with constants: found in the graph, composed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, Float64Type
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of
from furiosa_ir.dialects.graph.elementwise import BinaryOp
from furiosa_ir.dialects.graph.movement import ReshapeOp, TransposeOp
from furiosa_ir.dialects.graph.normalization import BatchNormOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp
from furiosa_ir.dialects.graph.structure import OpaqueOp
from furiosa_ir.dialects.quant.arithmetic import dequantize
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of
from furiosa_ir.numerics.array import Array

Affine: TypeAlias = BinaryOp | BatchNormOp
"""Operations that may be affine in their one operand that is not constant."""

Move: TypeAlias = ReshapeOp | TransposeOp
"""Operations that only put elements elsewhere: what is affine behind them is so before."""


@dataclass(frozen=True)
class AffineExpression:
    """A value as source * factor + offset, moved.

    Attributes:
        source: the value it depends on.
        factor, offset: f64, of shapes that broadcast.
        steps: the operations that compute, the last one first; none if the value is the source.
        moves: what is done to source * factor + offset in the end, the last one first.
    """

    source: SSAValue
    factor: Array
    offset: Array
    steps: tuple[GraphOp, ...]
    moves: tuple[Move, ...] = ()


def find_affine(value: SSAValue, *, through_moves: bool = False) -> AffineExpression:
    """The longest affine expression of a value, in which nothing else reads what lies between.

    Sums, differences, products and quotients with constants, and batch normalisations.

    Args:
        value: what is computed.
        through_moves: whether there may be reshapes and transposes between the steps.
    """
    source, factor, offset = value, np.ones(()), np.zeros(())
    steps: list[GraphOp] = []
    moves: list[Move] = []
    moved = value  # as the last step had it
    while source is value or source.has_one_use():
        owner, step = source.owner, _step(source)
        if step is not None:
            steps.append(cast("GraphOp", owner))
            source, inside, below = step
            factor, offset = factor * inside, factor * below + offset
        elif (
            through_moves
            and isinstance(owner, Move)
            and shape_of(moved) == shape_of(source)
            and 0 not in shape_of(source)  # constants of no elements say nothing of channels
        ):
            moves.append(owner)
            factor, offset = _before(owner, factor), _before(owner, offset)
            source = moved = owner.x
        else:
            break
    return AffineExpression(source, factor, offset, tuple(steps), tuple(moves))


def _before(move: Move, array: Array) -> Array:
    """Elements that broadcast to what a move makes, as they broadcast to what it takes."""
    shape = shape_of(move.x)
    if array.size == 1:
        return array.reshape(())
    if isinstance(move, TransposeOp):
        whole = array.reshape([1] * (len(shape) - array.ndim) + list(array.shape))
        return np.transpose(whole, np.argsort(ints(move.perm)))
    array = np.broadcast_to(array, shape_of(move.result)).reshape(shape)
    for axis in range(array.ndim):
        first = array.take([0], axis)
        array = first if bool(np.all(array == first)) else array
    return array


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
