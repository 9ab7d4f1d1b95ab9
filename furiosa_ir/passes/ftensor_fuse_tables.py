"""`ftensor-fuse-tables`: integer arithmetic on one 8-bit value becomes one lookup."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import i8
from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import (
    BinaryOp,
    ClampOp,
    ConstantOp,
    LookupOp,
    RescaleOp,
)
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.ir.constants import BlobAttr
from furiosa_ir.ir.passes import RewritePass
from furiosa_ir.ir.remarks import described, heard, missed, passed
from furiosa_ir.ir.rewriting import Rewrite, is_dead, rule
from furiosa_ir.ir.shaped_operation import element_of, shape_of
from furiosa_ir.numerics.array import Array

_LONGEST = 64
"""Operations in an expression; a bound on the work, not on what could be tabulated."""

_Elementwise: TypeAlias = BinaryOp | ClampOp | LookupOp | RescaleOp


@rule
def function_of_one_byte(op: _Elementwise, rw: Rewrite) -> SSAValue | None:
    """f(g(x), h(x)) = lookup(x), if nothing else reads what is computed on the way."""
    result = op.results[0]
    if element_of(result) != i8:
        return None
    found = _expression(op)
    if found is None:
        if heard():
            _explain(op)
        return None
    source, steps = found
    passed(op, "table", "{steps} operations are one lookup", steps=len(steps))
    rw.fuse_locations(*steps)
    table = rw.emit(ConstantOp, [], [i8], value=BlobAttr.of(_table(source, steps)))
    return rw.emit(LookupOp, [source, table], [i8])


def _explain(op: TensorOp) -> None:
    """Says of what would be one table if nothing else read what it is computed by."""
    variables = _variables(op)
    if len(variables) == 1 and element_of(variables[0]) == i8:
        return  # one instruction as it is
    found = _expression(op, _cone(op))
    if found is None:
        return
    _, steps = found
    others = {u.operation: None for step in steps[1:] for v in step.results for u in v.uses}
    missed(
        op,
        "table",
        "{steps} {steps:operation|operations} on one 8-bit value {steps:is|are} no lookup: what is "
        "computed on the way is read by {others}",
        steps=len(steps),
        others=described(*(other for other in others if other not in steps)),
    )


def _cone(root: TensorOp) -> set[Operation]:
    """What the root is computed by, element by element; as much of it as an expression may have."""
    cone: set[Operation] = {root}
    pending = [root]
    while pending and len(cone) < _LONGEST:
        for value in _variables(pending.pop()):
            if isinstance(value.owner, _Elementwise) and value.owner not in cone:
                cone.add(value.owner)
                pending.append(value.owner)
    return cone


def _expression(
    root: TensorOp, readers: set[Operation] | None = None
) -> tuple[SSAValue, list[TensorOp]] | None:
    """The earliest i8 value that `root` is a function of, and the steps in between, last first.

    A definition joins once all that read it have: then nothing before it depends on it.

    Args:
        root: what is computed in the end.
        readers: others do not count as such; None: all do.
    """
    shape = shape_of(root.results[0])
    steps: dict[Operation, None] = {root: None}
    frontier: dict[SSAValue, int] = {}  # value -> when it came
    ready: list[tuple[int, SSAValue]] = []  # of the frontier, a heap: nothing but steps read them
    found: tuple[SSAValue, list[TensorOp]] | None = None
    step, came, ends = root, itertools.count(), 0  # ends: values that stay in the frontier
    while True:
        for v in dict.fromkeys(_variables(step)):
            if v not in frontier:
                frontier[v] = next(came)
                if shape_of(v) != shape:
                    return found
                ends += not isinstance(v.owner, _Elementwise)
            if isinstance(v.owner, _Elementwise) and all(
                u.operation in steps
                or (readers is not None and u.operation not in readers)
                or is_dead(u.operation)
                for u in v.uses
            ):
                heapq.heappush(ready, (frontier[v], v))
        if len(steps) == _LONGEST or ends > 1:
            return found
        if len(frontier) == 1 and len(steps) > 1:
            (source,) = frontier
            if element_of(source) == i8:
                found = source, [cast("TensorOp", s) for s in steps]
        if not ready:
            return found
        _, value = heapq.heappop(ready)
        del frontier[value]
        step = cast("TensorOp", value.owner)
        steps[step] = None


def _variables(op: TensorOp) -> list[SSAValue]:
    """The operands but for numbers and tables."""
    known = op.operands[1:] if isinstance(op, LookupOp) else ()
    return [v for v in op.operands if v not in known and not _is_number(v)]


def _is_number(value: SSAValue) -> bool:
    return isinstance(value.owner, ConstantOp) and value.owner.value.data.size == 1


def _table(source: SSAValue, steps: list[TensorOp]) -> Array:
    """The result for each i8, as `evaluate` defines it."""
    values: dict[SSAValue, Array] = {source: np.arange(-128, 128).astype(np.int8)}
    for step in reversed(steps):
        operands = [
            values[v] if v in values else cast("ConstantOp", v.owner).value.array.reshape(-1)
            for v in step.operands
        ]
        values[step.results[0]] = step.evaluate(*operands)[0]
    return values[steps[0].results[0]]


@dataclass(frozen=True)
class FuseLookups(RewritePass):
    """Makes one lookup of the arithmetic between two 8-bit values.

        %s = ftensor.lookup %x, %sigmoid
        %p = ftensor.mul %x_wide, %s_wide     // both rescales of %x and %s to i32
        %y = ftensor.rescale %p, %m, %k

    becomes

        %y = ftensor.lookup %x, %table

    The 256 results are what the operations compute, roundings and all, so they stay the same under
    either framework's numerics: SiLU, activations in a row, requantisation after an activation.
    """

    name = "ftensor-fuse-tables"
    rules = (function_of_one_byte,)
