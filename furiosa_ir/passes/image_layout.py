"""What the axes of an `ftensor` value mean, where a convolution or a pool says so."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from furiosa_ir.dialects.ftensor.arithmetic import ConstantOp
from furiosa_ir.dialects.ftensor.base import TensorOp
from furiosa_ir.dialects.ftensor.contraction import ConvOp, ReduceWindowOp
from furiosa_ir.dialects.ftensor.movement import ReshapeOp, TransposeOp
from furiosa_ir.ir.shaped_operation import ints, shape_of

_FARTHEST = 64
"""Operations between a value and the kernel that says what its axes are."""


def image_layout(value: SSAValue) -> str | None:
    """Which of a value's four axes are N, H, W and C, as the kernel says that made an image of it.

    "NHWC" of what a convolution of that layout makes, and of what is computed of it element by
    element, sliced or padded; "NCHW" behind a transpose. None of anything else.
    """
    order = (0, 1, 2, 3)
    for _ in range(_FARTHEST):
        match value.owner:
            case ConvOp(layout=layout) | ReduceWindowOp(layout=layout):
                return "".join(layout.data[i] for i in order)
            case TransposeOp(x=x, perm=perm):
                order = tuple(ints(perm)[i] for i in order)
                value = x
            case ReshapeOp():
                return None
            case TensorOp() as op:
                same = [v for v in op.operands if len(shape_of(v)) == 4 and _is_made(v)]
                if not same:
                    return None
                value = same[0]
            case _:
                return None
    return None


def _is_made(value: SSAValue) -> bool:
    return isinstance(value.owner, Operation) and not isinstance(value.owner, ConstantOp)
