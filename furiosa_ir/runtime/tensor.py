"""What a session takes and gives: tensors, and descriptions of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any, overload

import numpy as np

from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.numerics.array import Array
from furiosa_ir.numerics.element_types import BY_NAME


class DataType(Enum):
    """The type of a tensor's elements."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    BOOL = "bool"
    # What only host operators compute with.
    STRING = "string"
    COMPLEX64 = "complex64"
    COMPLEX128 = "complex128"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E4M3FNUZ = "float8_e4m3fnuz"
    FLOAT8_E5M2 = "float8_e5m2"
    FLOAT8_E5M2FNUZ = "float8_e5m2fnuz"
    FLOAT8_E8M0FNU = "float8_e8m0fnu"
    FLOAT4_E2M1FN = "float4_e2m1fn"
    INT2 = "int2"
    INT4 = "int4"
    UINT2 = "uint2"
    UINT4 = "uint4"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype: one of `ml_dtypes` where numpy has none; of strings, objects."""
        if self is DataType.STRING:
            return np.dtype(object)
        return BY_NAME[self.value].dtype

    def __repr__(self) -> str:
        return self.name


class Axis(Enum):
    """What a dimension of a tensor stands for."""

    BATCH = "N"
    CHANNEL = "C"
    HEIGHT = "H"
    WIDTH = "W"
    UNKNOWN = "?"


@dataclass(frozen=True)
class TensorDesc:
    """An input or output of a network.

    Attributes:
        name: the framework's name.
        shape: extents; -1 where only running the network tells.
        dtype: of the elements.
        format: a letter for each dimension ("NCHW"), "?" where it is unknown.
        scale: of 8-bit quantised data (real = scale * (stored - zero_point)); 0 if it is not.
        zero_point: see `scale`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DataType
    format: str
    scale: float = 0.0
    zero_point: int = 0

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def length(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.length * self.numpy_dtype.itemsize

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The numpy dtype of the elements."""
        return self.dtype.numpy

    def dim(self, idx: int) -> int:
        """The extent of dimension `idx`."""
        return self.shape[self._index(idx)]

    def axis(self, idx: int) -> Axis:
        """What dimension `idx` stands for."""
        return Axis(self.format[self._index(idx)])

    def stride(self, idx: int) -> int:
        """How many elements apart two neighbours along dimension `idx` are."""
        return prod(self.shape[self._index(idx) + 1 :])

    def _index(self, idx: int) -> int:
        if not 0 <= idx < self.ndim:
            raise ExecutionFailure(f"tensor '{self.name}' has no dimension {idx}")
        return idx

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return (
            f"TensorDesc(shape={self.shape}, dtype={self.dtype.name}, format={self.format}, "
            f"size={self.size}, len={self.length})"
        )


def tensor_format(shape: Sequence[int], framework: str) -> str:
    """The format of a tensor: that of images in its framework, if it has four dimensions.

    An ONNX network may take images with the channels last; where only the last extent can be a
    number of colours, it does.
    """
    if len(shape) != 4:
        return "?" * len(shape)
    colours = (1, 3, 4)
    channels_last = shape[3] in colours and shape[1] not in colours
    return "NHWC" if framework == "tflite" or channels_last else "NCHW"


class Tensor:
    """A tensor that a session made."""

    def __init__(self, desc: TensorDesc, array: Array) -> None:
        self.desc = desc
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents."""
        return self._array.shape

    @property
    def dtype(self) -> DataType:
        """The type of the elements."""
        return self.desc.dtype

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The numpy dtype of the elements."""
        return self._array.dtype

    def numpy(self) -> Array:
        """The elements."""
        return self._array

    def __array__(self, dtype: np.dtype[Any] | None = None, *, copy: bool | None = None) -> Array:
        return np.array(self._array, dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Tensor({self.desc!r})"


class TensorArray(Sequence[Tensor]):
    """The results of a run, in order."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> TensorArray: ...
    def __getitem__(self, index: int | slice) -> Tensor | TensorArray:
        if isinstance(index, slice):
            return TensorArray(self._tensors[index])
        return self._tensors[index]

    def __len__(self) -> int:
        return len(self._tensors)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._tensors)

    def numpy(self) -> list[Array]:
        """The elements of each."""
        return [tensor.numpy() for tensor in self._tensors]

    def __repr__(self) -> str:
        return f"TensorArray({self._tensors!r})"
