"""The pipeline to TOSA, as data: that to linalg, with another last phase."""

from __future__ import annotations

from furiosa_ir.backends.mlir.invariants import verify_upstream
from furiosa_ir.backends.mlir.pipeline import FTENSOR, GRAPH
from furiosa_ir.ir.pipeline import Phase, Pipeline

TOSA = Phase(
    "tosa",
    "TOSA, in generic form: what upstream's tools take",
    ("ftensor-to-tosa",),
    verify_upstream,
)


def pipeline() -> Pipeline:
    """From an imported network to TOSA."""
    return Pipeline("tosa", (GRAPH, FTENSOR, TOSA))
