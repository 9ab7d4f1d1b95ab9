"""`graph-compose-movement`: chains of transposes and reshapes become one, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.movement import (
    ConcatOp,
    ExpandOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TileOp,
    TransposeOp,
)
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import described, missed
from furiosa_ir.ir.rewriting import Rewrite, rule
from furiosa_ir.ir.shaped_operation import element_of, ints, shape_of


@rule
def same_shape(op: ReshapeOp | ExpandOp | TileOp | PadOp, _rw: Rewrite) -> SSAValue | None:
    """Reshape, expand, tile, pad to the shape that x has: x."""
    x, result = op.operands[0], op.results[0]
    return x if x.type == result.type else None


@rule
def whole_slice(op: SliceOp, _rw: Rewrite) -> SSAValue | None:
    """x[0:n:1, ...] = x; x[::-1] is not, though it has x's shape."""
    forward = all(step > 0 for step in ints(op.steps))
    return op.x if forward and op.x.type == op.result.type else None


@rule
def concat_of_one(op: ConcatOp, _rw: Rewrite) -> SSAValue | None:
    """concat(x) = x."""
    return op.inputs[0] if len(op.inputs) == 1 and op.inputs[0].type == op.result.type else None


@rule
def reshape_of_reshape(op: ReshapeOp, x: ReshapeOp, rw: Rewrite) -> SSAValue | None:
    """reshape(reshape(x)) = reshape(x), unless both requantise."""
    if not (op.only_moves or x.only_moves):
        _both_requantise(op, x)
        return None
    return rw.emit(ReshapeOp, [x.x], [element_of(op.result)], shape=op.shape)


def _both_requantise(op: GraphOp, x: GraphOp) -> None:
    missed(
        op,
        "movement",
        "it does not become one with {x}: both requantise, and two roundings are not one",
        way_out="quantise both sides of a movement alike",
        x=described(x),
    )


@rule
def transpose_of_transpose(op: TransposeOp, x: TransposeOp, rw: Rewrite) -> SSAValue | None:
    """transpose(transpose(x, p), q) = transpose(x, p[q]), unless both requantise."""
    if not (op.only_moves or x.only_moves):
        _both_requantise(op, x)
        return None
    perm = [ints(x.perm)[p] for p in ints(op.perm)]
    return rw.emit(TransposeOp, [x.x], [element_of(op.result)], perm=perm)


@rule
def transpose_in_place(op: TransposeOp, rw: Rewrite) -> SSAValue | None:
    """A transpose that keeps the order of all extents but 1 moves nothing: a reshape, or x."""
    shape, perm = shape_of(op.x), ints(op.perm)
    moved = [p for p in perm if shape[p] != 1]
    if moved != sorted(moved):
        return None
    if perm == tuple(range(len(perm))):
        return op.x if op.x.type == op.result.type else None
    return rw.emit(ReshapeOp, [op.x], [element_of(op.result)], shape=shape_of(op.result))


@dataclass(frozen=True)
class ComposeMovement(RewritePass):
    """Composes chains of transposes and of reshapes, and drops movements that move nothing.

        %1 = graph.transpose %x {perm = array<i64: 0, 2, 3, 1>}
        %2 = graph.transpose %1 {perm = array<i64: 0, 3, 1, 2>}
        %3 = graph.reshape %2 : tensor<1x8xf32>
        %4 = graph.reshape %3 : tensor<8xf32>

    becomes

        %4 = graph.reshape %x : tensor<8xf32>
    """

    name = "graph-compose-movement"
    rules = (
        same_shape,
        whole_slice,
        concat_of_one,
        reshape_of_reshape,
        transpose_of_transpose,
        transpose_in_place,
    )
