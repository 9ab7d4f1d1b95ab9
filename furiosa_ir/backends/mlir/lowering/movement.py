"""Data movement with static parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects import tensor
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr

from furiosa_ir.backends.mlir.lowering.elements import Elements
from furiosa_ir.backends.mlir.lowering.emission import (
    PARALLEL,
    Emitter,
    dimensions,
    element,
    upstream,
)
from furiosa_ir.backends.mlir.lowering.registry import lowers
from furiosa_ir.dialects.ftensor.movement import (
    BroadcastOp,
    ConcatOp,
    GatherOp,
    InterpolateOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from furiosa_ir.ir.shaped_operation import ints, shape_of


def copied(_b: Elements, given: Sequence[SSAValue]) -> SSAValue:
    """The body that hands its input on."""
    return given[0]


@lowers(ReshapeOp)
def lower_reshape(op: ReshapeOp, emit: Emitter) -> SSAValue:
    """The same elements under another shape."""
    return emit.reshape(emit.operand(op.x), shape_of(op.result))


@lowers(TransposeOp)
def lower_transpose(op: TransposeOp, emit: Emitter) -> SSAValue:
    """Dimension i of the result is dimension perm[i] of x."""
    shape, perm = shape_of(op.result), ints(op.perm)
    read = [AffineExpr.dimension(perm.index(i)) for i in range(len(perm))]
    into = emit.empty(shape, element(op.result)), dimensions(len(shape))
    return emit.generic([(emit.operand(op.x), read)], into, [PARALLEL] * len(shape), copied)


@lowers(ConcatOp)
def lower_concat(op: ConcatOp, emit: Emitter) -> SSAValue:
    """The operands one behind the other."""
    operands = [emit.operand(v) for v in op.inputs]
    if len(operands) == 1:
        return operands[0]
    return emit.made(tensor.ConcatOp(operands, op.axis.value.data, upstream(op.result.type)))


@lowers(SliceOp)
def lower_slice(op: SliceOp, emit: Emitter) -> SSAValue:
    """x[starts:ends:steps].

    What lies between the steps is left out by an affine map over exactly what is covered: IREE 3.13
    does not compile a strided `extract_slice` that a gather reads.
    """
    shape, steps = shape_of(op.result), ints(op.steps)
    spans = tuple((n - 1) * s + 1 if n else 0 for n, s in zip(shape, steps, strict=True))
    part = emit.cropped(emit.operand(op.x), ints(op.starts), spans)
    if all(s == 1 for s in steps):
        return part
    read = [d * s if s > 1 else d for d, s in zip(dimensions(len(shape)), steps, strict=True)]
    into = emit.empty(shape, element(op.result)), dimensions(len(shape))
    return emit.generic([(part, read)], into, [PARALLEL] * len(shape), copied)


@lowers(PadOp)
def lower_pad(op: PadOp, emit: Emitter) -> SSAValue:
    """x with a number around it."""
    pads, n = ints(op.pads), len(shape_of(op.x))
    return emit.padded(emit.operand(op.x), pads[:n], pads[n:], op.value.value.data)


@lowers(BroadcastOp)
def lower_broadcast(op: BroadcastOp, emit: Emitter) -> SSAValue:
    """x repeated along dimensions of extent 1."""
    shape = shape_of(op.result)
    return emit.elementwise([emit.operand(op.x)], shape, element(op.result), copied)


@lowers(GatherOp)
def lower_gather(op: GatherOp, emit: Emitter) -> SSAValue:
    """x[..., indices[j], ...]."""
    x, axis, shape = emit.operand(op.x), op.axis.value.data, shape_of(op.result)
    indices = emit.constant(np.array(ints(op.indices), np.int64))

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        return b.extract(x, _places(b, x, axis, given[0]))

    into = emit.empty(shape, element(op.result)), dimensions(len(shape))
    read = [(indices, [AffineExpr.dimension(axis)])]
    return emit.generic(read, into, [PARALLEL] * len(shape), body)


@lowers(InterpolateOp)
def lower_interpolate(op: InterpolateOp, emit: Emitter) -> SSAValue:
    """x[lower[j]] * lower_weight[j] + x[upper[j]] * upper_weight[j] along an axis."""
    x, axis, shape, wide = (
        emit.operand(op.x),
        op.axis.value.data,
        shape_of(op.result),
        element(op.result),
    )
    lists = (op.lower, op.upper, op.lower_weight, op.upper_weight)
    along = [AffineExpr.dimension(axis)]
    read = [(emit.constant(np.array(ints(numbers), np.int64)), along) for numbers in lists]

    def body(b: Elements, given: Sequence[SSAValue]) -> SSAValue:
        low, high = (
            b.mul(
                b.cast(b.extract(x, _places(b, x, axis, place)), i64),
                weight,
            )
            for place, weight in ((given[0], given[2]), (given[1], given[3]))
        )
        return b.cast(b.add(low, high), wide)

    into = emit.empty(shape, wide), dimensions(len(shape))
    return emit.generic(read, into, [PARALLEL] * len(shape), body)


def _places(b: Elements, x: SSAValue, axis: int, place: SSAValue) -> list[SSAValue]:
    """Where an element comes from: its own index but along an axis."""
    shape = shape_of(x)
    return [b.as_index(place, shape[axis]) if i == axis else b.index(i) for i in range(len(shape))]
