"""How far a device segment is on its way to linalg."""

from __future__ import annotations

from xdsl.dialects.func import FuncOp

from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.segments import body_of


def missing_in_segment(function: FuncOp) -> tuple[str, str, str | None] | None:
    """The pass that a segment of `ftensor` lacks, where that can be seen, and the layer."""
    return ftensor_left(function, "ftensor-to-linalg")


def ftensor_left(function: FuncOp, lowering: str) -> tuple[str, str, str | None] | None:
    """A pass that leaves no operation of `ftensor`, where a function has one.

    Args:
        function: of a device segment.
        lowering: the pass.
    """
    for op in body_of(function).ops:
        if isinstance(op, TensorOp):
            where = f"'{op.name}' stands in @{function.sym_name.data}"
            return lowering, where, layer_name(op)
    return None
