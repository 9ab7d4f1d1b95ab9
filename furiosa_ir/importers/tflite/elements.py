"""The element types of TFLite's tensors in the IR."""

from __future__ import annotations

from functools import lru_cache

from xdsl.dialects.builtin import IndexType
from xdsl.ir import Attribute

from furiosa_ir.dialects.quant import STORAGE_OF_DTYPE, Quantization, UniformType
from furiosa_ir.importers.tflite.file import QuantizationRecord, TensorRecord
from furiosa_ir.ir.element_types import element_of_dtype

RESOURCE = IndexType()
"""The element type of tensors that hold handles of variables."""


def element_of_tensor(tensor: TensorRecord) -> Attribute:
    """The element type of a tensor of the file."""
    if tensor.is_resource:
        return RESOURCE
    storage = STORAGE_OF_DTYPE.get(tensor.dtype)
    if tensor.quantization is None or storage is None:
        return element_of_dtype(tensor.dtype)
    return _uniform(storage, tensor.quantization)


@lru_cache(maxsize=4096)
def _uniform(storage: str, record: QuantizationRecord) -> Attribute:
    axis = record.axis if len(record.scales) > 1 else None
    return UniformType(Quantization(storage, record.scales, record.zero_points, axis))
