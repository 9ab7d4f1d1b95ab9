"""What every `ftensor` operation shares."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import IntegerAttr, IntegerType, i8, i32
from xdsl.ir import Attribute, SSAValue

from furiosa_ir.errors import VerificationFailure
from furiosa_ir.ir.shaped_operation import ShapedOp, element_of

i48 = IntegerType(48)
"""The vector engine's wide registers (`shift_register_width` in the vendor's parameter file)."""

NUMPY_DTYPE: dict[Attribute, np.dtype[Any]] = {
    i8: np.dtype(np.int8),
    i32: np.dtype(np.int32),
    i48: np.dtype(np.int64),
}
"""How numpy holds each element type; i48 values must stay within 48 bits."""
_ELEMENTS = tuple(NUMPY_DTYPE)  # which are found by identity


class TensorOp(ShapedOp):
    """Integers in, integers out (`NUMPY_DTYPE`); no float, no framework.

    `evaluate` defines the arithmetic.
    """

    @override
    def verify_(self) -> None:
        for value in (*self.operands, *self.results):
            if element_of(value) not in _ELEMENTS:
                raise VerificationFailure(
                    f"{self.name}: there are no elements of {element_of(value)} here"
                )
        super().verify_()


def check_zero_points(op: TensorOp, *names: str) -> None:
    """Checks that the zero points of i8 operands are such.

    Raises:
        VerificationFailure: one is not.
    """
    for name in names:
        value = cast("IntegerAttr[IntegerType]", op.properties[name]).value.data
        if not -128 <= value <= 127:
            raise VerificationFailure(f"{op.name}: {name} is {value}, which is no i8")


def check_limits(op: TensorOp, result: SSAValue) -> None:
    """Checks that `minimum` and `maximum` are in order and values of the result.

    Raises:
        VerificationFailure: they are not.
    """
    low, high = (
        cast("IntegerAttr[IntegerType]", op.properties[name]).value.data
        for name in ("minimum", "maximum")
    )
    element = element_of(result)
    dtype = NUMPY_DTYPE.get(element)
    if dtype is None:
        raise VerificationFailure(f"{op.name}: there are no elements of {element} here")
    info = np.iinfo(dtype)
    if not info.min <= low <= high <= info.max:
        raise VerificationFailure(f"{op.name}: {low} to {high} are no limits of {element}")
