"""How many products an operation sums."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from furiosa_ir.dialects.graph.base import GraphOp
from furiosa_ir.dialects.graph.convolution import ConvOp, ConvTransposeOp, GemmOp, MatMulOp
from furiosa_ir.ir.shaped_operation import shape_of


def _extents(value: SSAValue) -> Sequence[int]:
    return value.type.get_shape() if isinstance(value.type, TensorType) else ()


def macs_of(op: GraphOp) -> int:
    """Multiply-accumulates of a graph operation: its result's elements times what each sums.

    0 where only running the network tells.
    """

    def elements(value: SSAValue) -> int:
        return prod(shape_of(value))

    if any(n < 0 for value in (*op.operands, *op.results) for n in _extents(value)):
        return 0
    match op:
        case ConvOp():
            outputs = shape_of(op.weight)[op.kernel_layout.data.index("O")]
            return elements(op.result) * (elements(op.weight) // max(outputs, 1))
        case ConvTransposeOp():
            inputs = shape_of(op.weight)[op.kernel_layout.data.index("I")]
            return elements(op.x) * (elements(op.weight) // max(inputs, 1))
        case GemmOp():
            return elements(op.result) * shape_of(op.a)[0 if op.trans_a.value.data else 1]
        case MatMulOp():
            return elements(op.result) * shape_of(op.a)[-1]
        case _:
            return 0
