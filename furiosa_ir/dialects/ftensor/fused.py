"""Operations of `ftensor` that a machine carries out in one go, like a fused `linalg.generic`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import IRDLOperation, region_def, result_def, var_operand_def

from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.numerics.array import Array


class FusedOp(IRDLOperation):
    """What the kernels of every machine share: tensors in (parameters among them), one tensor out.

    The region holds the `ftensor` operations; its block arguments are the operands, and its
    terminator yields the result.
    """

    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)
    body = region_def("single_block")

    @property
    def operations(self) -> list[TensorOp]:
        """The body without its terminator."""
        return [op for op in self.body.block.ops if isinstance(op, TensorOp)]

    @property
    def yielded(self) -> SSAValue:
        """The value that the body yields."""
        return cast("Operation", self.body.block.last_op).operands[0]

    def evaluate(self, *operands: Array) -> Sequence[Array]:
        """The result's elements: the body, operation by operation."""
        values: dict[SSAValue, Array] = dict(zip(self.body.block.args, operands, strict=True))
        for op in self.operations:
            arrays = op.evaluate(*[values[v] for v in op.operands])
            values.update(zip(op.results, arrays, strict=True))
        return [values[self.yielded]]
