"""`ftensor`: integers only: i8 data, i32 accumulators, i48 wide values, explicit zero points."""

from typing import TYPE_CHECKING

from xdsl.ir import Dialect

from furiosa_ir.dialects.ftensor import arithmetic, contraction, movement
from furiosa_ir.dialects.ftensor.base import NUMPY_DTYPE as NUMPY_DTYPE
from furiosa_ir.dialects.ftensor.base import TensorOp as TensorOp
from furiosa_ir.dialects.ftensor.base import i48 as i48

OPERATIONS: list[type[TensorOp]] = [
    op
    for module in (arithmetic, contraction, movement)
    for op in vars(module).values()
    if isinstance(op, type) and issubclass(op, TensorOp) and "name" in vars(op)
]
"""Every operation, in the order of the documentation."""

FTensor = Dialect("ftensor", list(OPERATIONS), [])

# `fi.ftensor.ClampOp`, `from furiosa_ir.dialects.ftensor import ClampOp`
if TYPE_CHECKING:
    from furiosa_ir.dialects.ftensor.arithmetic import *  # noqa: F403
    from furiosa_ir.dialects.ftensor.contraction import *  # noqa: F403
    from furiosa_ir.dialects.ftensor.movement import *  # noqa: F403
else:
    globals().update({op.__name__: op for op in OPERATIONS})
