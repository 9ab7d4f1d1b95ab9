"""How numpy holds the elements of tensors while a module is interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import AnyFloat
from xdsl.ir import Attribute

from furiosa_ir.dialects.ftensor import i48
from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.ir.element_types import dtype_of_element


def numpy_dtype(element: Attribute) -> np.dtype[Any]:
    """The dtype of an element type as the outside sees it; stored integers of a quantised one.

    Raises:
        ExecutionFailure: numpy has none.
    """
    if isinstance(element, UniformType):
        return element.data.dtype
    if element == i48:
        return np.dtype(np.int64)
    dtype = dtype_of_element(element)
    if dtype is not None:
        return dtype
    raise ExecutionFailure(f"no arrays of {element} can be computed with")


def is_float(element: Attribute) -> bool:
    """Whether its values are real numbers as such (not quantised ones)."""
    return isinstance(element, AnyFloat)
