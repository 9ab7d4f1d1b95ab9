"""What every `ftensor` operation shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import IntegerType, i8, i32
from xdsl.ir import Attribute

from furiosa_ir.ir.shaped_operation import ShapedOp

i48 = IntegerType(48)
"""The vector engine's wide registers (`shift_register_width` in the vendor's parameter file)."""

NUMPY_DTYPE: dict[Attribute, np.dtype[Any]] = {
    i8: np.dtype(np.int8),
    i32: np.dtype(np.int32),
    i48: np.dtype(np.int64),
}
"""How numpy holds each element type; i48 values must stay within 48 bits."""


class TensorOp(ShapedOp):
    """Integers in, integers out (`NUMPY_DTYPE`); no float, no framework.

    `evaluate` defines the arithmetic.
    """
