"""ONNX tensors and element types as constants and types of the IR."""

from __future__ import annotations

from math import prod
from typing import Any, cast

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from xdsl.dialects.builtin import (
    Float4E2M1FNType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    Float8E8M0FNUType,
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

from furiosa_ir.dialects.graph.base import StringType
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.external import ExternalData
from furiosa_ir.ir.constants import Constant
from furiosa_ir.numerics.array import Array

_UNSIGNED = {n: IntegerType(n, Signedness.UNSIGNED) for n in (2, 4, 8, 16, 32, 64)}

_TYPES: dict[int, tuple[Attribute, np.dtype[Any]]] = {
    TensorProto.FLOAT: (f32, np.dtype(np.float32)),
    TensorProto.UINT8: (_UNSIGNED[8], np.dtype(np.uint8)),
    TensorProto.INT8: (i8, np.dtype(np.int8)),
    TensorProto.UINT16: (_UNSIGNED[16], np.dtype(np.uint16)),
    TensorProto.INT16: (i16, np.dtype(np.int16)),
    TensorProto.INT32: (i32, np.dtype(np.int32)),
    TensorProto.INT64: (i64, np.dtype(np.int64)),
    TensorProto.BOOL: (i1, np.dtype(np.bool_)),
    TensorProto.FLOAT16: (f16, np.dtype(np.float16)),
    TensorProto.DOUBLE: (f64, np.dtype(np.float64)),
    TensorProto.UINT32: (_UNSIGNED[32], np.dtype(np.uint32)),
    TensorProto.UINT64: (_UNSIGNED[64], np.dtype(np.uint64)),
    TensorProto.BFLOAT16: (bf16, np.dtype(ml_dtypes.bfloat16)),
    # What only host operators compute with; numpy holds elements of any width in a byte or more.
    TensorProto.FLOAT8E4M3FN: (Float8E4M3FNType(), np.dtype(ml_dtypes.float8_e4m3fn)),
    TensorProto.FLOAT8E4M3FNUZ: (Float8E4M3FNUZType(), np.dtype(ml_dtypes.float8_e4m3fnuz)),
    TensorProto.FLOAT8E5M2: (Float8E5M2Type(), np.dtype(ml_dtypes.float8_e5m2)),
    TensorProto.FLOAT8E5M2FNUZ: (Float8E5M2FNUZType(), np.dtype(ml_dtypes.float8_e5m2fnuz)),
    TensorProto.UINT4: (_UNSIGNED[4], np.dtype(ml_dtypes.uint4)),
    TensorProto.INT4: (IntegerType(4), np.dtype(ml_dtypes.int4)),
    TensorProto.STRING: (StringType(), np.dtype(object)),
    # TensorProto has no names for these in every version of onnx that we support.
    23: (Float4E2M1FNType(), np.dtype(ml_dtypes.float4_e2m1fn)),
    24: (Float8E8M0FNUType(), np.dtype(ml_dtypes.float8_e8m0fnu)),
    25: (_UNSIGNED[2], np.dtype(ml_dtypes.uint2)),
    26: (IntegerType(2), np.dtype(ml_dtypes.int2)),
}
_PACKED = frozenset({TensorProto.UINT4, TensorProto.INT4, 23, 25, 26})
"""Types whose elements share bytes in a file."""
_ELEMENT_OF_DTYPE = {d: element for element, d in _TYPES.values() if d.kind != "O"}
_CODE_OF_ELEMENT = {element: code for code, (element, _) in _TYPES.items()}


def element_type(code: int) -> Attribute | None:
    """The element type of an ONNX type code; None for those the IR has none for (complex)."""
    entry = _TYPES.get(code)
    return None if entry is None else entry[0]


def element_of_dtype(dtype: np.dtype[Any]) -> Attribute:
    """The element type of plain numpy elements.

    Raises:
        KeyError: no constant can be of it.
    """
    return _ELEMENT_OF_DTYPE[dtype]


def can_be_constant(code: int) -> bool:
    """Whether the IR holds constants of an ONNX type code: any that it has a type for but text."""
    return code in _TYPES and code != TensorProto.STRING


def dtype_of_element(element: Attribute) -> np.dtype[Any]:
    """The numpy dtype of a plain element type."""
    return _TYPES[_CODE_OF_ELEMENT[element]][1]


def type_code(element: Attribute) -> int:
    """The ONNX type code of a plain element type."""
    return _CODE_OF_ELEMENT[element]


def type_name(code: int) -> str:
    """What ONNX calls a type code, for messages."""
    try:
        return str(TensorProto.DataType.Name(cast("Any", code))).lower()
    except ValueError:
        return f"code {code}"


def constant_of_tensor(tensor: Any, external: ExternalData) -> Constant:
    """The constant that a `TensorProto` holds; external data is mapped.

    Raises:
        ImportFailure: its type, its size or its external data are not as they should be.
    """
    name = str(tensor.name)
    entry = _TYPES.get(tensor.data_type)
    if entry is None or not can_be_constant(tensor.data_type):
        raise ImportFailure(
            f"the tensor '{name}' has elements of type {type_name(tensor.data_type)}, "
            "which is not supported"
        )
    dtype = entry[1]
    shape = tuple(int(n) for n in tensor.dims)
    if any(n < 0 for n in shape):
        raise ImportFailure(f"the tensor '{name}' has the negative shape {list(shape)}")
    if tensor.data_location == TensorProto.EXTERNAL:
        if tensor.data_type in _PACKED:
            raise ImportFailure(
                f"the tensor '{name}' has {type_name(tensor.data_type)} elements in external data",
                hint="save the model with this tensor inside",
            )
        return Constant(external.elements(tensor, dtype))
    if tensor.HasField("raw_data") and tensor.data_type not in _PACKED:
        return Constant(_raw(tensor, name, dtype, shape))
    try:
        return Constant(_writable_off(numpy_helper.to_array(tensor)))
    except (ValueError, TypeError) as error:
        raise ImportFailure(f"the tensor '{name}' does not fill its shape: {error}") from None


def _raw(tensor: Any, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    # protobuf hands out a copy of the bytes, the only one; the message itself dies after import.
    data, count = tensor.raw_data, prod(shape)
    if len(data) != count * dtype.itemsize:
        raise ImportFailure(
            f"the tensor '{name}' does not hold the {count} elements of its shape {list(shape)}"
        )
    return np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)


def _writable_off(array: Array) -> Array:
    array = np.asarray(array)
    array.flags.writeable = False
    return array


def tensor_of_array(array: Array, name: str) -> onnx.TensorProto:
    """An array as a `TensorProto`."""
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def attribute_value(attribute: Any) -> Any:
    """The value of an `AttributeProto`: int, float, str, numpy array, list of those, or a graph.

    Texts that are not UTF-8 stay bytes: in no operation's property, and whole in a host segment.
    """
    value = onnx.helper.get_attribute_value(attribute)
    match value:
        case bytes():
            return _text(value)
        case onnx.TensorProto():
            return numpy_helper.to_array(value)
        case str() | int() | float() | onnx.GraphProto():
            return value
        case _ if isinstance(value, onnx.SparseTensorProto | onnx.TypeProto):
            return value
        case _:
            items = list(value)
            return [_text(i) if isinstance(i, bytes) else i for i in items]


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
