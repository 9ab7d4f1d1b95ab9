"""The pipeline for Warboy, as data: phases, passes, and why they stand in this order."""

from __future__ import annotations

from furiosa_ir.backends.warboy.invariants import verify_commands
from furiosa_ir.ir.pipeline import Phase, Pipeline
from furiosa_ir.passes.segment_invariants import verify_integers, verify_segments

GRAPH = Phase(
    "graph",
    "quantised types folded, cut into NPU and host segments",
    (
        # DequantizeLinear - operator - QuantizeLinear means one quantised operator; what this
        # leaves in float cannot run on the NPU, so it comes before the partition.
        "graph-fold-quantization",
        # Movement commutes with quantisation only once both are folded, and then chains meet.
        "graph-compose-movement",
        # Functions of one quantised value (SiLU: x * sigmoid(x)) need quantised types to be seen.
        "graph-fuse-tables",
        # What the passes above made constant.
        "graph-fold-constants",
        # What follows may change what an operator computes, which only NPU segments allow (a host
        # segment is written from its operators' origins).
        "graph-partition",
        # Such a change: one dilated convolution of three operators.
        "graph-fold-space-to-batch",
        # Operators are still whole here: what they become exchanges wider values, which no
        # transpose should tear apart.
        "graph-sink-movement",
        # What is one operator here are ten in integers, of which no single one could go above a
        # reshape; once reshapes have met, it is clear how many rows are one.
        "graph-hoist-row-functions",
    ),
    verify_segments,
)

FTENSOR = Phase(
    "ftensor",
    "NPU segments in integers: i8 data, i32 accumulators, rescales",
    (
        "lower-to-ftensor",
        # Activations join the rescale in front of them before kernels are formed.
        "ftensor-fold-clamps",
        # After the clamps, which cost nothing in a rescale: other arithmetic on one 8-bit value is
        # one lookup, which is one instruction of the kernel that takes it in.
        "ftensor-fuse-tables",
        # Before functions go above movement, which is then less.
        "ftensor-move-in-kernels",
        # What is flattened for a matrix product would leave SRAM. It makes reshapes, behind which
        # functions of bytes may be, so it comes before those go up.
        "ftensor-unflatten-products",
        # Last: only now it is known what is one function of one byte, and what it meets above a
        # movement it joins by the rules of the passes before.
        "ftensor-hoist-functions",
    ),
    verify_integers,
)

WARBOY = Phase(
    "warboy",
    "kernels with tile plans, a schedule and addresses",
    (
        "fuse-kernels",
        # Kernels are what plans are made of, and plans say whether a batch is better split; each
        # pass then gets views of its own, as if its images were all there are.
        "split-batch",
        # Once it is known which operations share a kernel, so is what each kernel wants of its
        # operands; where two disagree, copies are made, which plans have to count.
        "assign-views",
        # Only now it is known what is written in place, and where; and it makes kernels.
        "copy-parts",
        # What are columns, views say. Bands add copies that only plans can weigh, and the plan has
        # to know them all.
        "split-columns",
        # It puts kernels into another order, so all have to be there; and plans follow the order.
        "pair-kernels",
        # From here on nothing is rewritten: all kernels and the buffers that they fill are there.
        "plan-tiles",
        # The plan says how long each buffer lives, and that, where it can lie ...
        "allocate",
        # ... and who takes over whose bytes is a part of what commands wait for.
        "schedule",
    ),
    verify_commands,
)

PIPELINE = Pipeline("warboy", (GRAPH, FTENSOR, WARBOY))
"""`furiosa compile`: from an imported network to commands; the ENF writer follows.

`assign-target` stands in front of it where the module has no target (`with_target`).
"""


def pipeline() -> Pipeline:
    """`PIPELINE`."""
    return PIPELINE
