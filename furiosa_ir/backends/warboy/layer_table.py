"""The report's row of a kernel."""

from __future__ import annotations

import math

from furiosa_ir.backends.warboy.planning.geometry import element_bytes
from furiosa_ir.backends.warboy.planning.kernel_views import is_constant, weight_operands
from furiosa_ir.dialects.ftensor import contraction
from furiosa_ir.dialects.graph.base import shape_of
from furiosa_ir.dialects.warboy.kernels import DotOp, KernelOp, PoolOp
from furiosa_ir.dialects.warboy.plan import LayerRow
from furiosa_ir.ir.location import layer_name


def layer_row(op: KernelOp) -> LayerRow:
    """Name, operator, multiply-accumulates and bytes of weights (and biases) of a kernel."""
    operator = op.name.removeprefix("warboy.")
    macs = 0
    if isinstance(op, DotOp | PoolOp):
        head = op.head
        operator = head.name.removeprefix("ftensor.")
        outputs = math.prod(shape_of(head.results[0]))
        if isinstance(head, contraction.ConvOp):
            macs = outputs * math.prod(shape_of(head.weight)[1:])
            # What the dilation of the input puts between is not multiplied.
            macs //= math.prod(head.input_dilation.get_values())  # pyright: ignore[reportArgumentType]
        elif isinstance(head, contraction.MatMulOp):
            macs = outputs * shape_of(head.a)[-1]
    weights = sum(
        math.prod(shape_of(op.inputs[i])) * element_bytes(op.inputs[i])
        for i in weight_operands(op)
        if is_constant(op.inputs[i])
    )
    return LayerRow(layer_name(op), operator, macs, weights)
