"""`ftensor`: integers only: i8 data, i32 accumulators, i48 wide values, explicit zero points."""

from xdsl.ir import Dialect

from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE, TensorOp, i48

OPERATIONS: list[type[TensorOp]] = [
    op
    for module in (arithmetic, contraction, movement)
    for op in vars(module).values()
    if isinstance(op, type) and issubclass(op, TensorOp) and "name" in vars(op)
]
"""Every operation, in the order of the documentation."""

FTensor = Dialect("ftensor", list(OPERATIONS), [])

__all__ = ["NUMPY_DTYPE", "OPERATIONS", "FTensor", "TensorOp", "i48"]
