"""How much the operations of linalg multiply, as a report counts it."""

from __future__ import annotations

from math import prod
from typing import cast

from xdsl.dialects.arith import MuliOp
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation
from xdsl.ir.affine import AffineDimExpr

from furiosa_ir.ir.shaped_operation import shape_of


def loop_extents(op: GenericOp) -> list[int]:
    """How often each loop of a `linalg.generic` turns."""
    found: dict[int, int] = {}
    for value, map_ in zip((*op.inputs, *op.outputs), op.indexing_maps, strict=True):
        for extent, expression in zip(shape_of(value), map_.data.results, strict=True):
            if isinstance(expression, AffineDimExpr):
                found[expression.position] = extent
    return [found[i] for i in range(len(op.iterator_types))]


def multiply_accumulates(op: Operation) -> int:
    """Of a contraction, its products; 0 of anything else."""
    if not isinstance(op, GenericOp):
        return 0
    reduces = any(kind.data is IteratorType.REDUCTION for kind in op.iterator_types)
    body = cast("Operation", op).regions[0].block
    if not reduces or not any(isinstance(inner, MuliOp) for inner in body.ops):
        return 0
    return prod(loop_extents(op))
