"""The object interface of the TFLite schema, and tensors in it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    ComplexType,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
    IntegerType,
    Signedness,
    f64,
)
from xdsl.ir import Attribute

from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor

_STORAGE = {"i8": "INT8", "u8": "UINT8", "i16": "INT16", "u16": "UINT16", "i32": "INT32"}


@lru_cache
def schema() -> Any:
    """The module `ai_edge_litert.schema_py_generated`.

    Raises:
        CompilationFailure: the package is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated  # noqa: PLC0415
    except ImportError:
        raise CompilationFailure(
            "TFLite operators on the host need the package ai-edge-litert",
            hint="pip install 'furiosa-ir[litert]'",
        ) from None
    return schema_py_generated


def tensor_record(tensor: Attribute) -> Any:
    """A `TensorT` of a value's type, without name and buffer."""
    tensor = cast("AnyTensor", tensor)
    record = schema().TensorT()
    shape = tensor.get_shape()
    record.shape = [1 if n == DYNAMIC else n for n in shape]
    # Older files leave out the shape of results; an empty one with a rank would be a scalar.
    record.hasRank = bool(shape)
    if DYNAMIC in shape:
        record.shapeSignature = [-1 if n == DYNAMIC else n for n in shape]
    element = tensor.element_type
    record.type = getattr(schema().TensorType, _type_name(element))
    if isinstance(element, UniformType):
        q = element.data
        record.quantization = schema().QuantizationParametersT()
        record.quantization.scale = np.array(q.scales, np.float32)
        record.quantization.zeroPoint = np.array(q.zero_points, np.int64)
        record.quantization.quantizedDimension = q.axis or 0
    return record


def _type_name(element: Attribute) -> str:
    match element:
        case UniformType():
            return _STORAGE[element.data.storage]
        case Float32Type():
            return "FLOAT32"
        case Float16Type():
            return "FLOAT16"
        case BFloat16Type():
            return "BFLOAT16"
        case Float64Type():
            return "FLOAT64"
        case ComplexType():
            return "COMPLEX128" if element == ComplexType(f64) else "COMPLEX64"
        case IndexType():
            return "RESOURCE"
        case IntegerType():
            if element.width.data == 1:
                return "BOOL"
            sign = "U" if element.signedness.data == Signedness.UNSIGNED else ""
            return f"{sign}INT{element.width.data}"
        case _:
            raise CompilationFailure(f"TFLite tensors of {element} are not supported")
