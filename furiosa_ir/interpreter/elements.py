"""How numpy holds the elements of tensors while a module is interpreted."""

from __future__ import annotations

from typing import Any, cast

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    AnyFloat,
    BFloat16Type,
    ComplexType,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    Signedness,
    f64,
)
from xdsl.ir import Attribute

from furiosa_ir.dialects.ftensor import i48
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import ExecutionFailure

_FLOATS: dict[type[Attribute], np.dtype[Any]] = {
    Float16Type: np.dtype(np.float16),
    BFloat16Type: np.dtype(ml_dtypes.bfloat16),
    Float32Type: np.dtype(np.float32),
    Float64Type: np.dtype(np.float64),
}


def numpy_dtype(element: Attribute) -> np.dtype[Any]:
    """The dtype of an element type as the outside sees it; stored integers of a quantised one.

    Raises:
        ExecutionFailure: numpy has none.
    """
    if isinstance(element, UniformType):
        return element.data.dtype
    if element == i48:
        return np.dtype(np.int64)
    if isinstance(element, IntegerType):
        element = cast("IntegerType", element)
        width = element.width.data
        if width == 1:
            return np.dtype(np.bool_)
        if width in (8, 16, 32, 64):
            unsigned = element.signedness.data == Signedness.UNSIGNED
            return np.dtype(f"{'u' if unsigned else ''}int{width}")
    if type(element) in _FLOATS:
        return _FLOATS[type(element)]
    if isinstance(element, ComplexType):
        return np.dtype(np.complex128 if element == ComplexType(f64) else np.complex64)
    raise ExecutionFailure(f"no arrays of {element} can be computed with")


def is_float(element: Attribute) -> bool:
    """Whether its values are real numbers as such (not quantised ones)."""
    return isinstance(element, AnyFloat)
