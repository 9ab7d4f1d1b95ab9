"""The object interface of the TFLite schema, and tensors in it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import IndexType
from xdsl.ir import Attribute

from furiosa_ir.dialects.quant import UniformType
from furiosa_ir.errors import CompilationFailure
from furiosa_ir.ir.element_types import element_type_of
from furiosa_ir.ir.shaped_operation import DYNAMIC, AnyTensor
from furiosa_ir.numerics.element_types import by_dtype


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
    record.type = _type_number(element)
    if isinstance(element, UniformType):
        q = element.data
        record.quantization = schema().QuantizationParametersT()
        record.quantization.scale = np.array(q.scales, np.float32)
        record.quantization.zeroPoint = np.array(q.zero_points, np.int64)
        record.quantization.quantizedDimension = q.axis or 0
    return record


def _type_number(element: Attribute) -> int:
    """The number of an element type, or of a handle's, in `TensorType`."""
    if isinstance(element, IndexType):
        return int(schema().TensorType.RESOURCE)
    stored = by_dtype()[element.data.dtype] if isinstance(element, UniformType) else None
    plain = stored or element_type_of(element)
    if plain is None or plain.tflite is None:
        raise CompilationFailure(f"TFLite tensors of {element} are not supported")
    return plain.tflite
