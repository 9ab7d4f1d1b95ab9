"""How far a device segment is on its way to TOSA."""

from __future__ import annotations

from xdsl.dialects.func import FuncOp

from furiosa_ir.backends.mlir.stages import ftensor_left


def missing_in_segment(function: FuncOp) -> tuple[str, str, str | None] | None:
    """The pass that a segment of `ftensor` lacks, where that can be seen, and the layer."""
    return ftensor_left(function, "ftensor-to-tosa")
