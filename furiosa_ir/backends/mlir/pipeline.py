"""The pipeline to linalg, as data: phases, passes, and why they stand in this order."""

from __future__ import annotations

from furiosa_ir.backends.mlir.invariants import verify_upstream
from furiosa_ir.ir.pipeline import Phase, Pipeline
from furiosa_ir.passes.segment_invariants import verify_integers, verify_segments

GRAPH = Phase(
    "graph",
    "quantised types folded, cut into device and host segments",
    (
        # What is float after this stays on the host, so it comes before the partition.
        "graph-fold-quantization",
        # Movement commutes with quantisation only once both are folded, and then chains meet.
        "graph-compose-movement",
        # Functions of one quantised value need quantised types to be seen.
        "graph-fuse-tables",
        # What the passes above made constant.
        "graph-fold-constants",
        # What follows may change what an operator computes, which only device segments allow.
        "graph-partition",
        # Such a change: one dilated convolution of three operators.
        "graph-fold-space-to-batch",
    ),
    verify_segments,
)

FTENSOR = Phase(
    "ftensor",
    "device segments in integers: i8 data, i32 accumulators, rescales",
    (
        "lower-to-ftensor",
        # Activations join the rescale in front of them: a pass over the data less.
        "ftensor-fold-clamps",
        # Other arithmetic on one 8-bit value is one lookup.
        "ftensor-fuse-tables",
    ),
    verify_integers,
)

LINALG = Phase(
    "linalg",
    "linalg, tensor and arith: what upstream's tools take",
    (
        # Of the integers, which the level before has as the network has them: TOSA's starts there.
        "ftensor-channels-last",
        "ftensor-to-linalg",
    ),
    verify_upstream,
)


def pipeline() -> Pipeline:
    """From an imported network to upstream's dialects."""
    return Pipeline("mlir", (GRAPH, FTENSOR, LINALG))
