"""Data movement on stored elements: the same in both numerics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from furiosa_ir.dialects.ftensor import movement
from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    ExpandOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    SplitOp,
    TileOp,
    TransposeOp,
    pad_array,
)
from furiosa_ir.dialects.graph.quantization import StorageCastOp
from furiosa_ir.dialects.graph.rearrangement import (
    BlockOp,
    DepthToSpaceOp,
    GatherOp,
    SpaceToDepthOp,
    Steps,
)
from furiosa_ir.dialects.graph.resize import ResizeOp, nearest_indices
from furiosa_ir.ir.remarks import heard, missed
from furiosa_ir.ir.shaped_operation import ints, normal_axis, shape_of
from furiosa_ir.lowering.registry import EXACT, LITERT, Emitter, lowers


def _reshape(op: ReshapeOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    return [emit.emit(movement.ReshapeOp, [x], i8, shape=op.shape)]


def _transpose(op: TransposeOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    return [emit.emit(movement.TransposeOp, [x], i8, perm=op.perm)]


def _split(op: SplitOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    shape = shape_of(op.x)
    axis = normal_axis(op, op.axis.value.data, len(shape))
    parts: list[SSAValue] = []
    begin = 0
    for extent in ints(op.split):
        starts, ends = [0] * len(shape), list(shape)
        starts[axis], ends[axis] = begin, begin + extent
        steps = [1] * len(shape)
        parts.append(emit.emit(movement.SliceOp, [x], i8, starts=starts, ends=ends, steps=steps))
        begin += extent
    return parts


def _slice(op: SliceOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    """Forward dimensions by a slice, backward ones by a gather."""
    shape = shape_of(op.x)
    bounds = list(zip(ints(op.starts), ints(op.ends), ints(op.steps), strict=True))
    forward = [b if b[2] > 0 else (0, n, 1) for b, n in zip(bounds, shape, strict=True)]
    if forward != [(0, n, 1) for n in shape]:
        starts, ends, steps = zip(*forward, strict=True)
        x = emit.emit(movement.SliceOp, [x], i8, starts=starts, ends=ends, steps=steps)
    for axis, (begin, end, step) in enumerate(bounds):
        if step < 0:
            x = emit.emit(movement.GatherOp, [x], i8, axis=axis, indices=[*range(begin, end, step)])
    return [x]


def _expand(op: ExpandOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    return [emit.emit(movement.BroadcastOp, [x], i8, shape=shape_of(op.result))]


def _tile(op: TileOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    for axis, repeats in enumerate(ints(op.repeats)):
        if repeats != 1:
            indices = np.tile(np.arange(shape_of(x)[axis]), repeats)
            x = emit.emit(movement.GatherOp, [x], i8, axis=axis, indices=indices.tolist())
    return [x]


def _blocks(op: BlockOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    """Depth to space and back: the position within a block becomes dimensions of its own."""
    return [emit_steps(op.steps(), emit, x)]


def emit_steps(steps: Steps, emit: Emitter, x: SSAValue) -> SSAValue:
    """x reshaped, transposed, reshaped."""
    split, perm, shape = steps
    x = emit.emit(movement.ReshapeOp, [x], i8, shape=split)
    x = emit.emit(movement.TransposeOp, [x], i8, perm=perm)
    return emit.emit(movement.ReshapeOp, [x], i8, shape=shape)


def _gather(op: GatherOp, emit: Emitter, x: SSAValue) -> list[SSAValue]:
    return [emit.emit(movement.GatherOp, [x], i8, axis=op.axis, indices=op.indices)]


MOVEMENTS: dict[type[GraphOp], Callable[[Any, Emitter, SSAValue], list[SSAValue]]] = {
    ReshapeOp: _reshape,
    TransposeOp: _transpose,
    SplitOp: _split,
    SliceOp: _slice,
    ExpandOp: _expand,
    TileOp: _tile,
    DepthToSpaceOp: _blocks,
    SpaceToDepthOp: _blocks,
    GatherOp: _gather,
}
"""Operation -> what moves its operand's stored elements: one i8 value for each result."""

GATHERED: frozenset[type[GraphOp]] = frozenset({SliceOp, TileOp})
"""Those of them that may become gathers with an index for each element (`long_gather`)."""


def emit_movement(op: GraphOp, emit: Emitter) -> list[SSAValue]:
    """The operator on its operand's stored elements: one i8 value for each result."""
    return MOVEMENTS[type(op)](op, emit, emit.operand(op.operands[0]))


def emit_concat(op: ConcatOp, emit: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
    """The (requantised) operands one behind the other."""
    if heard():
        _tell_requantised(op)
    axis = normal_axis(op, op.axis.value.data, len(shape_of(op.result)))
    return emit.emit(movement.ConcatOp, [list(operands)], i8, axis=axis)


def _tell_requantised(op: ConcatOp) -> None:
    """Says which operands pass a table in front of the concatenation."""
    y = quantization_of(op.result)
    for index, value in enumerate(op.inputs):
        x = quantization_of(value)
        if (
            x is not None
            and y is not None
            and (x.scales, x.zero_points) != (y.scales, y.zero_points)
        ):
            missed(
                op,
                "requantised",
                "operand {index} passes a table before it: its scale and zero point are "
                "{operand}, the result's {result}",
                way_out="quantise all operands of a concatenation as its result",
                index=index,
                operand=f"{x.scale:g}:{x.zero_point}",
                result=f"{y.scale:g}:{y.zero_point}",
            )


def emit_pad(op: PadOp, emit: Emitter, x: SSAValue, value: int) -> SSAValue:
    """x padded with the stored `value`, or, in the modes that repeat x, by gathers."""
    pads, n = ints(op.pads), len(shape_of(op.x))
    if op.mode.data == "constant":
        return emit.emit(movement.PadOp, [x], i8, pads=op.pads, value=value)
    for axis in range(n):
        if pads[axis] or pads[axis + n]:
            widths = (pads[axis], pads[axis + n])
            order = pad_array(np.arange(shape_of(x)[axis]), [widths], op.mode.data)
            x = emit.emit(movement.GatherOp, [x], i8, axis=axis, indices=order.tolist())
    return x


def emit_nearest(op: ResizeOp, emit: Emitter) -> SSAValue:
    """Nearest resizing: a gather along each spatial axis that changes."""
    x = emit.operand(op.x)
    for k, axis in enumerate(i for i, d in enumerate(op.layout.data) if d not in "NC"):
        indices = nearest_indices(op, k)
        if indices != list(range(shape_of(x)[axis])):
            x = emit.emit(movement.GatherOp, [x], i8, axis=axis, indices=indices)
    return x


@lowers(StorageCastOp, EXACT, LITERT)
def storage_cast(op: StorageCastOp, emit: Emitter) -> SSAValue:
    """Nothing: the stored integers are the value."""
    return emit.operand(op.x)
