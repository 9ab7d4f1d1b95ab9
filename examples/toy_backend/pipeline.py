"""From a network to what `assembly` takes: all passes are shared ones."""

from furiosa_ir.ir.pipeline import Phase, Pipeline
from furiosa_ir.passes.segment_invariants import verify_integers, verify_segments

GRAPH = ("graph-fold-quantization", "graph-fold-constants", "graph-partition")
FTENSOR = ("lower-to-ftensor",)


def pipeline() -> Pipeline:
    """Each phase is a level; the partition in the first one asks `support.refusal`."""
    graph = Phase("graph", "cut into device and host segments", GRAPH, verify_segments)
    return Pipeline("toy", (graph, Phase("ftensor", "integers", FTENSOR, verify_integers)))
