"""Element types of tensors as MLIR's builtin types, for the table of `numerics/element_types`."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    ComplexType,
    Float4E2M1FNType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    Float8E8M0FNUType,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    Signedness,
)
from xdsl.ir import Attribute

from furiosa_ir.numerics.element_types import (
    BY_NAME,
    BY_NUMPY,
    ELEMENT_TYPES,
    ElementType,
    by_dtype,
)

_FLOATS: tuple[type[Attribute], ...] = (
    *(Float16Type, BFloat16Type, Float32Type, Float64Type),
    *(Float8E4M3FNType, Float8E4M3FNUZType, Float8E5M2Type, Float8E5M2FNUZType),
    *(Float8E8M0FNUType, Float4E2M1FNType),
)
_FLOAT_NAMED = {cls.name: cls() for cls in _FLOATS}


def _builtin(element: ElementType) -> Attribute:
    match element.kind:
        case "bool" | "int":
            return IntegerType(element.bits)
        case "uint":
            return IntegerType(element.bits, Signedness.UNSIGNED)
        case "float":
            return _FLOAT_NAMED[element.mlir]
        case "complex":
            part: Any = _FLOAT_NAMED[f"f{element.bits // 2}"]
            return ComplexType(part)


_ATTRIBUTES = {element.name: _builtin(element) for element in ELEMENT_TYPES}
_ELEMENT_TYPES = {attribute: BY_NAME[name] for name, attribute in _ATTRIBUTES.items()}


def builtin_type(element: ElementType) -> Attribute:
    """The builtin type of elements; integers without `u` are signless."""
    return _ATTRIBUTES[element.name]


def element_type_of(attribute: Attribute) -> ElementType | None:
    """The row of a builtin type; None if it is no type of plain numbers (quantised, i48, text)."""
    found = _ELEMENT_TYPES.get(attribute)
    if found is None and isinstance(attribute, IntegerType):
        attribute = cast("IntegerType", attribute)
        if attribute.signedness.data == Signedness.SIGNED:
            return _ELEMENT_TYPES.get(IntegerType(attribute.width))
    return found


def element_of_dtype(dtype: np.dtype[Any]) -> Attribute:
    """The builtin type of numpy's elements.

    Raises:
        KeyError: there is none.
    """
    element = BY_NUMPY.get(dtype) or by_dtype()[dtype]
    return _ATTRIBUTES[element.name]


def dtype_of_element(attribute: Attribute) -> np.dtype[Any] | None:
    """How numpy holds elements of a builtin type; None if it is no type of plain numbers."""
    element = element_type_of(attribute)
    return None if element is None else element.dtype
