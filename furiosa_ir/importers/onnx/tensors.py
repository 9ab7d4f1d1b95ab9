"""ONNX tensors and element types as constants and types of the IR."""

from __future__ import annotations

from math import prod
from typing import Any, cast

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from xdsl.ir import Attribute

from furiosa_ir.dialects.graph.base import StringType
from furiosa_ir.errors import ImportFailure
from furiosa_ir.importers.onnx.external import ExternalData
from furiosa_ir.ir.constants import Constant
from furiosa_ir.ir.element_types import builtin_type, element_type_of
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_ONNX, ElementType, by_dtype

_PLAIN = {code: e for code, e in BY_ONNX.items() if e.kind != "complex"}
"""Type codes of plain elements that constants and values may have."""
_TEXT = StringType()


def element_type(code: int) -> Attribute | None:
    """The element type of an ONNX type code; None for those the IR has none for (complex)."""
    if code == TensorProto.STRING:
        return _TEXT
    return builtin_type(_PLAIN[code]) if code in _PLAIN else None


def element_of_dtype(dtype: np.dtype[Any]) -> Attribute:
    """The element type of plain numpy elements.

    Raises:
        KeyError: no constant can be of it.
    """
    code = by_dtype()[dtype].onnx
    assert code is not None
    return builtin_type(_PLAIN[code])


def can_be_constant(code: int) -> bool:
    """Whether the IR holds constants of an ONNX type code: any that it has a type for but text."""
    return code in _PLAIN


def dtype_of_element(element: Attribute) -> np.dtype[Any]:
    """The numpy dtype of a plain element type; text is of objects."""
    return np.dtype(object) if element == _TEXT else _plain(element).dtype


def type_code(element: Attribute) -> int:
    """The ONNX type code of a plain element type."""
    code = TensorProto.STRING if element == _TEXT else _plain(element).onnx
    assert code is not None
    return code


def _plain(element: Attribute) -> ElementType:
    plain = element_type_of(element)
    if plain is None or plain.onnx not in _PLAIN:
        raise KeyError(element)
    return plain


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
    element = _PLAIN.get(tensor.data_type)
    if element is None:
        raise ImportFailure(
            f"the tensor '{name}' has elements of type {type_name(tensor.data_type)}, "
            "which is not supported"
        )
    dtype = element.dtype
    shape = tuple(int(n) for n in tensor.dims)
    if any(n < 0 for n in shape):
        raise ImportFailure(f"the tensor '{name}' has the negative shape {list(shape)}")
    if tensor.data_location == TensorProto.EXTERNAL:
        if element.is_packed:
            raise ImportFailure(
                f"the tensor '{name}' has {type_name(tensor.data_type)} elements in external data",
                hint="save the model with this tensor inside",
            )
        return Constant(external.elements(tensor, dtype))
    if tensor.HasField("raw_data") and not element.is_packed:
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
