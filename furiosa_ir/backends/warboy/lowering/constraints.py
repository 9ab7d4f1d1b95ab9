"""Constraints that several lowerings share: from an operation to a `Hint`, or None."""

from __future__ import annotations

from furiosa_ir.backends.warboy import hints
from furiosa_ir.dialects.graph.base import GraphOp, constant_of, quantization_of


def not_8bit(op: GraphOp) -> hints.Hint | None:
    """Some data operand or the result is not a per-tensor 8-bit quantised tensor."""
    for value in (*op.operands, *op.results):
        q = quantization_of(value)
        if q is None:
            return hints.not_quantized(op.name)
        if q.storage not in ("i8", "u8") and constant_of(value) is None:
            return hints.form(op.name, f"with {q.storage} data")
    return None
