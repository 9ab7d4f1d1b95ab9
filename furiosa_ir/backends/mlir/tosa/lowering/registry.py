"""Which function lowers which operation of `ftensor` to TOSA; it raises where that is not exact."""

from __future__ import annotations

from furiosa_ir.backends.mlir.segment_conversion import Lowerings, declaring

LOWERINGS: Lowerings = {}

lowers = declaring(LOWERINGS)
"""Declares that a function is the lowering of operations."""
