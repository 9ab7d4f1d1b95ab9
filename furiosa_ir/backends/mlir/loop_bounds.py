"""Whether the loops of a text stay within their tensors, by their indexing maps.

MLIR's verifier tries maps where a loop begins and where it ends, in 64 bits, and looks at none that
has a dimension of no elements. Here indices are sums that nothing is taken from: where a loop ends,
they are furthest.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import tensor
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from furiosa_ir.errors import FormatFailure
from furiosa_ir.ir.shaped_operation import shape_of


def check_maps(op: linalg.GenericOp, name: str) -> None:
    """Refuses loops that read or write outside of a tensor, or leave elements of one unwritten.

    Args:
        op: of a program's text.
        name: what the program's segment is called in messages.

    Raises:
        FormatFailure: they do, or they are none that lowerings make.
    """
    shapes = [shape_of(v) if isinstance(v.type, TensorType) else () for v in op.operands]
    maps = [map_.data for map_ in op.indexing_maps]
    if any(m.num_symbols or not all(map(_only_grows, m.results)) for m in maps):
        raise FormatFailure(f"'{op.name}' in {name} has an indexing map that is no sum")
    turns = _turns(maps, shapes)
    if turns is None:
        raise FormatFailure(f"'{op.name}' in {name} has a loop of no extent, or of several")
    last = [n - 1 for n in turns]
    for map_, shape in zip(maps, shapes, strict=True):
        if all(turns) and any(
            _at(e, last) >= extent for e, extent in zip(map_.results, shape, strict=True)
        ):
            raise FormatFailure(f"'{op.name}' in {name} reaches out of its tensor")
    first = len(op.inputs)
    for map_, shape, made in zip(maps[first:], shapes[first:], op.outputs, strict=True):
        loops = [e.position for e in map_.results if isinstance(e, AffineDimExpr)]
        runs = all(turns) or 0 in shape or not isinstance(made.owner, tensor.EmptyOp)
        if len({*loops}) < len(map_.results) or not runs:
            raise FormatFailure(f"'{op.name}' in {name} leaves elements out of what it makes")


def _turns(maps: Sequence[AffineMap], shapes: Sequence[Sequence[int]]) -> list[int] | None:
    """How often each loop turns; None where dimensions do not agree about it."""
    found: dict[int, int] = {}
    if len(maps) != len(shapes):
        return None
    for map_, shape in zip(maps, shapes, strict=True):
        if len(map_.results) != len(shape) or map_.num_dims != maps[0].num_dims:
            return None
        for extent, e in zip(shape, map_.results, strict=True):
            if isinstance(e, AffineDimExpr) and found.setdefault(e.position, extent) != extent:
                return None
    return [found[i] for i in range(maps[0].num_dims)] if len(found) == maps[0].num_dims else None


def _at(expression: AffineExpr, loops: Sequence[int]) -> int:
    """The index that a sum is where loops are."""
    match expression:
        case AffineDimExpr(position):
            return loops[position]
        case AffineConstantExpr(value):
            return value
        case AffineBinaryOpExpr(kind, lhs, rhs):
            a, b = _at(lhs, loops), _at(rhs, loops)
            return a + b if kind is AffineBinaryOpKind.Add else a * b
        case _:
            raise AssertionError(expression)


def _only_grows(expression: AffineExpr) -> bool:
    """Whether an index is a sum of a number and of loops, each times a number; none below 0."""
    match expression:
        case AffineDimExpr():
            return True
        case AffineConstantExpr(value):
            return value >= 0
        case AffineBinaryOpExpr(AffineBinaryOpKind.Add, lhs, rhs):
            return _only_grows(lhs) and _only_grows(rhs)
        case AffineBinaryOpExpr(AffineBinaryOpKind.Mul, lhs, rhs):
            return isinstance(rhs, AffineConstantExpr) and _only_grows(lhs) and _only_grows(rhs)
        case _:
            return False
