"""Data movement with static parameters."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, i32
from xdsl.ir import SSAValue

from furiosa_ir.backends.mlir.tosa import dialect as tosa
from furiosa_ir.backends.mlir.tosa.lowering.emission import Emitter
from furiosa_ir.backends.mlir.tosa.lowering.registry import lowers
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


@lowers(ReshapeOp)
def lower_reshape(op: ReshapeOp, emit: Emitter) -> SSAValue:
    """The same elements under another shape."""
    return emit.reshape(emit.operand(op.x), shape_of(op.result))


@lowers(TransposeOp)
def lower_transpose(op: TransposeOp, emit: Emitter) -> SSAValue:
    """Dimension i of the result is dimension perm[i] of x."""
    return emit.transpose(emit.operand(op.x), ints(op.perm))


@lowers(ConcatOp)
def lower_concat(op: ConcatOp, emit: Emitter) -> SSAValue:
    """The operands one behind the other."""
    operands = [emit.operand(v) for v in op.inputs]
    if len(operands) == 1:
        return operands[0]
    axis = IntegerAttr(op.axis.value.data, i32)
    result = op.result
    return emit.made(tosa.ConcatOp, operands, shape_of(result), emit.element(result), axis=axis)


@lowers(SliceOp)
def lower_slice(op: SliceOp, emit: Emitter) -> SSAValue:
    """x[starts:ends:steps]: what lies between steps is left out by a gather along each axis."""
    shape, steps, starts = shape_of(op.result), ints(op.steps), ints(op.starts)
    spans = [(n - 1) * s + 1 for n, s in zip(shape, steps, strict=True)]
    value = emit.sliced(emit.operand(op.x), starts, spans)
    for axis, step in enumerate(steps):
        if step > 1 and shape[axis] > 1:
            value = emit.taken(value, axis, range(0, spans[axis], step))
    return value


@lowers(PadOp)
def lower_pad(op: PadOp, emit: Emitter) -> SSAValue:
    """x with a number around it."""
    pads, n = ints(op.pads), len(shape_of(op.x))
    return emit.padded(emit.operand(op.x), pads[:n], pads[n:], op.value.value.data)


@lowers(BroadcastOp)
def lower_broadcast(op: BroadcastOp, emit: Emitter) -> SSAValue:
    """x repeated along dimensions of extent 1."""
    return emit.tiled(emit.operand(op.x), shape_of(op.result))


@lowers(GatherOp)
def lower_gather(op: GatherOp, emit: Emitter) -> SSAValue:
    """x[..., indices[j], ...]."""
    return emit.taken(emit.operand(op.x), op.axis.value.data, ints(op.indices))


@lowers(InterpolateOp)
def lower_interpolate(op: InterpolateOp, emit: Emitter) -> SSAValue:
    """x[lower[j]] * lower_weight[j] + x[upper[j]] * upper_weight[j] along an axis."""
    emit.element(op.result)  # which has to fit
    axis, along = op.axis.value.data, [1] * len(shape_of(op.x))
    along[axis] = -1
    x = emit.cast(emit.operand(op.x), i32)
    low, high = (
        emit.mul(
            emit.taken(x, axis, ints(places)),
            emit.constant(np.array(ints(weights), np.int32).reshape(along)),
        )
        for places, weights in ((op.lower, op.lower_weight), (op.upper, op.upper_weight))
    )
    return emit.add(low, high)
