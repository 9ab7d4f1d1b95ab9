"""What Warboy takes of the graph level, and why not the rest."""

from __future__ import annotations

from furiosa_ir import hints, lowering
from furiosa_ir.backends.warboy.enf.command_rules import GREATEST_STEP, MOST_PADDING
from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp
from furiosa_ir.dialects.graph.pooling import WindowPoolOp
from furiosa_ir.ir.shaped_operation import ints, shape_of


def refusal(op: GraphOp, numerics: str) -> hints.Hint | None:
    """Why an operation cannot run on the NPU; None if it can.

    It can where it has a form in integers at all, and where the commands have room for it.
    """
    hint = lowering.refusal(op, numerics)
    if hint is None and isinstance(op, ConvOp | ConvTransposeOp | WindowPoolOp):
        hint = _wide_window(op)
    return hint


def _wide_window(op: ConvOp | ConvTransposeOp | WindowPoolOp) -> hints.Hint | None:
    """Padding, or zeros between the elements of a transposed convolution, beyond the machine's."""
    spread, strides, dilations = [*ints(op.pads)], ints(op.strides), ints(op.dilations)
    if max(*strides, *dilations) > GREATEST_STEP:
        return hints.form(op.name, f"with steps of more than {GREATEST_STEP}")
    if isinstance(op, WindowPoolOp):
        # What rounding up adds at the end is less than a stride.
        spread += [*strides] if op.ceil_mode.value.data else []
    if isinstance(op, ConvTransposeOp):
        # It is a convolution over spread elements, padded by what its kernel spans.
        spatial = [d for d in op.layout.data if d not in "NC"]
        kernel = [shape_of(op.weight)[op.kernel_layout.data.index(d)] for d in spatial]
        spans = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
        ends = [s + p for s, p in zip(spans, ints(op.output_padding), strict=True)]
        spread += [*ends, *strides]
    if max(spread) > MOST_PADDING:
        return hints.form(op.name, f"with padding of more than {MOST_PADDING}")
    return None
