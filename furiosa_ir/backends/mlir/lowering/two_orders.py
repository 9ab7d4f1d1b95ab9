"""Reductions whose values are read in two orders at once, which IREE has to make first.

    %r = linalg.generic {iterator_types = ["parallel", "reduction"]} ... -> tensor<8xi32>
    %s = linalg.generic ins(%r, %r) with (d0, d1) -> (d0), (d0, d1) -> (d1)

IREE 3.13 makes a reduction within the loop that reads it, as far as one of the loop's maps asks for
it: what another map asks for, beside a tile's diagonal, it leaves at the beginning's value. No flag
is known that keeps it from that; a barrier between the reduction and its readers does.
"""

from __future__ import annotations

from collections.abc import Set
from typing import cast

from xdsl.dialects import tensor
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg import ops as linalg
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Block, Operation, SSAValue, Use
from xdsl.rewriter import InsertPoint, Rewriter

from furiosa_ir.backends.mlir.dialect import OptimizationBarrierOp
from furiosa_ir.backends.mlir.multiplications import loop_extents
from furiosa_ir.ir.segments import body_of
from furiosa_ir.ir.shaped_operation import shape_of

_RESHAPES = (tensor.CollapseShapeOp, tensor.ExpandShapeOp)
"""They leave elements in the order that they have in memory."""

_SAME = "as it was made"

_MOST_READERS = 64
"""Of a reduction, looked at: sums of residual blocks read all that were before. One that has more
is made first, as what has several readers mostly is."""


def make_first_what_is_read_in_two_orders(function: FuncOp) -> None:
    """Puts barriers behind reductions of a function that one operation reads in two orders.

    Args:
        function: of a device segment, in linalg.
    """
    block = body_of(function)
    reductions = {op for op in block.ops if isinstance(op, linalg.GenericOp) and _reduces(op)}
    for op in [op for op in block.ops if op in reductions]:
        made = _last_of_one_reader(op.results[0], block, reductions)
        if _is_read_in_two_orders(made, block, reductions):
            _make_first(made)


def _make_first(value: SSAValue) -> None:
    owner = cast("Operation", value.owner)
    barrier = OptimizationBarrierOp.create(operands=[value], result_types=[value.type])
    barrier.location = owner.location
    value.replace_uses_with_if(barrier.result, lambda use: use.operation is not barrier)
    Rewriter.insert_op(barrier, InsertPoint.after(owner))


def _last_of_one_reader(value: SSAValue, block: Block, reductions: Set[Operation]) -> SSAValue:
    """What becomes of a value by one reader after another, element by element."""
    while True:
        uses = [*value.uses]
        reader = _reader(uses[0], block) if len(uses) == 1 else None
        if reader is None or reader in reductions or not _keeps_order(reader, uses[0]):
            return value
        value = reader.results[0]


def _is_read_in_two_orders(value: SSAValue, block: Block, reductions: Set[Operation]) -> bool:
    orders: dict[SSAValue, object] = {value: _SAME}
    pending = [value]
    reads: dict[Operation, object] = {}
    while pending:
        read = pending.pop()
        for use in read.uses:
            reader = _reader(use, block)
            how = orders[read], _access(reader, use, read)
            if reads.setdefault(reader, how) != how or len(reads) > _MOST_READERS:
                return True
            # No reduction is made in one loop with a reduction that it reads.
            if reader in reductions or isinstance(reader, OptimizationBarrierOp):
                continue
            for result in reader.results:
                if result not in orders:
                    kept = _keeps_order(reader, use)
                    orders[result] = orders[read] if kept else (id(reader), how)
                    pending.append(result)
    return False


def _reader(use: Use, block: Block) -> Operation:
    """The operation of a function that a use belongs to, which may stand in a loop's body."""
    op = use.operation
    while op.parent is not block:
        parent = op.parent_op()
        assert parent is not None
        op = parent
    return op


def _access(reader: Operation, use: Use, value: SSAValue) -> object:
    """In which order elements are read; equal where it is the same."""
    if isinstance(reader, _RESHAPES):
        return None
    if use.operation is not reader:
        return "by computed indices", id(use.operation)
    if not isinstance(reader, linalg.GenericOp):
        return shape_of(value)
    return shape_of(value), reader.indexing_maps.data[use.index].data


def _keeps_order(reader: Operation, use: Use) -> bool:
    """Whether elements of the result are made of those of the operand, each of its own."""
    if isinstance(reader, _RESHAPES):
        return True
    if not isinstance(reader, linalg.GenericOp) or use.operation is not reader:
        return False
    maps = reader.indexing_maps.data
    read, made = maps[use.index].data, maps[-1].data
    return read == made and len(made.results) == made.num_dims


def _reduces(op: linalg.GenericOp) -> bool:
    """Whether anything is; a reduction of one element each is none to IREE."""
    reduced = [kind.data is IteratorType.REDUCTION for kind in op.iterator_types]
    return any(reduced) and any(
        extent > 1 for is_one, extent in zip(reduced, loop_extents(op), strict=True) if is_one
    )
