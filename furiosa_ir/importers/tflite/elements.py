"""Element types: between numpy, TFLite tensors and the IR."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    ComplexType,
    IndexType,
    IntegerType,
    Signedness,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute

from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.importers.tflite.file import QuantizationRecord, TensorRecord

_PLAIN: dict[np.dtype[Any], Attribute] = {
    np.dtype(np.float16): f16,
    np.dtype(ml_dtypes.bfloat16): bf16,
    np.dtype(np.float32): f32,
    np.dtype(np.float64): f64,
    np.dtype(np.complex64): ComplexType(f32),
    np.dtype(np.complex128): ComplexType(f64),
    np.dtype(np.bool_): i1,
    np.dtype(np.int8): i8,
    np.dtype(np.int16): i16,
    np.dtype(np.int32): i32,
    np.dtype(np.int64): i64,
    np.dtype(np.uint8): IntegerType(8, Signedness.UNSIGNED),
    np.dtype(np.uint16): IntegerType(16, Signedness.UNSIGNED),
    np.dtype(np.uint32): IntegerType(32, Signedness.UNSIGNED),
    np.dtype(np.uint64): IntegerType(64, Signedness.UNSIGNED),
}
_DTYPES = {element: dtype for dtype, element in _PLAIN.items()}

_STORAGE = {
    np.dtype(np.int8): "i8",
    np.dtype(np.uint8): "u8",
    np.dtype(np.int16): "i16",
    np.dtype(np.uint16): "u16",
    np.dtype(np.int32): "i32",
}

RESOURCE = IndexType()
"""The element type of tensors that hold handles of variables."""


def plain_element(dtype: np.dtype[Any]) -> Attribute:
    """The element type of plain numbers."""
    return _PLAIN[dtype]


def plain_dtype(element: Attribute) -> np.dtype[Any] | None:
    """The numpy dtype of plain numbers; None for a quantised type or a handle."""
    return _DTYPES.get(element)


def element_of_tensor(tensor: TensorRecord) -> Attribute:
    """The element type of a tensor of the file."""
    if tensor.is_resource:
        return RESOURCE
    if tensor.quantization is None or tensor.dtype not in _STORAGE:
        return _PLAIN[tensor.dtype]
    return _uniform(_STORAGE[tensor.dtype], tensor.quantization)


@lru_cache(maxsize=4096)
def _uniform(storage: str, record: QuantizationRecord) -> Attribute:
    axis = record.axis if len(record.scales) > 1 else None
    return UniformType(Quantization(storage, record.scales, record.zero_points, axis))
