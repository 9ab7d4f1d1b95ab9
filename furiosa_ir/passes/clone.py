"""An operation again, on other operands: what most rules make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.ir import Attribute, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.ir.rewriting import Rewrite


def clone_with(
    rw: Rewrite,
    op: GraphOp,
    operands: Sequence[SSAValue | Sequence[SSAValue] | None],
    element: Attribute,
    **properties: object,
) -> list[SSAValue]:
    """The results of the operation on other operands, before the root of a rewrite.

    Its origin stays behind: the operation may mean something else now.

    Args:
        rw: the rewrite.
        op: the operation to clone.
        operands: one entry for each operand definition; None for an optional one left out.
        element: the element type of each result.
        properties: those that differ from the operation's.
    """
    own: dict[str, Any] = {**op.semantic_properties(), **properties}
    made = rw.emit_op(type(op), operands, [element] * len(op.results), **own)
    return list(made.results)
